//! Keys and boxes: HKDF-SHA256 [RFC 5869] and AES-256-GCM, both by aws-lc. Every key seals one box, so the nonce is zero.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// A 32-byte secret that wipes itself.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Bytes a box is longer than its content.
pub(crate) const TAG_BYTES: usize = 16;

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Extract.
pub(crate) fn extract(salt: &[u8], secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, salt).extract(secret)
}

/// HKDF-Expand to 32 bytes; `info` parts are fixed-size or last, so their concatenation is unambiguous.
pub(crate) fn expand(prk: &Prk, info: &[&[u8]]) -> Key {
    let mut out = Key::default();
    // Unwrap safety: HKDF-SHA256 gives up to 8160 bytes; 32 never fail.
    prk.expand(info, Len(32))
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("32 bytes of hkdf output");
    out
}

fn cipher(key: &Key) -> LessSafeKey {
    // Unwrap safety: AES-256-GCM takes keys of 32 bytes, and this is one.
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key of 32 bytes"))
}

/// Seals `content` under a key that is used this once.
pub(crate) fn seal(key: &Key, aad: &[u8], mut content: Zeroizing<Vec<u8>>) -> Vec<u8> {
    content.reserve_exact(TAG_BYTES);
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    // Unwrap safety: sealing fails beyond 64 GiB only; boxes are bounded far below.
    let tag = cipher(key)
        .seal_in_place_separate_tag(nonce, Aad::from(aad), content.as_mut_slice())
        .expect("a box below 64 GiB");
    let mut sealed = std::mem::take(&mut *content); // ciphertext by now
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens a box, or nothing if it is not one.
pub(crate) fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let len = cipher(key)
        .open_in_place(nonce, Aad::from(aad), content.as_mut_slice())
        .ok()?
        .len();
    content.truncate(len);
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5869_first_vector_holds() {
        let prk = extract(&hex::decode("000102030405060708090a0b0c").unwrap(), &[0x0b; 22]);
        let okm = expand(&prk, &[&hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap()]);
        assert_eq!(
            hex::encode(*okm),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
    }

    #[test]
    fn a_box_opens_only_with_its_key_and_its_label() {
        let key = Key::new([1; 32]);
        let sealed = seal(&key, b"label", Zeroizing::new(b"content".to_vec()));
        assert_eq!(open(&key, b"label", &sealed).unwrap().as_slice(), b"content");
        assert!(open(&key, b"other", &sealed).is_none());
        assert!(open(&Key::new([2; 32]), b"label", &sealed).is_none());
        assert!(open(&key, b"label", &sealed[1..]).is_none());
        assert!(open(&key, b"label", &[]).is_none());
    }
}
