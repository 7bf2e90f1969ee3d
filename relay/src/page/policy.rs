//! What browsers may do with what they get from here.
//!
//! The content security policy allows this origin's own scripts and WebAssembly, and no script that somebody
//! managed to write into the page. A start script that the page's build put inline is allowed by its hash,
//! which is computed from the page as it is served. A node may connect to any relay and fetch a model from
//! any, so `connect-src` names schemes and not hosts.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PRIVATE_NETWORK_REQUEST: HeaderName = HeaderName::from_static("access-control-request-private-network");
const PRIVATE_NETWORK_ALLOW: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Whether pages of other origins may read this path.
pub fn is_shared(path: &str) -> bool {
    path == "/bootstrap.json"
        || ["/embed/", "/known-answers/", "/models/", "/modules/", "/worker/"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
}

/// Adds what every answer carries. A policy that the answer already has is kept.
pub fn apply(headers: &mut HeaderMap, shared: bool) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert_with(|| content_security_policy(""));
    let readers = if shared { "cross-origin" } else { "same-origin" };
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(readers));
    if shared {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
}

/// The answer to a browser that asks before it sends a cross-origin request.
pub fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    if asked.contains_key(&PRIVATE_NETWORK_REQUEST) {
        headers.insert(PRIVATE_NETWORK_ALLOW, HeaderValue::from_static("true"));
    }
    response
}

/// The policy of a page whose inline scripts are exactly those in `html`.
pub fn content_security_policy(html: &str) -> HeaderValue {
    let hashes: String = inline_scripts(html)
        .map(|script| format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script))))
        .collect();
    let policy = format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{hashes}; worker-src 'self' blob:; \
         connect-src 'self' ws: wss: http: https: blob: data:; img-src 'self' data: blob:; \
         style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; \
         frame-ancestors 'self'"
    );
    // The policy is ASCII, and base64 is too.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The text of every script element without `src`, as a browser would hash it.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[find_ignoring_case(rest, "<script")? + "<script".len()..];
            let (attributes, after) = rest.split_once('>')?;
            let (script, after) = after.split_at(find_ignoring_case(after, "</script")?);
            rest = after;
            if find_ignoring_case(attributes, "src=").is_none() {
                return Some(script);
            }
        }
    })
}

fn find_ignoring_case(text: &str, pattern: &str) -> Option<usize> {
    text.as_bytes()
        .windows(pattern.len())
        .position(|window| window.eq_ignore_ascii_case(pattern.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_are_allowed_by_hash_and_nothing_else_is() {
        let html = "<p>é</p><SCRIPT type=module>a()</SCRIPT><script src=/x.js></script><script>\nb</script>";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["a()", "\nb"]);
        let policy = content_security_policy(html);
        let scripts = policy
            .to_str()
            .unwrap()
            .split(';')
            .find(|part| part.contains("script-src"))
            .unwrap()
            .to_owned();
        assert!(
            !scripts.contains("unsafe-inline") && !scripts.contains("'unsafe-eval'"),
            "{scripts}"
        );
        assert_eq!(scripts.matches("'sha256-").count(), 2);
    }

    #[test]
    fn a_page_that_is_cut_short_allows_nothing() {
        for html in ["<script", "<script>", "<script>a()", ""] {
            assert_eq!(inline_scripts(html).count(), 0, "{html}");
        }
    }

    #[test]
    fn only_what_embedding_needs_is_shared() {
        for path in [
            "/bootstrap.json",
            "/embed/node_wasm.js",
            "/known-answers/00ff",
            "/models/index.json",
            "/modules/modules.json",
            "/worker/x.wasm",
        ] {
            assert!(is_shared(path), "{path}");
        }
        for path in ["/", "/index.html", "/metrics", "/embedded", "/sw.js"] {
            assert!(!is_shared(path), "{path}");
        }
    }
}
