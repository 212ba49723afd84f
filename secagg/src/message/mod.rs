//! Everything that crosses the wire, as plain values with canonical bytes. A message knows what its signature covers; who may
//! have sent it when is the business of `setup`, `member` and `adder`.

mod cohort;
mod deal;
mod evidence;
mod hello;
mod opening;

pub use cohort::{Accept, Cohort, MaskedHeader, Receipt};
pub use deal::{Ack, Deal, DealHead, DealPart, Leaf, PublicLeaf};
pub use evidence::{BundleProof, EdgesProof, LeafProof, PublicProof, RootsProof};
pub use hello::{Hello, PairCts, PairHead, PairPart};
pub use opening::{Certificate, EdgeReveal, Reveal, SharePaths, Survivors, Vote};

pub(crate) use cohort::ctx2_of;
pub(crate) use deal::BUNDLE_MAX;
pub(crate) use opening::survivors_hash;

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

/// Implements [`Signed`] for a message with fields `member` and `signature`: what errors call it, its domain, and how to
/// write what its signature covers.
macro_rules! signed {
    ($type:ty, $what:literal, $domain:literal, |$this:ident, $out:ident| $body:block) => {
        impl Signed for $type {
            const WHAT: &'static str = $what;
            const DOMAIN: &'static str = $domain;

            fn member(&self) -> u16 {
                self.member
            }

            fn covered(&self) -> Vec<u8> {
                let $this = self;
                let mut $out = Writer::default();
                $body
                $out.into_bytes()
            }

            fn signature(&self) -> &Signature {
                &self.signature
            }

            fn signature_mut(&mut self) -> &mut Signature {
                &mut self.signature
            }
        }
    };
}
use signed;
