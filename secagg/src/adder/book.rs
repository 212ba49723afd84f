//! What an epoch's setup made public: enough to check every opened secret and to say who lied. About
//! `n^2 * (96 + 48 * slots)` bytes.

use std::sync::Arc;

use crate::codec::Message;
use crate::digest::Digest;
use crate::members::Members;
use crate::merkle::{Tree, leaf};
use crate::message::{Ack, Deal, DealHead, EdgesProof, Leaf, LeafProof, PublicLeaf, PublicProof, RootsProof};
use crate::setup::{HelloSet, Kind, edge_hash, edges_hash, leaf_digest, sealed_hash, secret_hash};

/// Public setup data of a live epoch.
pub struct EpochBook {
    members: Arc<Members>,
    pub(super) hellos: Arc<HelloSet>,
    pub(super) heads: Vec<DealHead>,
    pub(super) dealt: Vec<Dealt>,
    pub(super) acks: Vec<Ack>,
}

/// What is kept of one deal once its boxes are delivered.
#[derive(Clone)]
pub(super) struct Dealt {
    pub(super) public: PublicLeaf,
    pub(super) bundles: Vec<Vec<u8>>,
    /// By holder.
    pub(super) leaves: Vec<Hashed>,
    /// Edge hashes with members of higher index, in order; those with lower ones are in the other's deal.
    pub(super) edges: Vec<Vec<Digest>>,
}

/// A leaf without its content.
#[derive(Clone, Copy)]
pub(super) struct Hashed {
    pub(super) sealed: Digest,
    pub(super) share_root: Digest,
    pub(super) edges: Digest,
}

impl From<Deal> for Dealt {
    fn from(deal: Deal) -> Self {
        let hashed = |l: &Leaf| Hashed {
            sealed: sealed_hash(&l.sealed),
            share_root: l.share_root,
            edges: edges_hash(&l.edges),
        };
        let leaves = deal.leaves.iter().map(hashed).collect();
        let edges = deal
            .leaves
            .into_iter()
            .skip(usize::from(deal.head.member))
            .map(|l| l.edges)
            .collect();
        Self {
            public: deal.public,
            bundles: deal.bundles,
            leaves,
            edges,
        }
    }
}

impl Dealt {
    /// The deal's tree, from hashes.
    pub(super) fn tree(&self) -> Tree {
        let hashes = self
            .leaves
            .iter()
            .map(|l| leaf_digest(&l.sealed, &l.share_root, &l.edges));
        Tree::new(hashes.chain([leaf(&self.public.encode())]).collect())
    }
}

impl EpochBook {
    pub(super) fn new(
        members: Arc<Members>,
        hellos: Arc<HelloSet>,
        heads: Vec<DealHead>,
        dealt: Vec<Dealt>,
        acks: Vec<Ack>,
    ) -> Self {
        Self {
            members,
            hellos,
            heads,
            dealt,
            acks,
        }
    }

    /// The epoch's name.
    pub fn epoch_id(&self) -> Digest {
        self.hellos.epoch_id()
    }

    /// Who is in it.
    pub fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// Slots it was made with.
    pub fn slots(&self) -> u16 {
        self.hellos.slots()
    }

    /// Ciphertext root and deal root of every member, as all acknowledged them.
    pub fn roots(&self) -> Vec<(Digest, Digest)> {
        self.heads.iter().map(|head| (head.pair_root, head.root)).collect()
    }

    /// Whether `secret` is what the dealer committed to.
    pub(crate) fn is_secret(&self, kind: Kind, dealer: u16, slot: u16, secret: &[u8; 32]) -> bool {
        let public = &self.of(dealer).public;
        let expected = match kind {
            Kind::B => &public.b,
            Kind::W => &public.w,
        };
        expected[usize::from(slot)] == secret_hash(&self.epoch_id(), kind, dealer, slot, secret)
    }

    /// Whether `seed` is what both ends of an edge committed to.
    pub(crate) fn is_edge(&self, one: u16, other: u16, slot: u16, seed: &[u8; 32]) -> bool {
        let (low, high) = (one.min(other), one.max(other));
        let committed = &self.of(low).edges[usize::from(high - low) - 1][usize::from(slot)];
        *committed == edge_hash(&self.epoch_id(), low, high, slot, seed)
    }

    pub(crate) fn bundle(&self, dealer: u16, slot: u16) -> &[u8] {
        &self.of(dealer).bundles[usize::from(slot)]
    }

    pub(crate) fn share_root(&self, dealer: u16, holder: u16) -> &Digest {
        &self.of(dealer).leaves[usize::from(holder) - 1].share_root
    }

    /// Evidence of [`EpochBook::share_root`] for a third party.
    pub(crate) fn leaf_proof(&self, dealer: u16, holder: u16) -> LeafProof {
        let place = usize::from(holder) - 1;
        let own = self.of(dealer).leaves[place];
        LeafProof {
            head: self.heads[usize::from(dealer) - 1].clone(),
            holder,
            sealed: own.sealed,
            share_root: own.share_root,
            edges: own.edges,
            path: self.of(dealer).tree().path(place),
        }
    }

    /// Evidence of the roots that a member acknowledged.
    pub(crate) fn roots_proof(&self, member: u16) -> RootsProof {
        RootsProof {
            ack: self.acks[usize::from(member) - 1].clone(),
            roots: self.roots(),
        }
    }

    /// Evidence of what a dealer committed to before everybody.
    pub(crate) fn public_proof(&self, dealer: u16) -> PublicProof {
        PublicProof {
            head: self.heads[usize::from(dealer) - 1].clone(),
            public: self.of(dealer).public.clone(),
            path: self.of(dealer).tree().path(self.members.n()),
        }
    }

    /// Evidence of the edge hashes between two members, as the lower one published them.
    pub(crate) fn edges_proof(&self, one: u16, other: u16) -> EdgesProof {
        let (low, high) = (one.min(other), one.max(other));
        EdgesProof {
            leaf: self.leaf_proof(low, high),
            edges: self.of(low).edges[usize::from(high - low) - 1].clone(),
        }
    }

    fn of(&self, member: u16) -> &Dealt {
        &self.dealt[usize::from(member) - 1]
    }
}
