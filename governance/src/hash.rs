//! Content hashes: BLAKE3 with a domain, over length-prefixed parts, so that no two different lists of parts collide.
//!
//! A hash of a contract, a request or a plan is its name everywhere: in messages, in the ledger, in logs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `parts` in `domain`; each part is preceded by its length as eight little-endian bytes.
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(&format!("sottovoce 1 {domain}"));
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", &hex::encode(self.0)[..12])
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("malformed hash: expected 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_and_split_of_parts_both_count() {
        let a = ContentHash::of("a", &[b"xy", b"z"]);
        assert_ne!(a, ContentHash::of("b", &[b"xy", b"z"]));
        assert_ne!(a, ContentHash::of("a", &[b"x", b"yz"]));
        assert_ne!(a, ContentHash::of("a", &[b"xyz"]));
        assert_eq!(ContentHash::from_hex(&a.to_string()), Some(a));
        assert_eq!(ContentHash::from_hex("12"), None);
    }
}
