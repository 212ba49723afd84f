//! Messages up to the masked vector. Each signature covers the epoch and the slot, directly or through `ctx2`, which names
//! both; so no message can be replayed in another slot, attempt or epoch.

use super::Signed;
use super::signed;
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::{Digest, DigestWriter};
use crate::members::MAX_MEMBERS;
use crate::ring::RingVec;
use crate::sign::{Signature, SigningKey, VerifyingKey};

/// "I take part in this slot, for this context."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The epoch.
    pub epoch_id: Digest,
    /// The slot.
    pub slot: u16,
    /// Sender's index.
    pub member: u16,
    /// Hash of everything the round is about; the engine makes it.
    pub ctx_hash: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

/// The cohort C: its members' Accepts in order of index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// The slot.
    pub slot: u16,
    /// Accepts of the cohort.
    pub accepts: Vec<Accept>,
}

/// What a member signs of its masked vector; the vector itself travels in chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedHeader {
    /// The slot.
    pub slot: u16,
    /// Epoch, slot, context and cohort.
    pub ctx2: Digest,
    /// Sender's index.
    pub member: u16,
    /// [`MaskedHeader::digest_of`] the masked vector.
    pub digest: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

/// The adder's word that a masked vector arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Epoch, slot, context and cohort.
    pub ctx2: Digest,
    /// Whose vector.
    pub member: u16,
    /// Its digest.
    pub digest: Digest,
    /// The adder's, over all of the above.
    pub signature: Signature,
}

/// `ctx2 = H(epoch, slot, ctx_hash, sorted C)`.
pub(crate) fn ctx2_of(epoch_id: &Digest, slot: u16, ctx_hash: &Digest, cohort: &[u16]) -> Digest {
    let mut writer = DigestWriter::new("sottovoce/secagg/v1/ctx2");
    writer.count(3 + cohort.len());
    writer.part(&epoch_id.0);
    writer.part(&slot.to_le_bytes());
    writer.part(&ctx_hash.0);
    cohort.iter().for_each(|member| writer.part(&member.to_le_bytes()));
    writer.finish()
}

impl MaskedHeader {
    /// BLAKE3 of a masked vector with its ring.
    pub fn digest_of(y: &RingVec) -> Digest {
        let ring = y.ring().bytes_per_value() as u8;
        Digest::of("sottovoce/secagg/v1/masked", &[&[ring], y.as_bytes()])
    }
}

impl Receipt {
    const DOMAIN: &'static str = "sottovoce/secagg/v1/receipt";

    /// Signs for a vector that arrived whole.
    pub fn sign(header: &MaskedHeader, key: &SigningKey) -> Self {
        let mut receipt = Self {
            ctx2: header.ctx2,
            member: header.member,
            digest: header.digest,
            signature: super::UNSIGNED,
        };
        receipt.signature = key.sign(Self::DOMAIN, &receipt.covered());
        receipt
    }

    /// Whether the adder signed it.
    #[must_use]
    pub fn verify(&self, adder: &VerifyingKey) -> bool {
        adder.verify(Self::DOMAIN, &self.covered(), &self.signature)
    }

    fn covered(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.digest(&self.ctx2);
        out.u16(self.member);
        out.digest(&self.digest);
        out.into_bytes()
    }
}

impl Message for Accept {
    const NAME: &'static str = "accept";
    const TYPE: u8 = 16;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            slot: input.u16()?,
            member: input.u16()?,
            ctx_hash: input.digest()?,
            signature: input.signature()?,
        })
    }
}

impl Message for Cohort {
    const NAME: &'static str = "cohort";
    const TYPE: u8 = 17;

    fn write(&self, out: &mut Writer) {
        out.u16(self.slot);
        out.list(&self.accepts);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: input.u16()?,
            accepts: input.list(MAX_MEMBERS)?,
        })
    }
}

impl Message for MaskedHeader {
    const NAME: &'static str = "masked header";
    const TYPE: u8 = 18;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: input.u16()?,
            ctx2: input.digest()?,
            member: input.u16()?,
            digest: input.digest()?,
            signature: input.signature()?,
        })
    }
}

impl Message for Receipt {
    const NAME: &'static str = "receipt";
    const TYPE: u8 = 25;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            ctx2: input.digest()?,
            member: input.u16()?,
            digest: input.digest()?,
            signature: input.signature()?,
        })
    }
}

signed!(Accept, "accept", "sottovoce/secagg/v1/accept", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.slot);
    out.u16(m.member);
    out.digest(&m.ctx_hash);
});

signed!(
    MaskedHeader,
    "masked header",
    "sottovoce/secagg/v1/masked-header",
    |m, out| {
        out.u16(m.slot);
        out.digest(&m.ctx2);
        out.u16(m.member);
        out.digest(&m.digest);
    }
);
