//! Seeded entropy for unit tests.

use crate::entropy::Entropy;
use rand::{Rng, SeedableRng};

pub(crate) struct Seeded(rand_chacha::ChaCha20Rng);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(rand_chacha::ChaCha20Rng::seed_from_u64(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}
