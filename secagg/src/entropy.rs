//! Where randomness comes from: an argument, never the surroundings. Shells hand in [`OsEntropy`], tests a seeded source,
//! so a run of the protocol is a function of its inputs. Costs nothing but the bytes drawn.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// The only source of randomness of this crate.
pub trait Entropy {
    /// Fills `out` with uniform, secret bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// The operating system's generator behind aws-lc's DRBG.
pub struct OsEntropy {
    system: SystemRandom,
}

impl OsEntropy {
    /// A handle; opening it draws nothing.
    pub fn new() -> Self {
        Self {
            system: SystemRandom::new(),
        }
    }
}

impl Default for OsEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        if self.system.fill(out).is_err() {
            // Without randomness no secret may be made, and going on with the zeros in `out` would open every mask.
            panic!("operating system entropy failed: expected random bytes, got an error");
        }
    }
}

/// Draws a fixed-size array.
pub(crate) fn draw<const N: usize>(entropy: &mut dyn Entropy) -> zeroize::Zeroizing<[u8; N]> {
    let mut out = zeroize::Zeroizing::new([0u8; N]);
    entropy.fill(out.as_mut());
    out
}
