//! The keystream as 64-bit words: AES-256-CTR, refilled 8 KiB at a time, erased when dropped.

use aes::Aes256;
use ctr::Ctr64LE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroize;

const WORDS: usize = 1024;

pub(super) struct Words {
    stream: Ctr64LE<Aes256>,
    bytes: Vec<u8>,
    words: Vec<u64>,
    next: usize,
}

impl Words {
    /// The counter starts at 0: a key serves one stream only.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let stream = Ctr64LE::<Aes256>::new(key.into(), &[0; 16].into());
        Self {
            stream,
            bytes: vec![0; WORDS * 8],
            words: vec![0; WORDS],
            next: WORDS,
        }
    }

    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        if self.next >= self.words.len() {
            self.refill();
        }
        let word = self.words[self.next];
        self.next += 1;
        word
    }

    /// Uniform in `0..range`, exactly: the high half of `word * range`, redrawn when the low half falls below `2^64 mod range` \[Lemire 2019\].
    #[inline]
    pub(super) fn below(&mut self, range: u64, excess: u64) -> u64 {
        loop {
            let wide = u128::from(self.next()) * u128::from(range);
            if wide as u64 >= excess {
                return (wide >> 64) as u64;
            }
        }
    }

    #[cold]
    fn refill(&mut self) {
        self.stream.write_keystream(&mut self.bytes);
        for (word, bytes) in self.words.iter_mut().zip(self.bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        self.next = 0;
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.bytes.zeroize();
        self.words.zeroize();
    }
}

/// `2^64 mod range`: what [`Words::below`] must leave out to be uniform.
pub(super) fn excess(range: u64) -> u64 {
    range.wrapping_neg() % range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_aes_256_in_counter_mode() {
        // FIPS 197 appendix C.3 uses another plaintext; here the first block is AES-256(key 0, block 0), a NIST known answer (AESAVS).
        let mut words = Words::new(&[0; 32]);
        let mut first = words.next().to_le_bytes().to_vec();
        first.extend(words.next().to_le_bytes());
        assert_eq!(
            first,
            [
                0xdc, 0x95, 0xc0, 0x78, 0xa2, 0x40, 0x89, 0x89, 0xad, 0x48, 0xa2, 0x14, 0x92, 0x84, 0x20, 0x87
            ]
        );
    }

    #[test]
    fn refilling_does_not_repeat_words() {
        let mut words = Words::new(&[9; 32]);
        let mut seen: Vec<u64> = (0..5 * WORDS).map(|_| words.next()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 5 * WORDS);
    }

    #[test]
    fn every_residue_is_equally_likely() {
        let mut words = Words::new(&[1; 32]);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[words.below(5, excess(5)) as usize] += 1;
        }
        assert!(
            counts
                .iter()
                .all(|c| (*c as f64 - 10_000.0).abs() < 5.0 * 10_000f64.sqrt()),
            "{counts:?}"
        );
    }
}
