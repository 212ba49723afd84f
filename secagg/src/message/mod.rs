//! Everything that crosses the wire, as plain values with canonical bytes. A message knows what its signature covers; who may
//! have sent it when is the business of `setup`, `member` and `adder`.

mod round;
mod setup;

pub use round::{Accept, Certificate, Cohort, EdgeReveal, MaskedHeader, Receipt, Reveal, SharePaths, Survivors, Vote};
pub use setup::{Ack, Deal, DealHead, DealPart, Hello, Leaf, LeafProof, PairCts, PairHead, PairPart, PublicLeaf};

pub(crate) use round::{ctx2_of, survivors_hash};

use crate::abort::{Abort, RelayFault};
use crate::members::Members;
use crate::sign::{Signature, SigningKey};

/// Most slots one epoch may have.
pub const MAX_SLOTS: u16 = 256;

/// A message signed by one member under the domain of its type.
pub(crate) trait Signed {
    /// What errors call it.
    const WHAT: &'static str;
    /// Versioned signature domain.
    const DOMAIN: &'static str;

    /// The signer's index.
    fn member(&self) -> u16;
    /// What the signature covers.
    fn covered(&self) -> Vec<u8>;
    /// The signature.
    fn signature(&self) -> &Signature;
    /// Where the signature goes when the message is made.
    fn signature_mut(&mut self) -> &mut Signature;

    /// Signs a message whose other fields are final.
    fn signed(mut self, key: &SigningKey) -> Self
    where
        Self: Sized,
    {
        *self.signature_mut() = key.sign(Self::DOMAIN, &self.covered());
        self
    }

    /// Checks the signature against the roster's key.
    fn verify(&self, members: &Members) -> Result<(), Abort> {
        let member = self.member();
        let key = members.key(member).ok_or(RelayFault::UnknownMember {
            n: members.n(),
            found: member,
        })?;
        if key.verify(Self::DOMAIN, &self.covered(), self.signature()) {
            Ok(())
        } else {
            Err(RelayFault::BadSignature {
                what: Self::WHAT,
                member,
            }
            .into())
        }
    }
}

/// A signature still to be made.
pub(crate) const UNSIGNED: Signature = Signature([0; 64]);
