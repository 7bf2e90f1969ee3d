//! TLS for the page's port: one certificate at a time, exchangeable while connections are open.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::{task::JoinSet, time::interval};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How often certificate files are looked at: those who renew them do so days before they expire.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

/// The certificate that new connections get.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<RwLock<Arc<CertifiedKey>>>);

impl Certificates {
    /// Starts with `certified`.
    pub fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(certified))))
    }

    /// Gives `certified` to all connections from now on.
    pub fn replace(&self, certified: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
    }

    /// What a connection would get now.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes TLS off incoming connections. Offers HTTP/1.1 alone, the only version that upgrades to WebSocket
    /// in every browser.
    pub fn acceptor(&self) -> Result<TlsAcceptor, tokio_rustls::rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Checks that the key belongs to the chain and makes both usable.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, tokio_rustls::rustls::Error> {
    CertifiedKey::from_der(chain, key, &ring::default_provider())
}

/// Reads PEM files now, and again whenever they change.
pub fn from_files(
    chain: &Path,
    key: &Path,
    stop: &CancellationToken,
    tasks: &mut JoinSet<&'static str>,
) -> Result<Certificates, Error> {
    let certificates = Certificates::new(read(chain, key)?);
    let mut files = Files {
        chain: chain.to_owned(),
        key: key.to_owned(),
        seen: [None; 2],
    };
    files.seen = files.modified();
    let (current, stop) = (certificates.clone(), stop.clone());
    tasks.spawn(async move {
        let mut ticks = interval(RELOAD_INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return "certificate watcher",
                _ = ticks.tick() => files.reload(&current),
            }
        }
    });
    Ok(certificates)
}

/// Certificate files and when they were last changed.
struct Files {
    chain: PathBuf,
    key: PathBuf,
    seen: [Option<SystemTime>; 2],
}

impl Files {
    /// Puts changed files into use. Renewal may be half done: then the old certificate stays, and the next
    /// call tries again.
    fn reload(&mut self, certificates: &Certificates) {
        let modified = self.modified();
        if modified == self.seen {
            return;
        }
        match read(&self.chain, &self.key) {
            Ok(certified) => {
                certificates.replace(certified);
                self.seen = modified;
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => tracing::warn!(%error, "the new TLS certificate is not used"),
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.chain, &self.key].map(|file| {
            std::fs::metadata(file)
                .and_then(|metadata| metadata.modified())
                .ok()
        })
    }
}

fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let tls = |path: &Path, reason: String| Error::Tls {
        path: PathBuf::from(path),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| tls(chain, error.to_string()))?;
    if certificates.is_empty() {
        return Err(tls(chain, "it contains no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| tls(key, error.to_string()))?;
    certified(certificates, private).map_err(|error| tls(chain, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes a new certificate and key, and gives the certificate.
    fn renew(files: &Files, minute: u64) -> Vec<u8> {
        let certified = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
        for (path, pem) in [
            (&files.chain, certified.cert.pem()),
            (&files.key, certified.key_pair.serialize_pem()),
        ] {
            fs::write(path, pem).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minute))
                .unwrap();
        }
        certified.cert.der().to_vec()
    }

    #[test]
    fn renewed_files_are_used_and_half_renewed_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut files = Files {
            chain: path("cert.pem"),
            key: path("key.pem"),
            seen: [None; 2],
        };
        let first = renew(&files, 1);
        let certificates = Certificates::new(read(&files.chain, &files.key).unwrap());
        let used = || certificates.current().end_entity_cert().unwrap().to_vec();

        let old_key = fs::read(&files.key).unwrap();
        let second = renew(&files, 2);
        let new_key = fs::read(&files.key).unwrap();
        fs::write(&files.key, old_key).unwrap();
        files.reload(&certificates);
        assert_eq!(used(), first, "the key does not belong to the new chain");
        fs::write(&files.key, new_key).unwrap();
        files.reload(&certificates);
        assert_eq!(used(), second);
    }
}
