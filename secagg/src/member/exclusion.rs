//! Proof that a coordinator took a vector, signed for it, and opened a sum without it.

use crate::abort::{Abort, RelayFault};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::Digest;
use crate::members::{MAX_MEMBERS, Members};
use crate::message::{Certificate, Receipt, survivors_hash};
use crate::sign::VerifyingKey;

/// A receipt beside a certified survivor set that leaves its owner out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The epoch.
    pub epoch_id: Digest,
    /// Signed by the adder.
    pub receipt: Receipt,
    /// The survivors and the digests of their vectors.
    pub survivors: Vec<(u16, Digest)>,
    /// At least t votes for just that set.
    pub certificate: Certificate,
}

impl Exclusion {
    /// Whether the proof convicts the owner of `adder`.
    pub fn check(&self, members: &Members, adder: &VerifyingKey) -> Result<(), Abort> {
        let member = self.receipt.member;
        if !self.receipt.verify(adder) {
            return Err(RelayFault::BadSignature {
                what: "receipt",
                member,
            }
            .into());
        }
        if self
            .survivors
            .iter()
            .any(|(survivor, digest)| *survivor == member && *digest == self.receipt.digest)
        {
            return Err(RelayFault::Unsorted {
                what: "excluded members",
                member,
            }
            .into());
        }
        let u_hash = survivors_hash(&self.receipt.ctx2, &self.survivors);
        self.certificate
            .check(members, &self.epoch_id, self.certificate.slot, &u_hash)
    }
}

impl Message for Exclusion {
    const NAME: &'static str = "exclusion";
    const TYPE: u8 = 26;

    fn write(&self, out: &mut Writer) {
        out.digest(&self.epoch_id);
        self.receipt.write(out);
        out.count(self.survivors.len());
        for (member, digest) in &self.survivors {
            out.u16(*member);
            out.digest(digest);
        }
        self.certificate.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (epoch_id, receipt) = (input.digest()?, Receipt::read(input)?);
        let count = input.count(MAX_MEMBERS, 34)?;
        let survivors = (0..count)
            .map(|_| Ok((input.u16()?, input.digest()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            epoch_id,
            receipt,
            survivors,
            certificate: Certificate::read(input)?,
        })
    }
}
