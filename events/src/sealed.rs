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
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl std::fmt::Debug for Sealed {
    /// Whose it is and nothing of what is in it, not even its length.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("person", &self.person).finish_non_exhaustive()
    }
}

/// Why a value cannot be sealed or opened. Says nothing of the value: what a parser objects to, it
/// often quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The value has no JSON form, or is larger than the cipher takes.
    #[error("a value of person {person} cannot be sealed")]
    Unsealable {
        /// Whose value it is.
        person: Uuid,
    },
    /// Wrong key, wrong person, or changed bytes.
    #[error("the sealed value of person {person} cannot be opened with this key")]
    Unopenable {
        /// Whose key was expected.
        person: Uuid,
    },
    /// It was opened, and is not what was asked for.
    #[error("the sealed value of person {person} is of another kind")]
    OtherKind {
        /// Whose value it is.
        person: Uuid,
    },
}

impl Sealed {
    /// Seals `value` with the key of `person`.
    pub fn seal<T: Serialize>(person: Uuid, key: &PersonKey, value: &T) -> Result<Self, SealError> {
        let unsealable = SealError::Unsealable { person };
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let plaintext = serde_json::to_vec(value).map_err(|_| unsealable)?;
        let ciphertext = cipher(key)
            .encrypt(&XNonce::from(nonce), Payload { msg: &plaintext, aad: person.as_bytes() })
            .map_err(|_| unsealable)?;
        Ok(Self { person, nonce: nonce.to_vec(), ciphertext })
    }

    /// Opens the value with the key of the person it belongs to.
    pub fn open<T: DeserializeOwned>(&self, key: &PersonKey) -> Result<T, SealError> {
        let unopenable = SealError::Unopenable { person: self.person };
        let nonce = <[u8; NONCE_BYTES]>::try_from(self.nonce.as_slice()).map_err(|_| unopenable)?;
        let plaintext = cipher(key)
            .decrypt(&XNonce::from(nonce), Payload { msg: &self.ciphertext, aad: self.person.as_bytes() })
            .map_err(|_| unopenable)?;
        serde_json::from_slice(&plaintext).map_err(|_| SealError::OtherKind { person: self.person })
    }
}

const NONCE_BYTES: usize = 24;

fn cipher(key: &PersonKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(key.0))
}
