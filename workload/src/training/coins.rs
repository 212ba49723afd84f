//! Secret coins: which units take part in a step, which rows a local batch holds. The participant brings the key, fresh
//! from its operating system for every round; nothing here is ambient. About a nanosecond a coin.

use governance::canonical::Real;

/// A source of independent, uniform, secret 64-bit words.
pub trait Coins {
    fn next_u64(&mut self) -> u64;
}

/// BLAKE3's extended output under a key that serves this one round. No `Debug`, no `Clone`: two copies would agree.
pub struct KeyedCoins {
    stream: blake3::OutputReader,
    words: [u8; 1024],
    used: usize,
}

impl KeyedCoins {
    pub fn new(key: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("sottovoce 1 training coins");
        hasher.update(key);
        Self {
            stream: hasher.finalize_xof(),
            words: [0; 1024],
            used: 1024,
        }
    }
}

impl Coins for KeyedCoins {
    fn next_u64(&mut self) -> u64 {
        if self.used == self.words.len() {
            self.stream.fill(&mut self.words);
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.words[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }
}

/// A coin that falls on its head with probability `floor(q 2^64) / 2^64`: exactly q for any double of at least 2^-11,
/// and below that never more often than the rate that is charged.
#[derive(Clone, Copy, Debug)]
pub struct Bernoulli {
    threshold: u128,
}

impl Bernoulli {
    pub fn new(q: Real) -> Self {
        // Scaling by a power of two is exact; the cast truncates and saturates, so a rate outside [0, 1] is one of its
        // ends.
        let scaled = (q.get() * 18_446_744_073_709_551_616.0) as u128;
        Self {
            threshold: scaled.min(1 << 64),
        }
    }

    /// One word is drawn whatever the rate, so a trace of words says nothing about outcomes.
    pub fn toss(&self, coins: &mut dyn Coins) -> bool {
        u128::from(coins.next_u64()) < self.threshold
    }
}

/// A number below `n`, at most 2^-32 from uniform in total variation for any n here: local batches carry no claim.
pub(super) fn below(n: usize, coins: &mut dyn Coins) -> usize {
    ((u128::from(coins.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_keeps_its_rate() {
        let mut coins = KeyedCoins::new(&[7; 32]);
        for q in [0.0, 0.05, 0.5, 1.0] {
            let coin = Bernoulli::new(Real::new(q).unwrap());
            let heads = (0..40_000).filter(|_| coin.toss(&mut coins)).count() as f64;
            let sd = (40_000.0 * q * (1.0 - q)).sqrt();
            assert!((heads - 40_000.0 * q).abs() <= 5.0 * sd, "{heads} at {q}");
        }
    }
}
