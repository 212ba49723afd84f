//! Messages of a round. Each signature covers the epoch and the slot, directly or through `ctx2`, which names both; so no
//! message can be replayed in another slot, attempt or epoch.

use std::fmt;

use super::Signed;
use super::setup::signed;
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::{Digest, DigestWriter};
use crate::members::MAX_MEMBERS;
use crate::merkle::MAX_PATH;
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

/// The survivors U: headers of those whose masked vector arrived, with the cohort for members that never saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// The slot.
    pub slot: u16,
    /// Accepts of the cohort C.
    pub accepts: Vec<Accept>,
    /// Headers of U, in order of index.
    pub headers: Vec<MaskedHeader>,
}

/// "This is the only survivor set I will ever help to open in this slot."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The epoch.
    pub epoch_id: Digest,
    /// The slot.
    pub slot: u16,
    /// Sender's index.
    pub member: u16,
    /// Hash of ctx2, U and the digests.
    pub u_hash: Digest,
    /// Over all of the above.
    pub signature: Signature,
}

/// At least t equal votes, in order of index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The slot.
    pub slot: u16,
    /// The votes.
    pub votes: Vec<Vote>,
}

/// One share per member of C, in order of index: of b for survivors, of w for the dropped. Since each position has one
/// value, it cannot hold both kinds of share of one peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Reveal {
    /// The epoch.
    pub epoch_id: Digest,
    /// The slot.
    pub slot: u16,
    /// Sender's index.
    pub member: u16,
    /// The survivor set it belongs to.
    pub u_hash: Digest,
    /// The shares.
    pub shares: Vec<[u8; 32]>,
    /// Over all of the above.
    pub signature: Signature,
}

/// Merkle paths of the shares in a [`Reveal`], asked for when a secret does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePaths {
    /// The epoch.
    pub epoch_id: Digest,
    /// The slot.
    pub slot: u16,
    /// Sender's index.
    pub member: u16,
    /// One path per member of C, to the share root that this peer dealt.
    pub paths: Vec<Vec<Digest>>,
    /// Over all of the above.
    pub signature: Signature,
}

/// Edge seeds with the certified dropped, asked for when a sealed bundle does not open.
#[derive(Clone, PartialEq, Eq)]
pub struct EdgeReveal {
    /// The epoch.
    pub epoch_id: Digest,
    /// The slot.
    pub slot: u16,
    /// Sender's index.
    pub member: u16,
    /// The survivor set it belongs to.
    pub u_hash: Digest,
    /// Index of each dropped member and the edge seed shared with it, in order of index.
    pub edges: Vec<(u16, [u8; 32])>,
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

/// `u_hash = H(ctx2, U, digests)`.
pub(crate) fn survivors_hash(ctx2: &Digest, survivors: &[(u16, Digest)]) -> Digest {
    let mut writer = DigestWriter::new("sottovoce/secagg/v1/survivors");
    writer.count(1 + 2 * survivors.len());
    writer.part(&ctx2.0);
    for (member, digest) in survivors {
        writer.part(&member.to_le_bytes());
        writer.part(&digest.0);
    }
    writer.finish()
}

impl MaskedHeader {
    /// BLAKE3 of a masked vector with its ring.
    pub fn digest_of(y: &RingVec) -> Digest {
        let ring = y.ring().bytes_per_value() as u8;
        Digest::of("sottovoce/secagg/v1/masked", &[&[ring], y.as_bytes()])
    }
}

impl Survivors {
    /// The hash that members vote for. It depends on who survived with what, not on the order of arrival.
    pub fn u_hash(&self, ctx2: &Digest) -> Digest {
        let survivors: Vec<_> = self.headers.iter().map(|h| (h.member, h.digest)).collect();
        survivors_hash(ctx2, &survivors)
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

impl Message for Survivors {
    const NAME: &'static str = "survivors";
    const TYPE: u8 = 19;

    fn write(&self, out: &mut Writer) {
        out.u16(self.slot);
        out.list(&self.accepts);
        out.list(&self.headers);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: input.u16()?,
            accepts: input.list(MAX_MEMBERS)?,
            headers: input.list(MAX_MEMBERS)?,
        })
    }
}

impl Message for Vote {
    const NAME: &'static str = "vote";
    const TYPE: u8 = 20;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch_id: input.digest()?,
            slot: input.u16()?,
            member: input.u16()?,
            u_hash: input.digest()?,
            signature: input.signature()?,
        })
    }
}

impl Message for Certificate {
    const NAME: &'static str = "certificate";
    const TYPE: u8 = 21;

    fn write(&self, out: &mut Writer) {
        out.u16(self.slot);
        out.list(&self.votes);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            slot: input.u16()?,
            votes: input.list(MAX_MEMBERS)?,
        })
    }
}

impl Message for Reveal {
    const NAME: &'static str = "reveal";
    const TYPE: u8 = 22;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (epoch_id, slot, member, u_hash) = (input.digest()?, input.u16()?, input.u16()?, input.digest()?);
        let count = input.count(MAX_MEMBERS, 32)?;
        let shares = (0..count).map(|_| input.array()).collect::<Result<_, _>>()?;
        Ok(Self {
            epoch_id,
            slot,
            member,
            u_hash,
            shares,
            signature: input.signature()?,
        })
    }
}

impl Message for SharePaths {
    const NAME: &'static str = "share paths";
    const TYPE: u8 = 23;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (epoch_id, slot, member) = (input.digest()?, input.u16()?, input.u16()?);
        let count = input.count(MAX_MEMBERS, 4)?;
        let paths = (0..count).map(|_| input.digests(MAX_PATH)).collect::<Result<_, _>>()?;
        Ok(Self {
            epoch_id,
            slot,
            member,
            paths,
            signature: input.signature()?,
        })
    }
}

impl Message for EdgeReveal {
    const NAME: &'static str = "edge reveal";
    const TYPE: u8 = 24;

    fn write(&self, out: &mut Writer) {
        out.raw(&self.covered());
        out.signature(&self.signature);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (epoch_id, slot, member, u_hash) = (input.digest()?, input.u16()?, input.u16()?, input.digest()?);
        let count = input.count(MAX_MEMBERS, 34)?;
        let edges = (0..count)
            .map(|_| Ok((input.u16()?, input.array()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            epoch_id,
            slot,
            member,
            u_hash,
            edges,
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

signed!(Vote, "vote", "sottovoce/secagg/v1/vote", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.slot);
    out.u16(m.member);
    out.digest(&m.u_hash);
});

signed!(Reveal, "reveal", "sottovoce/secagg/v1/reveal", |m, out| {
    out.digest(&m.epoch_id);
    out.u16(m.slot);
    out.u16(m.member);
    out.digest(&m.u_hash);
    out.count(m.shares.len());
    m.shares.iter().for_each(|share| out.raw(share));
});

signed!(
    SharePaths,
    "share paths",
    "sottovoce/secagg/v1/share-paths",
    |m, out| {
        out.digest(&m.epoch_id);
        out.u16(m.slot);
        out.u16(m.member);
        out.count(m.paths.len());
        m.paths.iter().for_each(|path| out.digests(path));
    }
);

signed!(
    EdgeReveal,
    "edge reveal",
    "sottovoce/secagg/v1/edge-reveal",
    |m, out| {
        out.digest(&m.epoch_id);
        out.u16(m.slot);
        out.u16(m.member);
        out.digest(&m.u_hash);
        out.count(m.edges.len());
        for (peer, seed) in &m.edges {
            out.u16(*peer);
            out.raw(seed);
        }
    }
);

impl fmt::Debug for Reveal {
    /// Shares open masks; they do not print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reveal {{ slot: {}, member: {}, shares: {} }}",
            self.slot,
            self.member,
            self.shares.len()
        )
    }
}

impl fmt::Debug for EdgeReveal {
    /// Edge seeds open masks; they do not print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EdgeReveal {{ slot: {}, member: {}, edges: {} }}",
            self.slot,
            self.member,
            self.edges.len()
        )
    }
}
