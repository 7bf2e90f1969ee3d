//! A relay on free ports with a small site, and the smallest HTTP client that shows every header.

use std::{fs, net::SocketAddr, path::PathBuf};

use clap::Parser as _;
use relay::{Options, Relay};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) const PAGE: &str = "<!doctype html><title>t</title><script type=module>start()</script>";

/// A relay and the folders that it uses.
pub(crate) struct Fixture {
    pub(crate) relay: Relay,
    pub(crate) folder: TempDir,
}

/// A folder with a site of one file of each kind.
pub(crate) fn site() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("site");
    for (name, content) in [
        ("index.html", PAGE),
        ("sw.js", "self"),
        ("page-0123456789abcdef_bg.wasm", "\0asm"),
        ("page-0123456789abcdef_bg.wasm.br", "compressed"),
        ("embed/node_wasm.js", "export"),
        ("models/index.json", "{}"),
        ("models/00ff", "weights"),
        ("modules/modules.json", "{}"),
        ("worker/inference_worker.js", "worker"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::write(folder.path().join("secret"), "secret").unwrap();
    folder
}

/// The options of a relay on free ports of loopback, and then `more`.
pub(crate) fn options(folder: &TempDir, more: &[&str]) -> Options {
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (site, data) = (path("site"), path("data"));
    let fixed = [
        "relay",
        "--address",
        "127.0.0.1",
        "--port",
        "0",
        "--site-dir",
        &site,
        "--data-dir",
        &data,
    ];
    Options::parse_from(fixed.iter().chain(more))
}

impl Fixture {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let folder = site();
        let relay = Relay::start(options(&folder, more)).await.unwrap();
        Self { relay, folder }
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(self.relay.address(), path, headers).await
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(TcpStream::connect(address).await.unwrap(), "GET", path, headers).await
}

/// Sends one request as it stands and reads until the relay closes.
pub(crate) async fn request<S>(mut stream: S, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}
