//! A member's fault, and how a third party that knows only the members' keys convinces itself of it. Costs the signatures of
//! the evidence, and for inconsistent shares an interpolation.

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;

use crate::abort::MemberFault;
use crate::codec::Message;
use crate::digest::Digest;
use crate::kem::{KeySeed, valid_ek};
use crate::members::Members;
use crate::merkle::climb;
use crate::message::{
    Accept, Ack, BundleProof, DealHead, DealPart, EdgeReveal, EdgesProof, Hello, LeafProof, MaskedHeader, PairHead,
    PublicProof, Reveal, RootsProof, SharePaths, Signed, Survivors, Vote, ctx2_of,
};
use crate::seal::open;
use crate::setup::{Kind, bundle_aad, bundle_hash, bundle_key, edge_hash, secret_hash, share_leaf};
use crate::shamir::{Opener, read_scalar, scalar_bytes};

/// A member's fault with the signed messages that prove it to a third party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Index of the member at fault.
    pub member: u16,
    /// What it did.
    pub fault: MemberFault,
    /// Canonical bytes of the signed messages, in the order in which [`Blame::holds`] reads them.
    pub evidence: Vec<Vec<u8>>,
}

impl Blame {
    /// Whether the evidence alone convicts the member. Wrong shapes of what was not signed as a whole (a vector of the wrong
    /// length, a deal or ciphertexts that are not those of their root) are for the adder's own use and never hold here.
    #[must_use]
    pub fn holds(&self, members: &Members) -> bool {
        let evidence: Vec<&[u8]> = self.evidence.iter().map(Vec::as_slice).collect();
        let held = match (&self.fault, evidence.as_slice()) {
            (MemberFault::BadKey, [hello]) => self.bad_key(members, hello),
            (MemberFault::RepeatedKey { of }, [one, other]) => self.repeated_key(members, *of, one, other),
            (MemberFault::WrongShape { .. }, [part]) => self.wrong_leaf(members, part),
            (MemberFault::WrongShape { .. }, [reveal, survivors]) => self.wrong_reveal(members, reveal, survivors),
            (MemberFault::Equivocation { .. }, [one, other]) => self.equivocation(members, one, other),
            (MemberFault::FalseShare, [survivors, public, reveal, paths, leaf, roots]) => {
                self.false_share(members, survivors, public, [reveal, paths, leaf, roots])
            }
            (MemberFault::InconsistentShares, [survivors, public, shares @ ..]) => {
                self.inconsistent(members, survivors, public, shares)
            }
            (MemberFault::BadBundle { slot }, [bundle, edges @ ..]) => self.bad_bundle(members, *slot, bundle, edges),
            (MemberFault::FalseEdge, [reveal, edges, roots]) => self.false_edge(members, reveal, edges, roots),
            _ => None,
        };
        held == Some(true)
    }

    /// Decodes a message of the blamed member and checks its signature.
    fn own<M: Message + Signed>(&self, members: &Members, bytes: &[u8]) -> Option<M> {
        let message = M::decode(bytes).ok()?;
        (message.member() == self.member && message.verify(members).is_ok()).then_some(message)
    }

    fn bad_key(&self, members: &Members, hello: &[u8]) -> Option<bool> {
        let hello: Hello = self.own(members, hello)?;
        let any = KeySeed::from_bytes(&[1; crate::kem::SEED_BYTES]).open();
        Some(!valid_ek(&hello.mlkem) || any.agree(&hello.x25519).is_none())
    }

    fn repeated_key(&self, members: &Members, of: u16, one: &[u8], other: &[u8]) -> Option<bool> {
        let one = Hello::decode(one).ok()?;
        let other: Hello = self.own(members, other)?;
        one.verify(members).ok()?;
        let same = one.x25519 == other.x25519 || one.mlkem == other.mlkem;
        Some(one.member == of && of != self.member && same)
    }

    fn wrong_leaf(&self, members: &Members, part: &[u8]) -> Option<bool> {
        let part = DealPart::decode(part).ok()?;
        let signed = part.head.member == self.member && part.head.verify(members).is_ok();
        let slots = part.leaf.edges.len();
        let under_root =
            |place: &usize| climb(part.leaf.digest(), *place, members.n() + 1, &part.path) == Some(part.head.root);
        let place = (0..members.n()).find(under_root)?;
        Some(signed && !part.leaf.shaped(slots, place + 1 == usize::from(self.member)))
    }

    fn wrong_reveal(&self, members: &Members, reveal: &[u8], survivors: &[u8]) -> Option<bool> {
        let reveal: Reveal = self.own(members, reveal)?;
        let (opened, ctx_ok) = opened_of(&Survivors::decode(survivors).ok()?, &reveal)?;
        let shaped = reveal.shares.len() == opened.len() && reveal.shares.iter().all(|s| read_scalar(s).is_some());
        Some(ctx_ok && !shaped)
    }

    /// Two signed messages of one type and one place that differ.
    fn equivocation(&self, members: &Members, one: &[u8], other: &[u8]) -> Option<bool> {
        fn place<M: Message + Signed>(
            blame: &Blame,
            members: &Members,
            bytes: &[u8],
            of: impl Fn(&M) -> (Digest, u16),
        ) -> Option<(u8, (Digest, u16))> {
            blame.own::<M>(members, bytes).map(|message| (M::TYPE, of(&message)))
        }
        let place = |bytes: &[u8]| {
            place(self, members, bytes, |m: &Accept| (m.epoch_id, m.slot))
                .or_else(|| place(self, members, bytes, |m: &MaskedHeader| (m.ctx2, m.slot)))
                .or_else(|| place(self, members, bytes, |m: &Vote| (m.epoch_id, m.slot)))
                .or_else(|| place(self, members, bytes, |m: &Reveal| (m.epoch_id, m.slot)))
                .or_else(|| place(self, members, bytes, |m: &Ack| (m.epoch_id, 0)))
                .or_else(|| place(self, members, bytes, |m: &PairHead| (m.epoch_id, 0)))
                .or_else(|| place(self, members, bytes, |m: &DealHead| (m.epoch_id, 0)))
        };
        if let (Ok(pair), Ok(deal)) = (PairHead::decode(one), DealPart::decode(other)) {
            let signed = [pair.member, deal.head.member] == [self.member; 2]
                && pair.verify(members).is_ok()
                && deal.head.verify(members).is_ok();
            return Some(signed && pair.epoch_id == deal.head.epoch_id && pair.root != deal.head.pair_root);
        }
        Some(one != other && place(one)? == place(other)?)
    }

    fn false_share(&self, members: &Members, survivors: &[u8], public: &[u8], given: [&[u8]; 4]) -> Option<bool> {
        let reveal: Reveal = self.own(members, given[0])?;
        let paths: SharePaths = self.own(members, given[1])?;
        let leaf = LeafProof::decode(given[2]).ok()?;
        let public = PublicProof::decode(public).ok()?;
        let (opened, ctx_ok) = opened_of(&Survivors::decode(survivors).ok()?, &reveal)?;
        let dealer = leaf.head.member;
        let proved = ctx_ok
            && leaf.holds(members)
            && public.holds(members)
            && public.head == leaf.head
            && RootsProof::decode(given[3])
                .ok()?
                .covers(members, self.member, &leaf.head)
            && leaf.holder == self.member
            && (paths.epoch_id, paths.slot) == (reveal.epoch_id, reveal.slot);
        let place = opened.iter().position(|(member, _)| *member == dealer)?;
        let lies = !under_root(&reveal, &paths, &leaf, place, opened[place].1, public.public.b.len());
        Some(proved && lies)
    }

    fn inconsistent(&self, members: &Members, survivors: &[u8], public: &[u8], shares: &[&[u8]]) -> Option<bool> {
        let public = PublicProof::decode(public).ok()?;
        let survivors = Survivors::decode(survivors).ok()?;
        if public.head.member != self.member || !public.holds(members) {
            return Some(false);
        }
        let mut held: BTreeMap<u16, Scalar> = BTreeMap::new();
        let mut committed = None;
        for given in shares.as_chunks::<3>().0 {
            let reveal = Reveal::decode(given[0]).ok()?;
            let paths = SharePaths::decode(given[1]).ok()?;
            let leaf = LeafProof::decode(given[2]).ok()?;
            let (opened, ctx_ok) = opened_of(&survivors, &reveal)?;
            let place = opened.iter().position(|(member, _)| *member == self.member)?;
            let kind = opened[place].1;
            let proved = ctx_ok
                && reveal.verify(members).is_ok()
                && leaf.holds(members)
                && leaf.head == public.head
                && leaf.holder == reveal.member
                && under_root(&reveal, &paths, &leaf, place, kind, public.public.b.len());
            if !proved {
                return Some(false);
            }
            committed = Some((kind, reveal.slot, reveal.epoch_id));
            held.insert(reveal.member, read_scalar(reveal.shares.get(place)?)?);
        }
        let (kind, slot, epoch_id) = committed?;
        let holders: Vec<u16> = held.keys().copied().collect();
        let secret = scalar_bytes(&Opener::new(&holders).open(held.values()));
        let list = match kind {
            Kind::B => &public.public.b,
            Kind::W => &public.public.w,
        };
        let expected = list.get(usize::from(slot))?;
        let differs = secret_hash(&epoch_id, kind, self.member, slot, &secret) != *expected;
        Some(holders.len() == members.threshold() && differs)
    }

    fn bad_bundle(&self, members: &Members, slot: u16, bundle: &[u8], edges: &[&[u8]]) -> Option<bool> {
        let proof = BundleProof::decode(bundle).ok()?;
        let (head, public) = (&proof.public.head, &proof.public.public);
        let proved = proof.slot == slot
            && head.member == self.member
            && proof.public.holds(members)
            && *public.w.get(usize::from(slot))? == secret_hash(&head.epoch_id, Kind::W, self.member, slot, &proof.w)
            && *public.bundles.get(usize::from(slot))? == bundle_hash(&proof.bundle);
        if !proved {
            return Some(false);
        }
        let key = bundle_key(&head.epoch_id, &proof.w);
        let Some(content) = open(&key, &bundle_aad(&head.epoch_id, self.member, slot), &proof.bundle) else {
            return Some(true);
        };
        let [edges, roots] = edges else {
            return Some(false);
        };
        let (edges, roots) = (EdgesProof::decode(edges).ok()?, RootsProof::decode(roots).ok()?);
        let ends = [edges.leaf.head.member, edges.leaf.holder];
        let peer = *ends.iter().find(|end| **end != self.member)?;
        let seed = content.as_chunks::<32>().0.get(usize::from(peer).checked_sub(1)?)?;
        let hash = edge_hash(&head.epoch_id, self.member, peer, slot, seed);
        let same_epoch = edges.leaf.head.epoch_id == head.epoch_id;
        Some(
            edges.holds(members)
                && roots.covers(members, self.member, &edges.leaf.head)
                && same_epoch
                && ends.contains(&self.member)
                && hash != *edges.edges.get(usize::from(slot))?,
        )
    }

    fn false_edge(&self, members: &Members, reveal: &[u8], edges: &[u8], roots: &[u8]) -> Option<bool> {
        let reveal: EdgeReveal = self.own(members, reveal)?;
        let (edges, roots) = (EdgesProof::decode(edges).ok()?, RootsProof::decode(roots).ok()?);
        let ends = [edges.leaf.head.member, edges.leaf.holder];
        let peer = *ends.iter().find(|end| **end != self.member)?;
        let (_, seed) = reveal.edges.iter().find(|(other, _)| *other == peer)?;
        let hash = edge_hash(&reveal.epoch_id, self.member, peer, reveal.slot, seed);
        Some(
            edges.holds(members)
                && roots.covers(members, self.member, &edges.leaf.head)
                && edges.leaf.head.epoch_id == reveal.epoch_id
                && ends.contains(&self.member)
                && hash != *edges.edges.get(usize::from(reveal.slot))?,
        )
    }
}

/// The cohort with what may be opened of each, and whether `reveal` is for just that survivor set.
fn opened_of(survivors: &Survivors, reveal: &Reveal) -> Option<(Vec<(u16, Kind)>, bool)> {
    let cohort: Vec<u16> = survivors.accepts.iter().map(|accept| accept.member).collect();
    let ctx_hash = survivors.accepts.first()?.ctx_hash;
    let ctx2 = ctx2_of(&reveal.epoch_id, reveal.slot, &ctx_hash, &cohort);
    let alive = |member: &u16| survivors.headers.iter().any(|header| header.member == *member);
    let opened = cohort
        .iter()
        .map(|member| (*member, if alive(member) { Kind::B } else { Kind::W }))
        .collect();
    Some((opened, survivors.u_hash(&ctx2) == reveal.u_hash))
}

/// Whether the share at `place` of a reveal lies under the root that its dealer signed for the holder.
fn under_root(reveal: &Reveal, paths: &SharePaths, leaf: &LeafProof, place: usize, kind: Kind, slots: usize) -> bool {
    let (Some(share), Some(path)) = (reveal.shares.get(place), paths.paths.get(place)) else {
        return false;
    };
    let hash = share_leaf(
        &reveal.epoch_id,
        leaf.head.member,
        reveal.member,
        reveal.slot,
        kind,
        share,
    );
    let index = 2 * usize::from(reveal.slot) + usize::from(kind == Kind::W);
    climb(hash, index, 2 * slots, path) == Some(leaf.share_root)
}
