//! The node's key.
//!
//! libp2p's Noise and the core's signatures need the raw Ed25519 key, synchronously, so it is in wasm memory while the
//! node runs. At rest it is encrypted with AES-GCM under a WebCrypto key that is *not extractable*: whoever copies the
//! profile's files, or reads the database through a script, gets a ciphertext. A node that cannot have this, or cannot
//! be kept apart from a second one, runs under a key that ends with the tab.

use js_sys::{Object, Reflect, Uint8Array};
use libp2p::identity::Keypair;
use node_proto::sign::Ed25519Signer;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, SubtleCrypto};

use crate::error::StartError;
use crate::platform;
use crate::status::{IdentityStatus, TemporaryReason};
use crate::store::StoreError;
use crate::store::settings::Settings;

const WRAPPING_KEY: &str = "identity/wrapping-key";
const WRAPPED: &str = "identity/wrapped";
const NONCE: &str = "identity/nonce";
const NONCE_BYTES: usize = 12;

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
        let Some(subtle) = subtle()? else {
            return Self::temporary(TemporaryReason::InsecureContext);
        };
        match stored(settings).await.map_err(unreadable)? {
            Some(wrapped) => {
                let secret = unwrap(&subtle, &wrapped).await.map_err(unreadable)?;
                Self::from_secret(&secret, IdentityStatus::Kept { new: false })
            }
            None => {
                let secret = platform::random()?;
                wrap(&subtle, settings, &secret).await.map_err(unreadable)?;
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

async fn wrap(subtle: &SubtleCrypto, settings: &Settings, secret: &[u8; 32]) -> Result<(), StoreError> {
    let generated = Object::new();
    set(&generated, "name", &"AES-GCM".into());
    set(&generated, "length", &256.into());
    let usages = platform::strings(["encrypt", "decrypt"]);
    let key = subtle
        .generate_key_with_object(&generated, false, &usages)
        .map_err(failed)?;
    let key: CryptoKey = JsFuture::from(key).await.map_err(failed)?.unchecked_into();
    let nonce: [u8; NONCE_BYTES] =
        platform::random().map_err(|error| StoreError::Browser(error.to_string()))?;
    let nonce = Uint8Array::from(nonce.as_slice());
    let encrypted = subtle
        .encrypt_with_object_and_js_u8_array(&algorithm(&nonce), &key, &Uint8Array::from(secret.as_slice()))
        .map_err(failed)?;
    let encrypted = Uint8Array::new(&JsFuture::from(encrypted).await.map_err(failed)?);
    settings
        .put_all(&[(WRAPPING_KEY, &key), (NONCE, &nonce), (WRAPPED, &encrypted)])
        .await
}

async fn unwrap(subtle: &SubtleCrypto, wrapped: &Wrapped) -> Result<[u8; 32], StoreError> {
    let decrypted = subtle
        .decrypt_with_object_and_js_u8_array(&algorithm(&wrapped.nonce), &wrapped.key, &wrapped.secret)
        .map_err(failed)?;
    let damaged = |_| StoreError::Damaged("the identity cannot be decrypted".to_owned());
    let decrypted = JsFuture::from(decrypted).await.map_err(damaged)?;
    Uint8Array::new(&decrypted)
        .to_vec()
        .try_into()
        .map_err(|_| StoreError::Damaged("the identity has the wrong length".to_owned()))
}

fn algorithm(nonce: &Uint8Array) -> Object {
    let algorithm = Object::new();
    set(&algorithm, "name", &"AES-GCM".into());
    set(&algorithm, "iv", nonce);
    algorithm
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // Setting a property of a fresh object cannot fail.
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

/// `None` outside a secure context.
fn subtle() -> Result<Option<SubtleCrypto>, StartError> {
    let crypto = platform::window()?
        .crypto()
        .map_err(|error| StartError::Unsupported(platform::text_of(&error)))?;
    Ok(platform::property(&crypto, "subtle").map(JsCast::unchecked_into))
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
