//! Opening the page for the person who typed `cargo xtask serve`.
//!
//! The serving process becomes the relay, so a second, short-lived process waits for the port and opens the browser.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::error::Error;

/// A relay that takes longer than this has failed and has said so itself.
const WAIT_MAX: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// What to open and when.
#[derive(Args)]
pub(crate) struct Options {
    /// The address that must answer first.
    #[arg(long)]
    address: SocketAddr,
    /// The page.
    #[arg(long)]
    url: String,
}

/// Whether there is a screen that a browser could appear on.
pub(crate) fn has_screen() -> bool {
    cfg!(target_os = "macos") || env::var_os("DISPLAY").is_some() || env::var_os("WAYLAND_DISPLAY").is_some()
}

/// Starts the process that opens `url` once `address` answers; not being able to is no reason to stop serving.
pub(crate) fn open_later(address: SocketAddr, url: &str) {
    let Ok(program) = env::current_exe() else { return };
    let mut opener = Command::new(program);
    opener.args(["open-browser", "--address", &address.to_string(), "--url", url]);
    let _ = opener
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// Waits for the address and opens the page.
pub(crate) fn open_when_ready(options: &Options) -> Result<(), Error> {
    let started = Instant::now();
    while TcpStream::connect(options.address).is_err() {
        if started.elapsed() > WAIT_MAX {
            return Ok(());
        }
        thread::sleep(RETRY_EVERY);
    }
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let started = Command::new(opener).arg(&options.url).status();
    started.map(|_| ()).map_err(|source| Error::Start {
        program: opener.to_owned(),
        source,
    })
}
