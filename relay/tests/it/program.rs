//! The program: its one line, its exit codes, its end.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::support::{get, site};

fn program(folder: &tempfile::TempDir, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_knowledge-relay"))
        .args([
            "--address",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--tcp-port",
            "0",
            "--webrtc-port",
            "0",
        ])
        .arg("--site-dir")
        .arg(folder.path().join("site"))
        .env("KNOWLEDGE_RELAY_DATA_DIR", folder.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn ready(child: &mut Child) -> (BufReader<tokio::process::ChildStdout>, String) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    timeout(Duration::from_secs(20), output.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    let url = line.strip_prefix("ready ").unwrap().trim_end().to_owned();
    (output, url)
}

fn port_of(url: &str) -> u16 {
    let port = url.trim_end_matches('/').rsplit(':').next();
    port.unwrap().parse().unwrap()
}

async fn peer_id(url: &str) -> serde_json::Value {
    get(([127, 0, 0, 1], port_of(url)).into(), "/bootstrap.json", &[])
        .await
        .json()["peer_id"]
        .clone()
}

#[tokio::test]
async fn it_says_one_line_keeps_its_identity_and_ends_when_asked() {
    let folder = site();
    let mut peers = Vec::new();
    for signal in ["TERM", "INT"] {
        let mut child = program(&folder, 0);
        let (mut output, url) = ready(&mut child).await;
        assert!(url.starts_with("http://localhost:"), "{url}");
        peers.push(peer_id(&url).await);
        let pid = child.id().unwrap().to_string();
        // The shell has it built in; a small system has no such program.
        assert!(
            Command::new("sh")
                .args(["-c", &format!("kill -s {signal} {pid}")])
                .status()
                .await
                .unwrap()
                .success()
        );
        let status = timeout(Duration::from_secs(10), child.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "standard output has one line");
    }
    assert_eq!(peers[0], peers[1]);
}

#[tokio::test]
async fn a_busy_port_is_one_sentence_that_says_what_to_do() {
    let folder = site();
    let mut first = program(&folder, 0);
    let (_output, url) = ready(&mut first).await;
    let port = port_of(&url);
    let second = program(&folder, port).wait_with_output().await.unwrap();
    assert_eq!(second.status.code(), Some(2));
    let said = String::from_utf8(second.stderr).unwrap();
    let sentence = said.trim_end().lines().last().unwrap();
    assert_eq!(
        sentence,
        format!(
            "knowledge-relay: TCP port {port} is already in use: stop the other program or choose another port with --port"
        )
    );
}

#[tokio::test]
async fn a_missing_page_is_one_sentence_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(&folder, 0).wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("name the folder that holds index.html with --site-dir")
    );
}
