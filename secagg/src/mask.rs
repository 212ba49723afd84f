//! The mask kernel. A mask is the AES-256-CTR keystream of a key made of one seed and one `ctx2`; it is expanded in
//! registers and added onto the vector where it lies, a cache-sized block at a time with all masks inner, so no mask is ever
//! in memory and the vector is read from memory once. The cipher picks VAES at run time, and because the addition runs
//! inside the cipher's own loop it is compiled for the same instructions.
//!
//! Key: BLAKE3 keyed with the seed over a domain and `ctx2`. Counter block: big-endian from zero, so a key must not serve two vectors; a
//! `ctx2` names one epoch, slot, context and cohort, and a slot is used once.

use aes::Aes256;
use cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InnerIvInit,
    KeyInit, ParBlocks, StreamCipher,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::digest::Digest;
use crate::ring::{Ring, RingVec};

/// What a mask grows from: `b_i[s]` or `r_ij[s]`.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Seed(pub [u8; 32]);

/// Whether a mask is put on or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Add the mask.
    Plus,
    /// Subtract the mask.
    Minus,
}

impl Sign {
    /// The other one.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

/// Bytes of the vector worked on at a time; stays in L1, with its counter blocks, while all masks pass over it.
const BLOCK_BYTES: usize = 8 * 1024;

/// Adds `sign * PRG(seed, ctx2)` to `vector`.
pub fn add(seed: &Seed, ctx2: &Digest, sign: Sign, vector: &mut RingVec) {
    add_all(&[(seed.clone(), sign)], ctx2, vector);
}

/// Adds all masks to `vector`, block by block.
pub fn add_all(masks: &[(Seed, Sign)], ctx2: &Digest, vector: &mut RingVec) {
    let ciphers: Vec<(Aes256, Sign)> = masks.iter().map(|(seed, sign)| (cipher(seed, ctx2), *sign)).collect();
    let ring = vector.ring();
    let mut counter = 0u128;
    let mut counters = [Block::<Aes256>::default(); BLOCK_BYTES / 16];
    for block in vector.bytes_mut().chunks_mut(BLOCK_BYTES) {
        for input in &mut counters {
            *input = counter.to_be_bytes().into();
            counter += 1;
        }
        for (cipher, sign) in &ciphers {
            match (ring, *sign) {
                (Ring::Z32, Sign::Plus) => cipher.encrypt_with_backend(AddKeystream::<4, false>(&counters, block)),
                (Ring::Z32, Sign::Minus) => cipher.encrypt_with_backend(AddKeystream::<4, true>(&counters, block)),
                (Ring::Z64, Sign::Plus) => cipher.encrypt_with_backend(AddKeystream::<8, false>(&counters, block)),
                (Ring::Z64, Sign::Minus) => cipher.encrypt_with_backend(AddKeystream::<8, true>(&counters, block)),
            }
        }
    }
}

/// The bare keystream by the `ctr` crate: what a mask is, for vectors and
/// benchmarks. From a zero counter a 64-bit one gives the same blocks as a 128-bit one, and faster.
pub fn keystream(seed: &Seed, ctx2: &Digest, out: &mut [u8]) {
    let core = ctr::CtrCore::inner_iv_init(cipher(seed, ctx2), &[0; 16].into());
    ctr::Ctr64BE::from_core(core).write_keystream(out);
}

fn cipher(seed: &Seed, ctx2: &Digest) -> Aes256 {
    let mut hasher = blake3::Hasher::new_keyed(&seed.0);
    hasher.update(b"sottovoce/secagg/v1/mask");
    hasher.update(&ctx2.0);
    let mut key = *hasher.finalize().as_bytes();
    let cipher = Aes256::new(&key.into());
    key.zeroize();
    cipher
}

/// Adds (or, if `MINUS`, subtracts) the encrypted counter blocks to values of `WIDTH` bytes. Handed to the cipher, which
/// calls it from inside its loop with its own instruction set enabled.
///
/// # Discussion
/// The `ctr` crate would make the counter blocks anew for every mask, one scalar byte swap each. All masks of a vector count
/// alike, so here they are made once a block and read by all (tests/speed.rs measures both).
struct AddKeystream<'a, const WIDTH: usize, const MINUS: bool>(&'a [Block<Aes256>], &'a mut [u8]);

impl<const WIDTH: usize, const MINUS: bool> BlockSizeUser for AddKeystream<'_, WIDTH, MINUS> {
    type BlockSize = <Aes256 as BlockSizeUser>::BlockSize;
}

impl<const WIDTH: usize, const MINUS: bool> BlockCipherEncClosure for AddKeystream<'_, WIDTH, MINUS> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = Self::BlockSize>>(self, backend: &B) {
        let Self(counters, values) = self;
        let mut keystream = ParBlocks::<B>::default();
        let width = size_of_val(&keystream);
        let (batches, _) = ParBlocks::<B>::slice_as_chunks(counters);
        let mut batched = values.chunks_exact_mut(width);
        let mut done = 0;
        for (values, counters) in batched.by_ref().zip(batches) {
            backend.encrypt_par_blocks((counters, &mut keystream).into());
            combine::<WIDTH, MINUS>(values, Array::cast_slice_to_core(&keystream).as_flattened());
            done += keystream.len();
        }
        for (values, counter) in batched.into_remainder().chunks_mut(16).zip(&counters[done..]) {
            let mut keystream = Block::<Self>::default();
            backend.encrypt_block((counter, &mut keystream).into());
            combine::<WIDTH, MINUS>(values, &keystream.as_slice()[..values.len()]);
        }
    }
}

#[inline(always)]
fn combine<const WIDTH: usize, const MINUS: bool>(values: &mut [u8], keystream: &[u8]) {
    if WIDTH == 4 {
        for (value, key) in values
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip(keystream.as_chunks::<4>().0)
        {
            let (a, b) = (u32::from_le_bytes(*value), u32::from_le_bytes(*key));
            *value = if MINUS { a.wrapping_sub(b) } else { a.wrapping_add(b) }.to_le_bytes();
        }
    } else {
        for (value, key) in values
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(keystream.as_chunks::<8>().0)
        {
            let (a, b) = (u64::from_le_bytes(*value), u64::from_le_bytes(*key));
            *value = if MINUS { a.wrapping_sub(b) } else { a.wrapping_add(b) }.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipher::KeyIvInit;

    type Reference = ctr::Ctr128BE<Aes256>;

    #[test]
    fn sp_800_38a_f5_5_holds_under_the_cipher_and_counter_we_use() {
        let unhex = |text: &str| hex::decode(text).unwrap();
        let key: [u8; 32] = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
            .try_into()
            .unwrap();
        let counter: [u8; 16] = unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
        let mut text = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        Reference::new(&key.into(), &counter.into()).apply_keystream(&mut text);
        assert_eq!(
            hex::encode(text),
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        );
    }

    #[test]
    fn a_mask_is_the_plain_keystream_added_value_by_value_at_every_length() {
        let (seed, ctx2) = (Seed([3; 32]), Digest([4; 32]));
        for dim in [0, 1, 2, 3, 5, 255, 256, 257, 4096, 4097, 10_000] {
            for ring in [Ring::Z32, Ring::Z64] {
                let mut plain = vec![0u8; dim * ring.bytes_per_value()];
                keystream(&seed, &ctx2, &mut plain);
                let mut vector = RingVec::zero(ring, dim);
                add(&seed, &ctx2, Sign::Plus, &mut vector);
                assert!(vector.as_bytes() == plain, "dim = {dim}, {ring:?}");
                add(&seed, &ctx2, Sign::Minus, &mut vector);
                assert!(vector == RingVec::zero(ring, dim));
            }
        }
    }

    #[test]
    fn many_masks_at_once_are_the_same_as_one_after_the_other() {
        let ctx2 = Digest([5; 32]);
        let masks: Vec<_> = (0..9)
            .map(|i| (Seed([i; 32]), if i % 3 == 0 { Sign::Minus } else { Sign::Plus }))
            .collect();
        let values: Vec<i64> = (0..9_001).map(|v| v * v - 77).collect();
        let mut together = RingVec::from_i64s(Ring::Z32, &values);
        let mut apart = together.clone();
        add_all(&masks, &ctx2, &mut together);
        masks
            .iter()
            .for_each(|(seed, sign)| add(seed, &ctx2, *sign, &mut apart));
        assert!(together == apart);
    }
}
