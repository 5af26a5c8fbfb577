//! Personal data in the log is ciphertext under a key of the person it belongs to. Erasing the key
//! erases the person, and every event, position and proof stays as it was.
//!
//! XChaCha20-Poly1305 with a random 24-byte nonce; the person's id is authenticated with it, so that a
//! sealed value cannot be moved to somebody else.

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use rand::RngCore;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A person's key. It never appears in a log line, an event or an error.
#[derive(Clone)]
pub struct PersonKey([u8; Self::BYTES]);

impl PersonKey {
    /// The length of a key.
    pub const BYTES: usize = 32;

    /// A key from a key store.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonKey(..)")
    }
}

/// Ciphertext of one JSON value, and whose key opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Whose key opens it.
    pub person: Uuid,
    /// Hex.
    #[serde(with = "hex::serde")]
    nonce: Vec<u8>,
    /// Hex, with the authentication tag.
    #[serde(with = "hex::serde")]
    ciphertext: Vec<u8>,
}

/// Why a value cannot be sealed or opened. Says nothing of the value.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Wrong key, wrong person, or changed bytes.
    #[error("the sealed value of person {person} cannot be opened with this key")]
    Unopenable {
        /// Whose key was expected.
        person: Uuid,
    },
    /// The value has no JSON form, or was not what was asked for.
    #[error("the value cannot be represented: {0}")]
    Value(#[from] serde_json::Error),
}

impl Sealed {
    /// Seals `value` with the key of `person`.
    pub fn seal<T: Serialize>(person: Uuid, key: &PersonKey, value: &T) -> Result<Self, SealError> {
        let mut nonce = vec![0; 24];
        rand::rng().fill_bytes(&mut nonce);
        let plaintext = serde_json::to_vec(value)?;
        let ciphertext = cipher(key)
            .encrypt(&nonce_of(&nonce), Payload { msg: &plaintext, aad: person.as_bytes() })
            .map_err(|_| SealError::Unopenable { person })?;
        Ok(Self { person, nonce, ciphertext })
    }

    /// Opens the value with the key of the person it belongs to.
    pub fn open<T: DeserializeOwned>(&self, key: &PersonKey) -> Result<T, SealError> {
        let unopenable = || SealError::Unopenable { person: self.person };
        if self.nonce.len() != 24 {
            return Err(unopenable());
        }
        let plaintext = cipher(key)
            .decrypt(&nonce_of(&self.nonce), Payload { msg: &self.ciphertext, aad: self.person.as_bytes() })
            .map_err(|_| unopenable())?;
        Ok(serde_json::from_slice(&plaintext)?)
    }
}

fn cipher(key: &PersonKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(key.0))
}

fn nonce_of(bytes: &[u8]) -> XNonce {
    let mut nonce = [0; 24];
    nonce.copy_from_slice(bytes);
    XNonce::from(nonce)
}
