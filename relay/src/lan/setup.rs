//! The page from which a device installs the local authority, over plain HTTP.
//!
//! It has to be plain: a device that does not trust the authority yet can't open the secure page. What it
//! serves is public, and the authority's fingerprint stands on it and in the relay's terminal, to be compared.

use std::io::{IsTerminal as _, Write as _};

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{Html, IntoResponse as _},
    routing::get,
};
use fast_qr::{
    QRBuilder,
    convert::{Builder as _, svg::SvgBuilder},
};

use super::authority::Authority;
use crate::Error;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The install page and the certificate.
pub fn router(authority: &Authority, page_url: &str) -> Result<Router, Error> {
    let html = page(page_url, &authority.fingerprint(), &qr_svg(page_url)?);
    let certificate = authority.der().to_vec();
    let page = get(move || {
        let html = html.clone();
        async move {
            let headers = [
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, Html(html)).into_response()
        }
    });
    let download = get(move || {
        let certificate = certificate.clone();
        async move {
            let headers = [
                (
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/x-x509-ca-cert"),
                ),
                (
                    header::CONTENT_DISPOSITION,
                    HeaderValue::from_static("attachment; filename=\"knowledge-network.crt\""),
                ),
            ];
            (headers, certificate).into_response()
        }
    });
    Ok(Router::new()
        .route("/", page)
        .route("/knowledge-network.crt", download))
}

/// Shows where to point a phone's camera, on a terminal that somebody looks at.
pub fn announce(url: &str, fingerprint: &str) {
    let mut terminal = std::io::stderr();
    if !terminal.is_terminal() {
        return tracing::info!(%url, fingerprint, "devices nearby install the local certificate authority here");
    }
    let code = QRBuilder::new(url)
        .build()
        .map(|code| code.to_str())
        .unwrap_or_default();
    let _ = writeln!(
        terminal,
        "\n{code}\nFirst time on a phone or another computer: open {url}\nIts certificate has the fingerprint {fingerprint}\n"
    );
}

fn qr_svg(text: &str) -> Result<String, Error> {
    let code = QRBuilder::new(text)
        .build()
        .map_err(|error| Error::Options(format!("{text} does not fit in a QR code: {error:?}")))?;
    Ok(SvgBuilder::default().margin(2).to_str(&code))
}

/// Both texts are made by this program from addresses and hexadecimal digits: there is nothing to escape.
fn page(url: &str, fingerprint: &str, qr: &str) -> String {
    include_str!("setup.html")
        .replace("{url}", url)
        .replace("{fingerprint}", fingerprint)
        .replace("{qr}", qr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_everything_that_a_person_needs() {
        let html = page(
            "https://192.168.1.5:8443/",
            "AA:BB",
            &qr_svg("https://192.168.1.5:8443/").unwrap(),
        );
        for part in [
            "https://192.168.1.5:8443/",
            "AA:BB",
            "<svg",
            "iPhone",
            "Android",
            "Windows",
            "Firefox",
            "/knowledge-network.crt",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("{url}") && !html.contains("<script"));
    }
}
