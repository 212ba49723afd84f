//! Exact discrete Gaussian noise of integer variance, from an AES-256-CTR keystream under a key given by the caller.
//!
//! `P[x]` is proportional to exp(-x^2 / 2v) on all of Z, with no float and no truncation anywhere: a table of integer weights proposes,
//! and a lazily refined comparison of uniform bits with the true probability decides (`envelope`; `proofs/sampler.md` argues it).
//! About two keystream words a sample. The key must come from the operating system in production and is never a seed that was written down;
//! only the simulator and tests use fixed keys.

mod digits;
mod envelope;
mod table;
#[cfg(test)]
mod tests;
mod words;

use envelope::Envelope;
use words::Words;
use zeroize::Zeroize;

/// The largest integer variance served (a standard deviation of 2^31).
pub const MAX_VARIANCE: u64 = 1 << 62;

/// A source of independent discrete Gaussian values.
pub trait Sampler {
    /// Fills `out` with independent values of mean 0 whose law is proportional to exp(-x^2 / (2 variance)).
    /// `variance` is at least 1 and at most [`MAX_VARIANCE`].
    fn fill(&mut self, variance: u64, out: &mut [i64]);
}

/// The sampler behind every released number. No `Debug`, no `Clone`: two copies would draw the same noise.
pub struct ExactSampler {
    words: Words,
    /// The table of the last variance asked for; a round asks for one.
    envelope: Option<Envelope>,
}

impl ExactSampler {
    /// A sampler on the AES-256-CTR keystream of `key`, which serves this one sampler and nothing else.
    pub fn new(mut key: [u8; 32]) -> Self {
        let words = Words::new(&key);
        key.zeroize();
        Self { words, envelope: None }
    }
}

impl Sampler for ExactSampler {
    /// # Panics
    /// If `variance` is 0 or above [`MAX_VARIANCE`]: no noise is worse than no release. [`crate::clip::NoiseBatch::draw`] refuses those first.
    fn fill(&mut self, variance: u64, out: &mut [i64]) {
        assert!(
            (1..=MAX_VARIANCE).contains(&variance),
            "noise variance out of range: expected 1..={MAX_VARIANCE}, got {variance}"
        );
        let envelope = match self.envelope.take() {
            Some(envelope) if envelope.variance() == variance => envelope,
            _ => Envelope::new(variance),
        };
        envelope.fill(&mut self.words, out);
        self.envelope = Some(envelope);
    }
}
