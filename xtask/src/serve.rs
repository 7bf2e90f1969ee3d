//! `cargo xtask serve`: build what is missing, then become the relay.
//!
//! This process replaces itself by the relay, so that signals, the exit status and the line `ready <URL>` are the relay's own.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::browser;
use crate::error::Error;
use crate::known_answers;
use crate::site;
use crate::workspace::Workspace;

/// How to serve.
#[derive(Args)]
pub(crate) struct Options {
    /// The port of the page and of the WebSocket beside it.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the relay keeps its identity, certificates and known answers [default: <target>/relay-data].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Don't open a browser.
    #[arg(long)]
    no_open: bool,
    /// Serve everyone on the local network, over https with a certificate of a local authority.
    #[arg(long)]
    lan: bool,
    /// Serve https with this certificate chain (PEM).
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Builds everything and runs the relay; returns only if that fails.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode, Error> {
    let address = options.address();
    check_port(address)?;
    site::build_all(workspace)?;
    check_port(address)?;
    if !options.no_open && browser::has_screen() {
        browser::open_later(
            SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
            &options.url(),
        );
    }
    known_answers::make_later(workspace, &options.data_dir(workspace));
    become_program(options.relay_command(workspace))
}

impl Options {
    fn address(&self) -> SocketAddr {
        let host = if self.is_public() {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        SocketAddr::from((host, self.port))
    }

    fn is_public(&self) -> bool {
        self.lan || self.tls_cert.is_some()
    }

    fn url(&self) -> String {
        let scheme = if self.is_public() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/", self.port)
    }

    fn data_dir(&self, workspace: &Workspace) -> PathBuf {
        self.data_dir
            .clone()
            .unwrap_or_else(|| workspace.target().join("relay-data"))
    }

    fn relay_command(&self, workspace: &Workspace) -> Command {
        let mut relay = Command::new(workspace.relay());
        let address = self.address();
        relay
            .arg("--address")
            .arg(address.ip().to_string())
            .arg("--port")
            .arg(address.port().to_string());
        relay
            .arg("--site-dir")
            .arg(workspace.site())
            .arg("--data-dir")
            .arg(self.data_dir(workspace));
        if self.lan {
            relay.arg("--lan");
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            relay.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        }
        relay
    }
}

/// Finds a busy port before minutes are spent on building.
fn check_port(address: SocketAddr) -> Result<(), Error> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Error::PortBusy { port: address.port() }),
        Err(source) => Err(Error::PortRefused {
            port: address.port(),
            source,
        }),
    }
}

#[cfg(unix)]
fn become_program(mut command: Command) -> Result<ExitCode, Error> {
    use std::os::unix::process::CommandExt;
    let program = command.get_program().to_string_lossy().into_owned();
    Err(Error::Start {
        program,
        source: command.exec(),
    })
}

#[cfg(not(unix))]
fn become_program(mut command: Command) -> Result<ExitCode, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|source| Error::Start { program, source })?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_told_apart() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(check_port(address), Err(Error::PortBusy { .. })));
        drop(listener);
        assert!(check_port(address).is_ok());
    }
}
