//! Why the relay could not start or had to end, in words for the person who started it.

use std::{io, path::PathBuf};

use libp2p::Multiaddr;

/// Every case is fatal to the program; what a single connection does wrong never gets here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program has the port.
    #[error(
        "{protocol} port {port} is already in use: stop the other program or choose another port with --{option}"
    )]
    PortBusy {
        /// "TCP" or "UDP".
        protocol: &'static str,
        /// The port asked for.
        port: u16,
        /// The option that chooses it.
        option: &'static str,
    },
    /// The port may not be bound by this user, or the address is not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A libp2p transport refused its address.
    #[error("cannot listen on {address}: {reason}")]
    Transport {
        /// What was asked for.
        address: Multiaddr,
        /// The transport's reason.
        reason: String,
    },
    /// The site's files are not there.
    #[error("no page in {0}: build it first, or name the folder that holds index.html with --site-dir")]
    NoSite(PathBuf),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// "read" or "write".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file is there and does not contain what it should.
    #[error(
        "{path} is damaged or of another kind ({reason}): restore it from a backup or remove it to start afresh"
    )]
    BadFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS certificate or key cannot be used.
    #[error("the TLS certificate {path} cannot be used: {reason}")]
    Tls {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Two options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The machine's network interfaces cannot be watched.
    #[error("cannot watch the network interfaces: {0}")]
    Interfaces(#[source] io::Error),
    /// The operating system refused the signal handlers.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    /// A part of the relay ended that should run for ever.
    #[error("the {0} ended unexpectedly")]
    Ended(&'static str),
}

impl Error {
    /// Whether starting it differently would help, as opposed to a fault on the way.
    pub fn is_usage(&self) -> bool {
        !matches!(
            self,
            Self::Signals(_) | Self::Ended(_) | Self::Interfaces(_) | Self::Certificate(_)
        )
    }

    /// Names the busy port, or the address with the reason why it cannot be had.
    pub(crate) fn listen(
        source: io::Error,
        protocol: &'static str,
        address: std::net::SocketAddr,
        option: &'static str,
    ) -> Self {
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::PortBusy {
                protocol,
                port: address.port(),
                option,
            }
        } else {
            Self::Listen {
                address: format!("{protocol} {address}"),
                source,
            }
        }
    }
}
