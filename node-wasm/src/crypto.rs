//! WebCrypto, as far as a key at rest and a backup need it: AES-GCM with 256 bits, PBKDF2, SHA-256.

use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, SubtleCrypto};

use crate::error::StartError;
use crate::platform;

/// What AES-GCM takes beside the key; never twice with one key.
pub(crate) const NONCE_BYTES: usize = 12;

/// Rounds of PBKDF2-SHA-256, as OWASP's password storage cheat sheet asks for (2023).
const ROUNDS: u32 = 600_000;

/// `None` outside a secure context.
pub(crate) fn subtle() -> Result<Option<SubtleCrypto>, StartError> {
    let crypto = platform::window()?
        .crypto()
        .map_err(|error| StartError::Unsupported(platform::text_of(&error)))?;
    Ok(platform::property(&crypto, "subtle").map(JsCast::unchecked_into))
}

/// A new key that never leaves the browser.
pub(crate) async fn new_key(subtle: &SubtleCrypto) -> Result<CryptoKey, JsValue> {
    key(subtle.generate_key_with_object(&aes(), false, &usages())).await
}

/// A key of these bytes.
pub(crate) async fn key_from(subtle: &SubtleCrypto, bytes: &[u8; 32]) -> Result<CryptoKey, JsValue> {
    let bytes = Uint8Array::from(&bytes[..]);
    key(subtle.import_key_with_object("raw", &bytes, &aes(), false, &usages())).await
}

/// The key that a passphrase and a salt make.
pub(crate) async fn key_of(
    subtle: &SubtleCrypto,
    passphrase: &str,
    salt: &[u8],
) -> Result<CryptoKey, JsValue> {
    // Keyboards write one letter in several ways; a person's passphrase is the same on all of them.
    let passphrase = String::from(js_sys::JsString::from(passphrase).normalize("NFC"));
    let bytes = Uint8Array::from(passphrase.as_bytes());
    let uses = platform::strings(["deriveKey"]);
    let base = key(subtle.import_key_with_str("raw", &bytes, "PBKDF2", false, &uses)).await?;
    let derivation = object(&[
        ("name", "PBKDF2".into()),
        ("hash", "SHA-256".into()),
        ("salt", Uint8Array::from(salt).into()),
        ("iterations", ROUNDS.into()),
    ]);
    key(subtle.derive_key_with_object_and_object(&derivation, &base, &aes(), false, &usages())).await
}

/// Encrypts; `bound` is authenticated with it and not part of the result.
pub(crate) async fn encrypt(
    subtle: &SubtleCrypto,
    key: &CryptoKey,
    nonce: &Uint8Array,
    bound: &[u8],
    plain: &Uint8Array,
) -> Result<Uint8Array, JsValue> {
    bytes(subtle.encrypt_with_object_and_js_u8_array(&with(nonce, bound), key, plain)).await
}

/// The way back; fails if any of the arguments is not what it was.
pub(crate) async fn decrypt(
    subtle: &SubtleCrypto,
    key: &CryptoKey,
    nonce: &Uint8Array,
    bound: &[u8],
    encrypted: &Uint8Array,
) -> Result<Uint8Array, JsValue> {
    bytes(subtle.decrypt_with_object_and_js_u8_array(&with(nonce, bound), key, encrypted)).await
}

/// A checksum.
pub(crate) async fn sha256(subtle: &SubtleCrypto, of: &Uint8Array) -> Result<Uint8Array, JsValue> {
    bytes(subtle.digest_with_str_and_js_u8_array("SHA-256", of)).await
}

async fn key(promise: Result<Promise, JsValue>) -> Result<CryptoKey, JsValue> {
    Ok(JsFuture::from(promise?).await?.unchecked_into())
}

async fn bytes(promise: Result<Promise, JsValue>) -> Result<Uint8Array, JsValue> {
    Ok(Uint8Array::new(&JsFuture::from(promise?).await?))
}

fn aes() -> Object {
    object(&[("name", "AES-GCM".into()), ("length", 256.into())])
}

fn usages() -> JsValue {
    platform::strings(["encrypt", "decrypt"]).into()
}

fn with(nonce: &Uint8Array, bound: &[u8]) -> Object {
    object(&[
        ("name", "AES-GCM".into()),
        ("iv", nonce.into()),
        ("additionalData", Uint8Array::from(bound).into()),
    ])
}

fn object(fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}
