//! The hybrid key agreement of a pair: X25519 [RFC 7748] and ML-KEM-768 [FIPS 203] together, so that a pair key stays
//! secret while either holds. About 17 us for X25519 and 15 us for ML-KEM a pair.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::Prk;
use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::Digest;
use crate::entropy::{Entropy, draw};
use crate::seal::{Key, expand, extract};

/// Bytes of an ML-KEM-768 encapsulation key.
pub(crate) const EK_BYTES: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext.
pub(crate) const CT_BYTES: usize = 1088;

/// What a member's epoch keys grow from. Kept until setup ends, because it is also what a dispute shows.
#[derive(Clone, Zeroize, zeroize::ZeroizeOnDrop)]
pub(crate) struct KeySeed {
    pub(crate) x25519: [u8; 32],
    pub(crate) mlkem: [u8; 64],
    /// Every encapsulation's randomness is derived from this.
    pub(crate) encaps: [u8; 32],
}

/// Bytes of a [`KeySeed`].
pub(crate) const SEED_BYTES: usize = 128;

impl KeySeed {
    pub(crate) fn draw(entropy: &mut dyn Entropy) -> Self {
        Self {
            x25519: *draw::<32>(entropy),
            mlkem: *draw::<64>(entropy),
            encaps: *draw::<32>(entropy),
        }
    }

    pub(crate) fn to_bytes(&self) -> [u8; SEED_BYTES] {
        let mut out = [0u8; SEED_BYTES];
        out[..32].copy_from_slice(&self.x25519);
        out[32..96].copy_from_slice(&self.mlkem);
        out[96..].copy_from_slice(&self.encaps);
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8; SEED_BYTES]) -> Self {
        let mut seed = Self {
            x25519: [0; 32],
            mlkem: [0; 64],
            encaps: [0; 32],
        };
        seed.x25519.copy_from_slice(&bytes[..32]);
        seed.mlkem.copy_from_slice(&bytes[32..96]);
        seed.encaps.copy_from_slice(&bytes[96..]);
        seed
    }

    /// Encapsulates to the member `to`; deterministic, so that a dispute can repeat it.
    pub(crate) fn encapsulate(&self, to: u16, ek: &[u8; EK_BYTES]) -> (Box<[u8; CT_BYTES]>, Key) {
        let prk = extract(b"sottovoce/secagg/v1/encapsulation", &self.encaps);
        let randomness = expand(&prk, &[&to.to_le_bytes()]);
        let (ct, secret) = mlkem768::encapsulate(&MlKem768PublicKey::from(ek), *randomness);
        (Box::new(*ct.as_slice()), Zeroizing::new(secret))
    }

    /// The public keys: X25519 and the ML-KEM encapsulation key.
    pub(crate) fn public(&self) -> ([u8; 32], Box<[u8; EK_BYTES]>) {
        let mut x25519 = [0u8; 32];
        // Unwrap safety: any 32 bytes are an X25519 private key, and its public key always exists.
        let public = self.x25519_key().compute_public_key().expect("an x25519 public key");
        x25519.copy_from_slice(public.as_ref());
        let (mut dk, ek) = mlkem768::generate_key_pair(self.mlkem).into_parts();
        let len = MlKem768PrivateKey::len();
        dk[0..len].zeroize();
        (x25519, Box::new(*ek.as_slice()))
    }

    fn x25519_key(&self) -> PrivateKey {
        // Unwrap safety: aws-lc takes any 32 bytes as an X25519 private key and clamps them itself.
        PrivateKey::from_private_key(&X25519, &self.x25519).expect("32 bytes of x25519 key")
    }

    /// The private keys, ready for many peers.
    pub(crate) fn open(&self) -> OpenKeys {
        let (dk, _) = mlkem768::generate_key_pair(self.mlkem).into_parts();
        OpenKeys {
            x25519: self.x25519_key(),
            dk,
        }
    }
}

/// Private keys in the form the libraries want. aws-lc cleanses its own; libcrux does not, so ours is wiped on drop.
pub(crate) struct OpenKeys {
    x25519: PrivateKey,
    dk: MlKem768PrivateKey,
}

impl OpenKeys {
    /// X25519 with a peer; nothing if the result is zero, as for a point of small order.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Option<Key> {
        let shared = agree(&self.x25519, UnparsedPublicKey::new(&X25519, peer), (), |secret| {
            let mut out = Key::default();
            if secret.len() != 32 {
                return Err(());
            }
            out.copy_from_slice(secret);
            Ok(out)
        })
        .ok()?;
        let zero: bool = subtle::ConstantTimeEq::ct_eq(shared.as_slice(), &[0u8; 32][..]).into();
        (!zero).then_some(shared)
    }

    /// Opens a ciphertext; a wrong one gives an unrelated secret (implicit rejection), which the boxes then reveal.
    pub(crate) fn decapsulate(&self, ct: &[u8; CT_BYTES]) -> Key {
        Zeroizing::new(mlkem768::decapsulate(&self.dk, &MlKem768Ciphertext::from(ct)))
    }
}

impl Drop for OpenKeys {
    fn drop(&mut self) {
        let len = MlKem768PrivateKey::len();
        self.dk[0..len].zeroize();
    }
}

/// Whether an encapsulation key is well formed [FIPS 203, 7.2].
pub(crate) fn valid_ek(ek: &[u8; EK_BYTES]) -> bool {
    mlkem768::validate_public_key(&MlKem768PublicKey::from(ek))
}

/// The pair key `K_ij`, low index first: HKDF over both secrets, bound to the epoch, the ids, both Hellos and the ciphertext.
pub(crate) struct PairContext<'a> {
    pub(crate) epoch_id: &'a Digest,
    pub(crate) roster_hash: &'a Digest,
    pub(crate) low: u16,
    pub(crate) high: u16,
    pub(crate) hello_low: &'a Digest,
    pub(crate) hello_high: &'a Digest,
    pub(crate) ct: &'a [u8; CT_BYTES],
}

impl PairContext<'_> {
    pub(crate) fn combine(&self, x25519: &Key, mlkem: &Key) -> Prk {
        let salt = Digest::of(
            "sottovoce/secagg/v1/pair-salt",
            &[&self.epoch_id.0, &self.roster_hash.0],
        );
        let mut secret = Zeroizing::new([0u8; 64]);
        secret[..32].copy_from_slice(x25519.as_ref());
        secret[32..].copy_from_slice(mlkem.as_ref());
        let prk = extract(&salt.0, secret.as_ref());
        let info = Digest::of(
            "sottovoce/secagg/v1/pair-key",
            &[
                &self.low.to_le_bytes(),
                &self.high.to_le_bytes(),
                &self.hello_low.0,
                &self.hello_high.0,
                self.ct,
            ],
        );
        // The second extract makes a PRK of the expanded key, so that later labels need no repeat of the context.
        extract(&salt.0, expand(&prk, &[&info.0]).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;
    use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn seed_with_x25519(x25519: [u8; 32]) -> KeySeed {
        KeySeed {
            x25519,
            mlkem: [1; 64],
            encaps: [2; 32],
        }
    }

    #[test]
    fn rfc_7748_section_6_1_holds() {
        let alice = seed_with_x25519(unhex(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = seed_with_x25519(unhex(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        let alice_public = unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        let bob_public = unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        let shared: [u8; 32] = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(alice.public().0, alice_public);
        assert_eq!(bob.public().0, bob_public);
        assert_eq!(alice.open().agree(&bob_public).unwrap()[..], shared);
        assert_eq!(bob.open().agree(&alice_public).unwrap()[..], shared);
    }

    #[test]
    fn a_point_of_small_order_gives_no_key() {
        let keys = KeySeed::draw(&mut Seeded::new(1)).open();
        let order_eight = unhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
        for point in [
            [0; 32],
            {
                let mut one = [0; 32];
                one[0] = 1;
                one
            },
            order_eight,
        ] {
            assert!(keys.agree(&point).is_none());
        }
    }

    #[test]
    fn fips_203_by_libcrux_and_by_aws_lc_are_the_same() {
        for round in 0..20 {
            let seed = KeySeed::draw(&mut Seeded::new(round));
            let (_, ek) = seed.public();
            assert!(valid_ek(&ek));
            let (dk, _) = mlkem768::generate_key_pair(seed.mlkem).into_parts();
            let oracle = DecapsulationKey::new(&ML_KEM_768, dk.as_slice()).unwrap();
            let by_oracle = |ct: &[u8]| oracle.decapsulate(Ciphertext::from(ct)).unwrap().as_ref().to_vec();
            let (ct, secret) = KeySeed::draw(&mut Seeded::new(100 + round)).encapsulate(7, &ek);
            assert_eq!(by_oracle(&*ct), secret[..]);
            assert_eq!(seed.open().decapsulate(&ct)[..], secret[..]);
            let mut wrong = ct.clone();
            wrong[round as usize] ^= 1;
            let rejected = seed.open().decapsulate(&wrong);
            assert_ne!(rejected[..], secret[..]);
            assert_eq!(by_oracle(&*wrong), rejected[..]);
            // And the other way: what the oracle encapsulates to our key, we open.
            let theirs = EncapsulationKey::new(&ML_KEM_768, &*ek).unwrap();
            let (ct, secret) = theirs.encapsulate().unwrap();
            let ct: [u8; CT_BYTES] = ct.as_ref().try_into().unwrap();
            assert_eq!(seed.open().decapsulate(&ct)[..], *secret.as_ref());
        }
        assert!(!valid_ek(&[0xff; EK_BYTES]));
    }
}
