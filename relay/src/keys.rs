//! What must survive a restart, in the data directory.
//!
//! The identity key names the relay in every address that was ever handed out, and the webrtc-direct
//! certificate's hash is part of such addresses: losing either breaks the links of those who come back.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use libp2p::identity::Keypair;
use libp2p_webrtc::tokio::Certificate;

use crate::Error;

const IDENTITY_FILE: &str = "identity.key";
const WEBRTC_FILE: &str = "webrtc-direct.pem";

/// The data directory, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Opens the directory and creates it when it is missing.
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| Error::File {
                action: "write",
                path: path.to_owned(),
                source,
            })?;
        Ok(Self(path.to_owned()))
    }

    /// The relay's identity, made on the first start.
    pub fn identity(&self) -> Result<Keypair, Error> {
        self.read_or_create(
            IDENTITY_FILE,
            |bytes| Keypair::from_protobuf_encoding(bytes).map_err(|error| error.to_string()),
            || {
                let keypair = Keypair::generate_ed25519();
                let bytes = keypair
                    .to_protobuf_encoding()
                    .map_err(|error| error.to_string())?;
                Ok((keypair, bytes))
            },
        )
    }

    /// The certificate of webrtc-direct, made on the first start.
    pub fn webrtc_certificate(&self) -> Result<Certificate, Error> {
        self.read_or_create(
            WEBRTC_FILE,
            |bytes| {
                let pem = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
                Certificate::from_pem(pem).map_err(|error| error.to_string())
            },
            || {
                let certificate =
                    Certificate::generate(&mut rand::rng()).map_err(|error| error.to_string())?;
                let pem = certificate.serialize_pem().into_bytes();
                Ok((certificate, pem))
            },
        )
    }

    /// Reads `name`, or makes its content and keeps it with permissions 0600.
    pub(crate) fn read_or_create<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
        create: impl FnOnce() -> Result<(T, Vec<u8>), String>,
    ) -> Result<T, Error> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| Error::BadFile { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (value, bytes) = create().map_err(|reason| Error::BadFile {
                    path: path.clone(),
                    reason,
                })?;
                write_private(&path, &bytes).map_err(|source| Error::File {
                    action: "write",
                    path,
                    source,
                })?;
                Ok(value)
            }
            Err(source) => Err(Error::File {
                action: "read",
                path,
                source,
            }),
        }
    }
}

/// Writes beside the file and renames, so that a crash leaves either no file or a whole one.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn identity_and_certificate_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        let first = DataDir::open(&path).unwrap();
        let (peer, certhash) = (
            first.identity().unwrap().public(),
            first.webrtc_certificate().unwrap().fingerprint(),
        );
        let second = DataDir::open(&path).unwrap();
        assert_eq!(second.identity().unwrap().public(), peer);
        assert_eq!(second.webrtc_certificate().unwrap().fingerprint(), certhash);
        for file in [IDENTITY_FILE, WEBRTC_FILE] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_damaged_key_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IDENTITY_FILE);
        fs::write(&path, b"not a key").unwrap();
        let error = DataDir::open(folder.path()).unwrap().identity().unwrap_err();
        assert!(error.to_string().contains("identity.key is damaged"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }
}
