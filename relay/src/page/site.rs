//! The site's files.
//!
//! A file `x` with a sibling `x.br` is sent compressed to whoever accepts Brotli; nothing is compressed while
//! somebody waits. Files whose name carries their hash, and models, never change and are cached for ever; all
//! others are asked for again each time, which costs a `304` when they are the same. Whoever asks for a range of a file
//! gets that range of the uncompressed one (RFC 9110, section 14), or all of it when it asks for several.

use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use http_range_header::parse_range_header;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::policy;
use crate::Error;

const CHUNK_BYTES: usize = 64 * 1024;

/// The page is read whole to hash its scripts, so it may not be arbitrarily long.
const PAGE_BYTES_MAX: u64 = 1024 * 1024;

/// Longer paths are nobody's: a model's path has about 72 bytes.
const PATH_BYTES_MAX: usize = 512;

/// The folder that is served.
#[derive(Debug, Clone)]
pub struct Site {
    root: PathBuf,
}

impl Site {
    /// Checks that there is a page.
    pub fn open(root: &Path) -> Result<Self, Error> {
        if root.join("index.html").is_file() {
            Ok(Self {
                root: root.to_owned(),
            })
        } else {
            Err(Error::NoSite(root.to_owned()))
        }
    }

    /// The answer to a GET of `path`, as it stands in the request.
    pub async fn respond(&self, path: &str, asked: &HeaderMap) -> Response {
        let Some(name) = file_name(path) else {
            return not_found();
        };
        match self.send(&name, asked).await {
            Ok(response) => response,
            Err(error) if is_missing(&error) && is_page_path(&name) => self
                .send("index.html", asked)
                .await
                .unwrap_or_else(|error| failed(&name, &error)),
            Err(error) if is_missing(&error) => not_found(),
            Err(error) => failed(&name, &error),
        }
    }

    async fn send(&self, name: &str, asked: &HeaderMap) -> io::Result<Response> {
        let plain = self.root.join(name);
        let compressed = if accepts_brotli(asked) && !asked.contains_key(header::RANGE) {
            open(&self.root.join(format!("{name}.br"))).await.ok()
        } else {
            None
        };
        let brotli = compressed.is_some();
        let mut opened = match compressed {
            Some(opened) => opened,
            None => open(&plain).await?,
        };
        let tag = format!(
            "\"{:x}-{:x}{}\"",
            opened.bytes,
            opened.modified_ns,
            if brotli { "-br" } else { "" }
        );
        let known = asked
            .get(header::IF_NONE_MATCH)
            .and_then(|tags| tags.to_str().ok());
        let unchanged = known.is_some_and(|tags| {
            tags.split(',')
                .any(|known| known.trim().trim_start_matches("W/") == tag)
        });

        let mut headers = HeaderMap::new();
        // A tag is made of hexadecimal digits.
        headers.insert(
            header::ETAG,
            HeaderValue::from_str(&tag).map_err(io::Error::other)?,
        );
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(cache_control(name)),
        );
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if name.ends_with(".html") {
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                policy::content_security_policy(&read_page(&plain).await?),
            );
        }
        if unchanged {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let range = match wanted_range(asked, &tag, opened.bytes) {
            Wanted::All => None,
            Wanted::Range(range) => Some(range),
            Wanted::Nothing => {
                let size = format!("bytes */{}", opened.bytes);
                headers.insert(
                    header::CONTENT_RANGE,
                    HeaderValue::from_str(&size).map_err(io::Error::other)?,
                );
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
            }
        };
        if let Some(range) = range {
            let (start, end) = (*range.start(), *range.end());
            opened.file.seek(io::SeekFrom::Start(start)).await?;
            let place = format!("bytes {start}-{end}/{}", opened.bytes);
            headers.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&place).map_err(io::Error::other)?,
            );
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start + 1));
            let part = opened.file.take(end - start + 1);
            let body = Body::from_stream(ReaderStream::with_capacity(part, CHUNK_BYTES));
            return Ok((StatusCode::PARTIAL_CONTENT, headers, body).into_response());
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(opened.bytes));
        if brotli {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        }
        let body = Body::from_stream(ReaderStream::with_capacity(opened.file, CHUNK_BYTES));
        Ok((headers, body).into_response())
    }
}

/// Which bytes are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Range(RangeInclusive<u64>),
    /// Only such as the file does not have.
    Nothing,
}

/// What cannot be understood asks for all, and so does a range of another version of the file.
fn wanted_range(asked: &HeaderMap, tag: &str, bytes: u64) -> Wanted {
    let text = |name| asked.get(name).and_then(|value| value.to_str().ok());
    let other_version = text(header::IF_RANGE).is_some_and(|known| known != tag);
    let parsed = text(header::RANGE).and_then(|range| parse_range_header(range).ok());
    let Some(parsed) = parsed.filter(|_| !other_version) else {
        return Wanted::All;
    };
    match parsed.validate(bytes).as_deref() {
        Ok([range]) => Wanted::Range(range.clone()),
        Ok(_) => Wanted::All,
        Err(_) => Wanted::Nothing,
    }
}

struct Opened {
    file: File,
    bytes: u64,
    modified_ns: u128,
}

async fn open(path: &Path) -> io::Result<Opened> {
    let file = File::open(path).await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let modified = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Opened {
        file,
        bytes: metadata.len(),
        modified_ns: modified.as_nanos(),
    })
}

async fn read_page(path: &Path) -> io::Result<String> {
    if tokio::fs::metadata(path).await?.len() > PAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the page is longer than 1 MiB",
        ));
    }
    tokio::fs::read_to_string(path).await
}

/// The file that a path asks for, or `None` when it leaves the folder or asks for what is hidden.
fn file_name(path: &str) -> Option<String> {
    if path == "/" {
        return Some("index.html".to_owned());
    }
    let relative = path
        .strip_prefix('/')
        .filter(|relative| relative.len() <= PATH_BYTES_MAX)?;
    // Names with escapes are not made by any build of the page, so nothing is decoded.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fine = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    relative
        .trim_end_matches('/')
        .split('/')
        .all(fine)
        .then(|| relative.trim_end_matches('/').to_owned())
}

/// Whether an unknown path is one of the page's own views, to be opened by its router.
fn is_page_path(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let folder = name.split('/').next().unwrap_or(name);
    !last.contains('.')
        && !["embed", "icons", "known-answers", "models", "modules", "worker"].contains(&folder)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn accepts_brotli(asked: &HeaderMap) -> bool {
    let accepted = asked
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality == 0.0))
        });
        named && !refused
    })
}

fn cache_control(name: &str) -> &'static str {
    let model = name.starts_with("models/") && name != "models/index.json";
    if model || is_hashed(name) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Whether a name carries a hash of at least 64 bits, as in `page-0123456789abcdef_bg.wasm`.
fn is_hashed(name: &str) -> bool {
    let hash = |part: &str| part.len() >= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.split(['-', '_', '.', '/']).any(hash)
}

fn content_type(name: &str) -> &'static str {
    let extension = name
        .rsplit('/')
        .next()
        .and_then(|file| file.rsplit_once('.'))
        .map_or("", |(_, extension)| extension);
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "ts" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

fn failed(name: &str, error: &io::Error) -> Response {
    tracing::warn!(name, %error, "a file cannot be served");
    (StatusCode::INTERNAL_SERVER_ERROR, "this file cannot be read\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_folder() {
        for path in [
            "/../secret",
            "/a/../../secret",
            "/..",
            "/.env",
            "/a/.git/config",
            "//etc/passwd",
            "/%2e%2e/secret",
            "/a%2f..%2f..",
            "/a\\..\\b",
            "/a\0b",
            "secret",
            "",
            "/c:/windows",
        ] {
            assert_eq!(file_name(path), None, "{path:?}");
        }
        assert_eq!(file_name(&format!("/{}", "a".repeat(600))), None);
        assert_eq!(file_name("/").unwrap(), "index.html");
        assert_eq!(file_name("/models/00ff").unwrap(), "models/00ff");
        assert_eq!(file_name("/market/").unwrap(), "market");
    }

    #[test]
    fn what_carries_its_hash_is_kept_for_ever() {
        for name in [
            "page-0123456789abcdef_bg.wasm",
            "models/00ff",
            "style-0123456789ABCDEF.css",
        ] {
            assert!(cache_control(name).contains("immutable"), "{name}");
        }
        for name in [
            "index.html",
            "sw.js",
            "models/index.json",
            "embed/node_wasm.js",
            "bg-cafe.js",
        ] {
            assert_eq!(cache_control(name), "no-cache", "{name}");
        }
    }

    #[test]
    fn brotli_is_sent_only_to_those_who_take_it() {
        let accepts = |value: &'static str| {
            accepts_brotli(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(accepts("gzip, deflate, br, zstd") && accepts("br;q=0.5"));
        assert!(!accepts("gzip") && !accepts("br;q=0") && !accepts("br; q=0.0") && !accepts("brotli"));
    }

    #[test]
    fn a_range_is_the_bytes_that_were_asked_for() {
        let wanted = |range: &'static str, version: Option<&'static str>| {
            let mut asked = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
            if let Some(version) = version {
                asked.insert(header::IF_RANGE, HeaderValue::from_static(version));
            }
            wanted_range(&asked, "\"a\"", 1_000)
        };
        assert_eq!(wanted("bytes=0-99", None), Wanted::Range(0..=99));
        assert_eq!(wanted("bytes=900-", Some("\"a\"")), Wanted::Range(900..=999));
        assert_eq!(wanted("bytes=-1", None), Wanted::Range(999..=999));
        assert_eq!(wanted("bytes=1000-", None), Wanted::Nothing);
        assert_eq!(wanted("bytes=0-1,5-6", None), Wanted::All);
        for odd in ["", "bytes", "bytes=a-b", "lines=1-2", "bytes=0-99"] {
            assert_eq!(wanted(odd, Some("\"b\"")), Wanted::All, "{odd}");
        }
        assert_eq!(wanted_range(&HeaderMap::new(), "", 0), Wanted::All);
    }

    #[test]
    fn only_views_open_the_page() {
        assert!(is_page_path("market") && is_page_path("reputation/12D3"));
        assert!(
            !is_page_path("missing.js")
                && !is_page_path("models/00ff")
                && !is_page_path("known-answers/a/b")
                && !is_page_path("modules/x")
                && !is_page_path("worker/x")
        );
    }
}
