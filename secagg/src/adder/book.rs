//! What an epoch's setup made public: enough to check every opened secret and to say who lied. About
//! `n^2 * (64 + 48 * slots)` bytes.

use std::sync::Arc;

use crate::codec::Message;
use crate::digest::Digest;
use crate::members::Members;
use crate::merkle::{Tree, leaf};
use crate::message::{Deal, DealHead, LeafProof, PublicLeaf};
use crate::setup::{HelloSet, Kind, edge_hash, edges_hash, leaf_digest, sealed_hash, secret_hash};

/// Public setup data of a live epoch.
pub struct EpochBook {
    members: Arc<Members>,
    hellos: Arc<HelloSet>,
    heads: Vec<DealHead>,
    dealt: Vec<Dealt>,
}

/// What is kept of one deal once its boxes are delivered.
pub(super) struct Dealt {
    public: PublicLeaf,
    bundles: Vec<Vec<u8>>,
    /// By holder: hash of the box, and share root.
    leaves: Vec<(Digest, Digest)>,
    /// Edge hashes with members of higher index, in order; those with lower ones are in the other's deal.
    edges: Vec<Vec<Digest>>,
}

impl From<Deal> for Dealt {
    fn from(deal: Deal) -> Self {
        let leaves = deal
            .leaves
            .iter()
            .map(|l| (sealed_hash(&l.sealed), l.share_root))
            .collect();
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

impl EpochBook {
    pub(super) fn new(members: Arc<Members>, hellos: Arc<HelloSet>, heads: Vec<DealHead>, dealt: Vec<Dealt>) -> Self {
        Self {
            members,
            hellos,
            heads,
            dealt,
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
        &self.of(dealer).leaves[usize::from(holder) - 1].1
    }

    /// Evidence of [`EpochBook::share_root`] for a third party.
    pub(crate) fn leaf_proof(&self, dealer: u16, holder: u16) -> LeafProof {
        let own = self.of(dealer);
        let edges: Vec<Digest> = self
            .members
            .indices()
            .map(|peer| self.edges_hash(dealer, peer))
            .collect();
        let mut leaves: Vec<Digest> = own
            .leaves
            .iter()
            .zip(&edges)
            .map(|((sealed, root), edges)| leaf_digest(sealed, root, edges))
            .collect();
        leaves.push(leaf(&own.public.encode()));
        let place = usize::from(holder) - 1;
        LeafProof {
            head: self.heads[usize::from(dealer) - 1].clone(),
            holder,
            sealed: own.leaves[place].0,
            share_root: own.leaves[place].1,
            edges: edges[place],
            path: Tree::new(leaves).path(place),
        }
    }

    fn edges_hash(&self, one: u16, other: u16) -> Digest {
        match one.cmp(&other) {
            std::cmp::Ordering::Less => edges_hash(&self.of(one).edges[usize::from(other - one) - 1]),
            std::cmp::Ordering::Equal => edges_hash(&[]),
            std::cmp::Ordering::Greater => edges_hash(&self.of(other).edges[usize::from(one - other) - 1]),
        }
    }

    fn of(&self, member: u16) -> &Dealt {
        &self.dealt[usize::from(member) - 1]
    }
}
