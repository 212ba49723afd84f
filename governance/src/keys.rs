//! Ed25519 keys for what people and agents sign: rosters, requests. Verification takes about 25 us.
//!
//! A signature covers `"sottovoce 1 " domain 0x00 message`: a signed roster can never be read as a signed request.
//! A key is made from a 32-byte seed that the caller drew; nothing here draws randomness.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The signature is not by this key over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// Verifies `signature` over `message` in `domain`.
pub fn verify(key: &VerifyingKey, domain: &str, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    verify_untagged(key, &tagged(domain, message), signature)
}

/// For formats that separate domains by themselves: the notes of the log (`log::note` says why that holds).
pub(crate) fn verify_untagged(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(message, signature)
        .map_err(|_| BadSignature)
}

fn tagged(domain: &str, message: &[u8]) -> Vec<u8> {
    [b"sottovoce 1 ", domain.as_bytes(), &[0], message].concat()
}

/// A public key, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifyingKey(pub [u8; 32]);

impl VerifyingKey {
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::from_hex(&String::deserialize(d)?)
            .ok_or_else(|| serde::de::Error::custom("malformed key: expected 64 hexadecimal digits"))
    }
}

/// A private key. It has no `Debug`, no `Clone` and no wire form; its seed is the caller's to keep and to erase.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, BadSignature> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadSignature)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| BadSignature)?;
        Ok(Self {
            pair,
            public: VerifyingKey(public),
        })
    }

    pub fn public(&self) -> VerifyingKey {
        self.public
    }

    pub fn sign(&self, domain: &str, message: &[u8]) -> Vec<u8> {
        self.sign_untagged(&tagged(domain, message))
    }

    /// The counterpart of [`verify_untagged`].
    pub(crate) fn sign_untagged(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_domain_and_bytes_only() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let other = SigningKey::from_seed(&[8; 32]).unwrap();
        let signature = key.sign("request", b"hello");
        assert_eq!(verify(&key.public(), "request", b"hello", &signature), Ok(()));
        assert!(verify(&key.public(), "roster", b"hello", &signature).is_err());
        assert!(verify(&key.public(), "request", b"hellp", &signature).is_err());
        assert!(verify(&other.public(), "request", b"hello", &signature).is_err());
        assert!(verify(&key.public(), "request", b"hello", &signature[1..]).is_err());
    }
}
