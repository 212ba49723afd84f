//! Proofs under signed roots, for third parties: what a [`crate::Blame`] carries beside the messages themselves.

use super::deal::{Ack, BUNDLE_MAX, DealHead, PublicLeaf};
use super::{MAX_SLOTS, Signed};
use crate::codec::{Malformed, Message, Reader, Writer};
use crate::digest::Digest;
use crate::members::{MAX_MEMBERS, Members};
use crate::merkle::{MAX_PATH, climb, leaf};
use crate::setup::{edges_hash, leaf_digest, roots_digest};

/// Proof that a dealer committed to a share root for a holder; evidence in a [`crate::Blame`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProof {
    /// The signed root.
    pub head: DealHead,
    /// Whose leaf.
    pub holder: u16,
    /// Hash of the box.
    pub sealed: Digest,
    /// The share root.
    pub share_root: Digest,
    /// Hash of the edge hashes.
    pub edges: Digest,
    /// From the leaf to the root.
    pub path: Vec<Digest>,
}

/// Proof of a dealer's public leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicProof {
    /// The signed root.
    pub head: DealHead,
    /// The leaf.
    pub public: PublicLeaf,
    /// From the leaf to the root.
    pub path: Vec<Digest>,
}

/// Proof of the edge hashes that a dealer published for one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgesProof {
    /// The leaf that covers them.
    pub leaf: LeafProof,
    /// By slot.
    pub edges: Vec<Digest>,
}

/// Proof of what a dealer sealed in a slot: its commitments, the opened `w`, and the bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct BundleProof {
    /// Commitments to `w` and to the bundle.
    pub public: PublicProof,
    /// The slot.
    pub slot: u16,
    /// Opened by t members.
    pub w: [u8; 32],
    /// The bundle.
    pub bundle: Vec<u8>,
}

/// Proof of which roots a member acknowledged. Without it a dealer that signs a second root later could frame an honest
/// member with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootsProof {
    /// The member's Ack.
    pub ack: Ack,
    /// Ciphertext root and deal root of every member.
    pub roots: Vec<(Digest, Digest)>,
}

impl RootsProof {
    /// Whether `member` acknowledged the root of `head`.
    pub(crate) fn covers(&self, members: &Members, member: u16, head: &DealHead) -> bool {
        let place = usize::from(head.member).wrapping_sub(1);
        self.ack.member == member
            && self.ack.epoch_id == head.epoch_id
            && self.ack.verify(members).is_ok()
            && roots_digest(&self.ack.epoch_id, &self.roots) == self.ack.digest
            && self.roots.get(place) == Some(&(head.pair_root, head.root))
    }
}

impl LeafProof {
    /// Whether the dealer signed for this leaf.
    pub(crate) fn holds(&self, members: &Members) -> bool {
        let leaf = leaf_digest(&self.sealed, &self.share_root, &self.edges);
        let place = usize::from(self.holder).wrapping_sub(1);
        place < members.n()
            && self.head.verify(members).is_ok()
            && climb(leaf, place, members.n() + 1, &self.path) == Some(self.head.root)
    }
}

impl PublicProof {
    /// Whether the dealer signed for this leaf.
    pub(crate) fn holds(&self, members: &Members) -> bool {
        let leaf = leaf(&self.public.encode());
        self.head.verify(members).is_ok()
            && climb(leaf, members.n(), members.n() + 1, &self.path) == Some(self.head.root)
    }
}

impl EdgesProof {
    /// Whether the dealer signed for these hashes.
    pub(crate) fn holds(&self, members: &Members) -> bool {
        self.leaf.holds(members) && edges_hash(&self.edges) == self.leaf.edges
    }
}

impl Message for LeafProof {
    const NAME: &'static str = "leaf proof";
    const TYPE: u8 = 12;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        out.u16(self.holder);
        out.digest(&self.sealed);
        out.digest(&self.share_root);
        out.digest(&self.edges);
        out.digests(&self.path);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            head: DealHead::read(input)?,
            holder: input.u16()?,
            sealed: input.digest()?,
            share_root: input.digest()?,
            edges: input.digest()?,
            path: input.digests(MAX_PATH)?,
        })
    }
}

impl Message for RootsProof {
    const NAME: &'static str = "roots proof";
    const TYPE: u8 = 27;

    fn write(&self, out: &mut Writer) {
        self.ack.write(out);
        out.count(self.roots.len());
        for (pair, deal) in &self.roots {
            out.digest(pair);
            out.digest(deal);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let ack = Ack::read(input)?;
        let count = input.count(MAX_MEMBERS, 64)?;
        let roots = (0..count)
            .map(|_| Ok((input.digest()?, input.digest()?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { ack, roots })
    }
}

impl Message for PublicProof {
    const NAME: &'static str = "public proof";
    const TYPE: u8 = 13;

    fn write(&self, out: &mut Writer) {
        self.head.write(out);
        self.public.write(out);
        out.digests(&self.path);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            head: DealHead::read(input)?,
            public: PublicLeaf::read(input)?,
            path: input.digests(MAX_PATH)?,
        })
    }
}

impl Message for EdgesProof {
    const NAME: &'static str = "edges proof";
    const TYPE: u8 = 14;

    fn write(&self, out: &mut Writer) {
        self.leaf.write(out);
        out.digests(&self.edges);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            leaf: LeafProof::read(input)?,
            edges: input.digests(usize::from(MAX_SLOTS))?,
        })
    }
}

impl Message for BundleProof {
    const NAME: &'static str = "bundle proof";
    const TYPE: u8 = 15;

    fn write(&self, out: &mut Writer) {
        self.public.write(out);
        out.u16(self.slot);
        out.raw(&self.w);
        out.bytes(&self.bundle);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            public: PublicProof::read(input)?,
            slot: input.u16()?,
            w: input.array()?,
            bundle: input.bytes(BUNDLE_MAX)?,
        })
    }
}

impl std::fmt::Debug for BundleProof {
    /// `w` opens masks; it does not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "BundleProof {{ member: {}, slot: {} }}",
            self.public.head.member, self.slot
        )
    }
}
