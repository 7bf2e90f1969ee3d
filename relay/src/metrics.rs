//! Counters for `/metrics`, in Prometheus' text format.
//!
//! Labels take their values from fixed sets: nothing that a caller sends can add a time series.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `change`, which may be negative.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// Replaces the value; what does not fit is shown as the largest number.
    pub fn set(&self, value: usize) {
        self.0
            .store(i64::try_from(value).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that the relay counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Open libp2p connections over WebSocket.
    pub connections_websocket: Gauge,
    /// Open libp2p connections over webrtc-direct.
    pub connections_webrtc_direct: Gauge,
    /// Open libp2p connections over TCP.
    pub connections_tcp: Gauge,
    /// Connections that ended before they were secured, or that a limit refused.
    pub connections_failed: Counter,
    /// Nodes that hold a reservation.
    pub reservations: Gauge,
    /// Reservations that a limit refused.
    pub reservations_denied: Counter,
    /// Open circuits.
    pub circuits: Gauge,
    /// Circuits opened so far.
    pub circuits_opened: Counter,
    /// Circuits that a limit or a missing reservation refused.
    pub circuits_denied: Counter,
    /// Live registrations in discovery.
    pub registrations: Gauge,
    /// Discovery requests that were answered.
    pub requests_answered: Counter,
    /// Discovery requests that the rate limit refused.
    pub requests_limited: Counter,
    /// HTTP answers by the hundreds digit of their status, 1 to 5.
    pub http_responses: [Counter; 5],
    /// HTTP connections that a limit refused.
    pub http_refused: Counter,
}

impl Metrics {
    /// Counts one HTTP answer.
    pub fn count_http(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, self.http_responses.len());
        self.http_responses[class - 1].increment();
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(4096);
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, i128)]| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "# HELP knowledge_relay_{name} {help}\n# TYPE knowledge_relay_{name} {kind}"
            );
            for (labels, value) in samples {
                let _ = writeln!(text, "knowledge_relay_{name}{labels} {value}");
            }
        };
        let gauge = |gauge: &Gauge| i128::from(gauge.get());
        let count = |counter: &Counter| i128::from(counter.get());
        family(
            "libp2p_connections",
            "gauge",
            "Open libp2p connections.",
            &[
                ("{transport=\"websocket\"}", gauge(&self.connections_websocket)),
                (
                    "{transport=\"webrtc-direct\"}",
                    gauge(&self.connections_webrtc_direct),
                ),
                ("{transport=\"tcp\"}", gauge(&self.connections_tcp)),
            ],
        );
        family(
            "libp2p_connections_failed_total",
            "counter",
            "Connections that failed or were refused.",
            &[("", count(&self.connections_failed))],
        );
        family(
            "reservations",
            "gauge",
            "Nodes that hold a reservation.",
            &[("", gauge(&self.reservations))],
        );
        family(
            "reservations_denied_total",
            "counter",
            "Reservations refused.",
            &[("", count(&self.reservations_denied))],
        );
        family(
            "circuits",
            "gauge",
            "Open circuits.",
            &[("", gauge(&self.circuits))],
        );
        family(
            "circuits_total",
            "counter",
            "Circuits opened.",
            &[("", count(&self.circuits_opened))],
        );
        family(
            "circuits_denied_total",
            "counter",
            "Circuits refused.",
            &[("", count(&self.circuits_denied))],
        );
        family(
            "registrations",
            "gauge",
            "Live registrations in discovery.",
            &[("", gauge(&self.registrations))],
        );
        family(
            "discovery_requests_total",
            "counter",
            "Discovery requests.",
            &[
                ("{result=\"answered\"}", count(&self.requests_answered)),
                ("{result=\"limited\"}", count(&self.requests_limited)),
            ],
        );
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| format!("{{status=\"{class}\"}}"));
        let responses: Vec<_> = classes
            .iter()
            .map(String::as_str)
            .zip(self.http_responses.iter().map(count))
            .collect();
        family("http_responses_total", "counter", "HTTP answers.", &responses);
        family(
            "http_refused_total",
            "counter",
            "HTTP connections that a limit refused.",
            &[("", count(&self.http_refused))],
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.count_http(204);
        metrics.count_http(999);
        metrics.circuits.add(3);
        metrics.circuits.add(-1);
        let text = metrics.render();
        assert!(text.contains("\nknowledge_relay_circuits 2\n"));
        assert!(text.contains("\nknowledge_relay_http_responses_total{status=\"2xx\"} 1\n"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(
                name.starts_with("knowledge_relay_") && value.parse::<i64>().is_ok(),
                "{line}"
            );
        }
    }
}
