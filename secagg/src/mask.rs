//! The mask kernel. A mask is the AES-256-CTR keystream of a key made of one seed and one `ctx2`; it is expanded in
//! registers and added onto the vector where it lies, a cache-sized block at a time with all masks inner, so no mask is ever
//! in memory and the vector is read from memory once. The cipher picks VAES at run time, and because the addition runs
//! inside the cipher's own loop it is compiled for the same instructions.
//!
//! Key: BLAKE3 keyed with the seed over a domain and `ctx2`. Counter block: big-endian from zero, so a key must not serve two vectors; a
//! `ctx2` names one epoch, slot, context and cohort, and a slot is used once.

use aes::Aes256;
use cipher::{Block, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherBackend, StreamCipherClosure, StreamCipherCore};
use ctr::{CtrCore, flavors::Ctr64BE};
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

/// Bytes of the vector worked on at a time; stays in L1 while all masks pass over it.
const BLOCK_BYTES: usize = 16 * 1024;

type Stream = CtrCore<Aes256, Ctr64BE>;

/// Adds `sign * PRG(seed, ctx2)` to `vector`.
pub fn add(seed: &Seed, ctx2: &Digest, sign: Sign, vector: &mut RingVec) {
    add_all(&[(seed.clone(), sign)], ctx2, vector);
}

/// Adds all masks to `vector`, block by block.
pub fn add_all(masks: &[(Seed, Sign)], ctx2: &Digest, vector: &mut RingVec) {
    let mut streams: Vec<(Stream, Sign)> = masks.iter().map(|(seed, sign)| (stream(seed, ctx2), *sign)).collect();
    let ring = vector.ring();
    for block in vector.bytes_mut().chunks_mut(BLOCK_BYTES) {
        for (stream, sign) in &mut streams {
            match (ring, *sign) {
                (Ring::Z32, Sign::Plus) => stream.process_with_backend(AddKeystream::<4, false>(block)),
                (Ring::Z32, Sign::Minus) => stream.process_with_backend(AddKeystream::<4, true>(block)),
                (Ring::Z64, Sign::Plus) => stream.process_with_backend(AddKeystream::<8, false>(block)),
                (Ring::Z64, Sign::Minus) => stream.process_with_backend(AddKeystream::<8, true>(block)),
            }
        }
    }
}

fn stream(seed: &Seed, ctx2: &Digest) -> Stream {
    let mut hasher = blake3::Hasher::new_keyed(&seed.0);
    hasher.update(b"sottovoce/secagg/v1/mask");
    hasher.update(&ctx2.0);
    let mut key = *hasher.finalize().as_bytes();
    let stream = Stream::inner_iv_init(Aes256::new(&key.into()), &[0u8; 16].into());
    key.zeroize();
    stream
}

/// Adds (or, if `MINUS`, subtracts) keystream to values of `WIDTH` bytes. Handed to the cipher, which calls it from inside
/// its loop with its own instruction set enabled.
struct AddKeystream<'a, const WIDTH: usize, const MINUS: bool>(&'a mut [u8]);

impl<const WIDTH: usize, const MINUS: bool> BlockSizeUser for AddKeystream<'_, WIDTH, MINUS> {
    type BlockSize = <Stream as BlockSizeUser>::BlockSize;
}

impl<const WIDTH: usize, const MINUS: bool> StreamCipherClosure for AddKeystream<'_, WIDTH, MINUS> {
    #[inline(always)]
    fn call<B: StreamCipherBackend<BlockSize = Self::BlockSize>>(self, backend: &mut B) {
        let mut rest = self.0;
        let mut parallel = cipher::ParBlocks::<B>::default();
        let width = size_of_val(&parallel);
        while rest.len() >= width {
            let (head, tail) = rest.split_at_mut(width);
            backend.gen_par_ks_blocks(&mut parallel);
            for (values, keystream) in head.as_chunks_mut::<16>().0.iter_mut().zip(&parallel) {
                combine::<WIDTH, MINUS>(values, keystream.as_slice());
            }
            rest = tail;
        }
        let mut keystream = Block::<Self>::default();
        for values in rest.chunks_mut(16) {
            backend.gen_ks_block(&mut keystream);
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
