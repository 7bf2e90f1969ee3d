//! The node's key.
//!
//! libp2p's Noise and the core's signatures need the raw Ed25519 key, synchronously, so it is in wasm memory while the
//! node runs. At rest it is encrypted with AES-GCM under a WebCrypto key that is *not extractable*: whoever copies the
//! profile's files, or reads the database through a script, gets a ciphertext. A node that cannot have this, or cannot
//! be kept apart from a second one, runs under a key that ends with the tab.

use js_sys::Uint8Array;
use libp2p::identity::Keypair;
use node_proto::sign::Ed25519Signer;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, SubtleCrypto};

use crate::crypto::{self, NONCE_BYTES};
use crate::error::StartError;
use crate::platform;
use crate::status::{IdentityStatus, TemporaryReason};
use crate::store::StoreError;
use crate::store::settings::Settings;

const WRAPPING_KEY: &str = "identity/wrapping-key";
const WRAPPED: &str = "identity/wrapped";
const NONCE: &str = "identity/nonce";
/// The database of this identity's ledger, where it is not the first one of this storage.
const LEDGER: &str = "identity/ledger";

/// A key and where it is kept.
pub(crate) struct Identity {
    pub(crate) keypair: Keypair,
    pub(crate) signer: Ed25519Signer,
    pub(crate) status: IdentityStatus,
}

impl Identity {
    /// One that ends with the tab.
    pub(crate) fn temporary(reason: TemporaryReason) -> Result<Self, StartError> {
        Self::from_secret(&platform::random()?, IdentityStatus::Temporary { reason })
    }

    /// The kept one; the first time it is made. Nothing that cannot be read is ever overwritten.
    pub(crate) async fn kept(settings: &Settings) -> Result<Self, StartError> {
        let unreadable = |error: StoreError| StartError::Storage(error.to_string());
        let Some(subtle) = crypto::subtle()? else {
            return Self::temporary(TemporaryReason::InsecureContext);
        };
        match stored(settings).await.map_err(unreadable)? {
            Some(wrapped) => {
                let secret = unwrap(&subtle, &wrapped).await.map_err(unreadable)?;
                Self::from_secret(&secret, IdentityStatus::Kept { new: false })
            }
            None => {
                let secret = platform::random()?;
                wrap(&subtle, settings, &secret, None).await.map_err(unreadable)?;
                Self::from_secret(&secret, IdentityStatus::Kept { new: true })
            }
        }
    }

    fn from_secret(secret: &[u8; 32], status: IdentityStatus) -> Result<Self, StartError> {
        let keypair = Keypair::ed25519_from_bytes(*secret)
            .map_err(|error| StartError::Storage(format!("the key is not one: {error}")))?;
        Ok(Self {
            keypair,
            signer: Ed25519Signer::from_secret(secret),
            status,
        })
    }
}

struct Wrapped {
    key: CryptoKey,
    nonce: Uint8Array,
    secret: Uint8Array,
}

async fn stored(settings: &Settings) -> Result<Option<Wrapped>, StoreError> {
    let (key, nonce, secret) = (
        settings.get(WRAPPING_KEY).await?,
        settings.get(NONCE).await?,
        settings.get(WRAPPED).await?,
    );
    let damaged = || StoreError::Damaged("the identity is incomplete".to_owned());
    match (key, nonce, secret) {
        (None, None, None) => Ok(None),
        (Some(key), Some(nonce), Some(secret)) => Ok(Some(Wrapped {
            key: key.dyn_into().map_err(|_| damaged())?,
            nonce: nonce.dyn_into().map_err(|_| damaged())?,
            secret: secret.dyn_into().map_err(|_| damaged())?,
        })),
        _ => Err(damaged()),
    }
}

/// The kept secret, for a backup; `None` where the identity is temporary.
pub(crate) async fn secret(
    subtle: &SubtleCrypto,
    settings: &Settings,
) -> Result<Option<[u8; 32]>, StoreError> {
    match stored(settings).await? {
        Some(wrapped) => unwrap(subtle, &wrapped).await.map(Some),
        None => Ok(None),
    }
}

/// The database of the kept identity's ledger.
pub(crate) async fn ledger_name(settings: &Settings) -> Result<String, StoreError> {
    let name = settings.get(LEDGER).await?.and_then(|name| name.as_string());
    Ok(name.unwrap_or_else(|| format!("{}/ledger", settings.storage())))
}

/// Puts another identity in place of the kept one, together with its ledger: both or neither.
pub(crate) async fn replace(
    subtle: &SubtleCrypto,
    settings: &Settings,
    secret: &[u8; 32],
    ledger: &str,
) -> Result<(), StoreError> {
    wrap(subtle, settings, secret, Some(ledger)).await
}

async fn wrap(
    subtle: &SubtleCrypto,
    settings: &Settings,
    secret: &[u8; 32],
    ledger: Option<&str>,
) -> Result<(), StoreError> {
    let key = crypto::new_key(subtle).await.map_err(failed)?;
    let nonce: [u8; NONCE_BYTES] =
        platform::random().map_err(|error| StoreError::Browser(error.to_string()))?;
    let nonce = Uint8Array::from(nonce.as_slice());
    let secret = Uint8Array::from(secret.as_slice());
    let encrypted = crypto::encrypt(subtle, &key, &nonce, &[], &secret)
        .await
        .map_err(failed)?;
    let (key, nonce, encrypted): (&JsValue, &JsValue, &JsValue) = (&key, &nonce, &encrypted);
    let mut values = vec![(WRAPPING_KEY, key), (NONCE, nonce), (WRAPPED, encrypted)];
    let ledger = ledger.map(JsValue::from_str);
    values.extend(ledger.iter().map(|name| (LEDGER, name)));
    settings.put_all(&values).await
}

async fn unwrap(subtle: &SubtleCrypto, wrapped: &Wrapped) -> Result<[u8; 32], StoreError> {
    crypto::decrypt(subtle, &wrapped.key, &wrapped.nonce, &[], &wrapped.secret)
        .await
        .map_err(|_| StoreError::Damaged("the identity cannot be decrypted".to_owned()))?
        .to_vec()
        .try_into()
        .map_err(|_| StoreError::Damaged("the identity has the wrong length".to_owned()))
}

fn failed(error: JsValue) -> StoreError {
    StoreError::from_js(&error)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    async fn settings() -> Settings {
        Settings::open(&format!("test-{:x}", platform::dice()))
            .await
            .unwrap()
    }

    #[wasm_bindgen_test]
    async fn the_key_of_the_first_visit_is_the_key_of_the_second() {
        let settings = settings().await;
        let first = Identity::kept(&settings).await.unwrap();
        let second = Identity::kept(&settings).await.unwrap();
        assert_eq!(first.status, IdentityStatus::Kept { new: true });
        assert_eq!(second.status, IdentityStatus::Kept { new: false });
        assert_eq!(first.keypair.public(), second.keypair.public());
    }

    #[wasm_bindgen_test]
    async fn the_core_and_libp2p_have_the_same_key() {
        use node_proto::sign::Signer as _;
        let identity = Identity::temporary(TemporaryReason::NoStorage).unwrap();
        let peer = identity.keypair.public().to_peer_id();
        assert_eq!(crate::address::node_id(&peer), Some(identity.signer.id()));
    }

    #[wasm_bindgen_test]
    async fn what_is_stored_is_not_the_key() {
        let settings = settings().await;
        Identity::kept(&settings).await.unwrap();
        let key: CryptoKey = settings
            .get(WRAPPING_KEY)
            .await
            .unwrap()
            .unwrap()
            .unchecked_into();
        assert!(!key.extractable());
        let wrapped = Uint8Array::new(&settings.get(WRAPPED).await.unwrap().unwrap());
        // Ciphertext and its 16-byte tag.
        assert_eq!(wrapped.length(), 32 + 16);
    }

    #[wasm_bindgen_test]
    async fn a_damaged_identity_is_neither_used_nor_overwritten() {
        let settings = settings().await;
        Identity::kept(&settings).await.unwrap();
        let nonsense = Uint8Array::from([1, 2, 3].as_slice());
        settings.put_all(&[(WRAPPED, &nonsense)]).await.unwrap();
        assert!(matches!(
            Identity::kept(&settings).await,
            Err(StartError::Storage(_))
        ));
        let kept = Uint8Array::new(&settings.get(WRAPPED).await.unwrap().unwrap());
        assert_eq!(kept.to_vec(), [1, 2, 3]);
    }
}
