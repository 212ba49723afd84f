//! Messages from the survivors on: which set is opened, who agrees, and the shares that open it.

use std::fmt;

use super::{Accept, MaskedHeader, Signed, signed};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::{Digest, DigestWriter};
use crate::members::MAX_MEMBERS;
use crate::merkle::MAX_PATH;
use crate::sign::Signature;

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

impl Survivors {
    /// The hash that members vote for. It depends on who survived with what, not on the order of arrival.
    pub fn u_hash(&self, ctx2: &Digest) -> Digest {
        let survivors: Vec<_> = self.headers.iter().map(|h| (h.member, h.digest)).collect();
        survivors_hash(ctx2, &survivors)
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
