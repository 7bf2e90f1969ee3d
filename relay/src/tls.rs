//! TLS for the page's port: one certificate at a time, exchangeable while connections are open.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
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
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
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
    let (current, stop) = (certificates.clone(), stop.clone());
    let (chain, key) = (chain.to_owned(), key.to_owned());
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch_files(&chain, &key, &current) => {}
        }
        "certificate watcher"
    });
    Ok(certificates)
}

async fn watch_files(chain: &Path, key: &Path, certificates: &Certificates) {
    let changed = || {
        [chain, key].map(|file| {
            std::fs::metadata(file)
                .and_then(|metadata| metadata.modified())
                .ok()
        })
    };
    let mut seen = changed();
    let mut ticks = interval(RELOAD_INTERVAL);
    loop {
        ticks.tick().await;
        let now = changed();
        if now == seen {
            continue;
        }
        match read(chain, key) {
            Ok(certified) => {
                certificates.replace(certified);
                seen = now;
                tracing::info!("the TLS certificate was read again");
            }
            // Renewal may be half done; the old certificate stays, and the next tick tries again.
            Err(error) => tracing::warn!(%error, "the new TLS certificate is not used"),
        }
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
