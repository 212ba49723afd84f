//! The one thing a round yields.

use crate::blame::Blame;
use crate::digest::Digest;
use crate::ring::RingVec;
use crate::sign::{Signature, SigningKey, VerifyingKey};

/// The sum of the survivors' vectors. No `Debug` and no wire form: a release is made of it elsewhere.
pub struct Sum {
    pub(super) vector: RingVec,
    pub(super) contributors: u16,
    pub(super) u_hash: Digest,
    pub(super) blames: Vec<Blame>,
}

impl Sum {
    /// The values, for whoever makes a release of them.
    pub fn into_ring_vec(self) -> RingVec {
        self.vector
    }

    /// Number of vectors in it.
    pub fn contributors(&self) -> u16 {
        self.contributors
    }

    /// Members found at fault on the way, with evidence.
    pub fn blames(&self) -> &[Blame] {
        &self.blames
    }

    /// Names the sum and its survivors; what audits compare.
    pub fn digest(&self) -> Digest {
        sum_digest(&self.u_hash, &self.vector)
    }

    /// The adder's word for the sum.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(SUM_DOMAIN, &self.digest().0)
    }

    /// Whether the adder signed the sum of this digest.
    #[must_use]
    pub fn verify(digest: &Digest, adder: &VerifyingKey, signature: &Signature) -> bool {
        adder.verify(SUM_DOMAIN, &digest.0, signature)
    }
}

const SUM_DOMAIN: &str = "sottovoce/secagg/v1/sum-signature";

fn sum_digest(u_hash: &Digest, vector: &RingVec) -> Digest {
    let ring = vector.ring().bytes_per_value() as u8;
    Digest::of("sottovoce/secagg/v1/sum", &[&u_hash.0, &[ring], vector.as_bytes()])
}
