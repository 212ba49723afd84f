//! A small world for stories: an epoch of n members over an honest relay, a round that runs with whoever is not told to drop,
//! and the means of a liar: its own signing key, and a second implementation of the hashes that a deal is made of.

#![allow(dead_code)] // each test binary uses its part

use std::collections::BTreeSet;
use std::sync::Arc;

use secagg::adder::{Collect, EpochBook, Gather, Opening, Relay, Stuck, Sum, Unmasking};
use secagg::setup::{Dealing, Greeting, Pairing};
use secagg::*;

use rand::{Rng, SeedableRng};

pub struct Seeded(rand_chacha::ChaCha20Rng);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(rand_chacha::ChaCha20Rng::seed_from_u64(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

pub fn signing_key(member: u16) -> SigningKey {
    let mut seed = [0u8; 32];
    seed[..2].copy_from_slice(&member.to_le_bytes());
    SigningKey::from_seed(&seed)
}

pub fn members(n: u16, c: u16) -> Arc<Members> {
    let list = (1..=n)
        .map(|i| (format!("agent-{i:04}"), signing_key(i).verifying_key()))
        .collect();
    Arc::new(Members::new(Digest::of("test", &[b"roster"]), c, list).unwrap())
}

/// Setup stopped after the deals, so that a story can tamper.
pub struct HalfSetup {
    pub members: Arc<Members>,
    pub relay: Relay,
    pub dealings: Vec<Dealing>,
    pub deals: Vec<Deal>,
}

pub fn greet(members: &Arc<Members>, slots: u16, seed: u64) -> (Vec<Greeting>, Vec<Hello>) {
    (1..=members.n() as u16)
        .map(|i| {
            let mut entropy = Seeded::new(seed * 1000 + u64::from(i));
            let id = members.id(i).unwrap().to_string();
            Greeting::start(members.clone(), &id, Arc::new(signing_key(i)), slots, &mut entropy).unwrap()
        })
        .unzip()
}

pub fn pair(members: &Arc<Members>, slots: u16, seed: u64) -> (Relay, Vec<Pairing>, Vec<Vec<PairPart>>) {
    let mut relay = Relay::new(members.clone(), slots);
    let (greetings, hellos) = greet(members, slots, seed);
    let mut all = None;
    for hello in hellos {
        all = relay.hello(hello).unwrap().or(all);
    }
    let all = all.expect("all hellos in");
    let mut inboxes = vec![Vec::new(); members.n()];
    let mut pairings = Vec::new();
    for greeting in greetings {
        let (pairing, cts) = greeting.receive(all.clone()).unwrap();
        for (to, part) in relay.pair_cts(cts).unwrap() {
            inboxes[usize::from(to) - 1].push(part);
        }
        pairings.push(pairing);
    }
    (relay, pairings, inboxes)
}

pub fn deal(n: u16, c: u16, slots: u16, seed: u64) -> HalfSetup {
    let members = members(n, c);
    let (relay, pairings, inboxes) = pair(&members, slots, seed);
    let (dealings, deals) = pairings
        .into_iter()
        .zip(inboxes)
        .zip(1..)
        .map(|((pairing, parts), i)| {
            let mut entropy = Seeded::new(seed * 1000 + 500 + i);
            pairing.receive(parts, &mut entropy).unwrap()
        })
        .unzip();
    HalfSetup {
        members,
        relay,
        dealings,
        deals,
    }
}

impl HalfSetup {
    pub fn inboxes(&mut self) -> Vec<Vec<DealPart>> {
        let mut inboxes = vec![Vec::new(); self.members.n()];
        for deal in self.deals.drain(..) {
            for (to, part) in self.relay.deal(deal).unwrap() {
                inboxes[usize::from(to) - 1].push(part);
            }
        }
        inboxes
    }

    pub fn finish(self) -> World {
        self.finish_with_liar(None)
    }

    /// The liar tampered with its own deal, and acknowledges what the others saw.
    pub fn finish_with_liar(mut self, liar: Option<u16>) -> World {
        let inboxes = self.inboxes();
        let mut all = None;
        let mut ackings = Vec::new();
        let mut seen = None;
        let order = (1..).zip(self.dealings.into_iter().zip(inboxes)).collect::<Vec<_>>();
        let (liars, honest): (Vec<_>, Vec<_>) = order.into_iter().partition(|(m, _)| Some(*m) == liar);
        for (member, (dealing, parts)) in honest.into_iter().chain(liars) {
            let (acking, mut ack) = dealing.receive(parts).unwrap();
            if Some(member) == liar {
                ack.digest = seen.expect("others first");
                ack = resign(&ack, member, "sottovoce/secagg/v1/ack");
            }
            seen = Some(ack.digest);
            all = self.relay.ack(ack).unwrap().or(all);
            ackings.push((member, acking));
        }
        let acks = all.expect("all acks in");
        ackings.sort_by_key(|(member, _)| *member);
        let live = |(member, acking): (u16, setup::Acking)| match acking.receive(acks.clone()) {
            Ok(epoch) => Some(epoch),
            Err(_) if Some(member) == liar => None,
            Err(other) => panic!("{other}"),
        };
        let epochs = ackings.into_iter().map(live).collect();
        World {
            members: self.members,
            book: Arc::new(self.relay.finish().unwrap()),
            epochs,
        }
    }
}

pub struct World {
    pub members: Arc<Members>,
    pub book: Arc<EpochBook>,
    /// None for a liar, whose own state no longer fits what it told.
    pub epochs: Vec<Option<Epoch>>,
}

/// Who falls silent from where on, by index.
#[derive(Clone, Default, Debug)]
pub struct Drops {
    pub accept: BTreeSet<u16>,
    pub send: BTreeSet<u16>,
    pub vote: BTreeSet<u16>,
    pub reveal: BTreeSet<u16>,
}

/// Where a round ended.
pub enum Ended {
    TooFewAccepts,
    TooFewVectors,
    TooFewVotes,
    TooFewReveals,
    Sum(Sum, BTreeSet<u16>),
}

pub fn ctx(slot: u16) -> Digest {
    Digest::of("test", &[b"ctx", &slot.to_le_bytes()])
}

/// Contribution of a member: unique per member, with wrap-around in 32 bits.
pub fn contribution(member: u16, dim: usize) -> Vec<i64> {
    (0..dim as i64)
        .map(|k| i64::from(member) * 1_000_003 - k * 77_777_777)
        .collect()
}

pub fn expected(ring: Ring, survivors: impl IntoIterator<Item = u16>, dim: usize) -> Vec<i64> {
    let mut sum = RingVec::zero(ring, dim);
    for member in survivors {
        sum.add_assign(&RingVec::from_i64s(ring, &contribution(member, dim)))
            .unwrap();
    }
    sum.to_i64s()
}

impl World {
    pub fn new(n: u16, c: u16, slots: u16, seed: u64) -> Self {
        deal(n, c, slots, seed).finish()
    }

    pub fn t(&self) -> usize {
        self.members.threshold()
    }

    pub fn epoch(&mut self, member: u16) -> &mut Epoch {
        self.epochs[usize::from(member) - 1].as_mut().expect("an honest member")
    }

    pub fn indices(&self) -> Vec<u16> {
        self.members.indices().collect()
    }

    /// The cohort of these members, closed at the adder and locked at each of them.
    pub fn cohort(&mut self, slot: u16, who: &[u16], ring: Ring, dim: usize) -> (Collect, Cohort) {
        let t = self.t();
        let mut gather = Gather::open(self.book.clone(), slot, ctx(slot), t).unwrap();
        for member in who {
            let accept = match &mut self.epochs[usize::from(*member) - 1] {
                Some(epoch) => epoch.accept(slot, ctx(slot)).unwrap().unwrap(),
                None => {
                    let accept = Accept {
                        epoch_id: self.book.epoch_id(),
                        slot,
                        member: *member,
                        ctx_hash: ctx(slot),
                        signature: Signature([0; 64]),
                    };
                    resign(&accept, *member, "sottovoce/secagg/v1/accept")
                }
            };
            gather.accept(accept).unwrap().unwrap();
        }
        let (collect, cohort) = gather.close(ring, dim).unwrap();
        for member in who
            .iter()
            .filter(|m| self.epochs[usize::from(**m) - 1].is_some())
            .collect::<Vec<_>>()
        {
            let ctx2 = self.epoch(*member).cohort(slot, t, &cohort.accepts).unwrap().unwrap();
            assert_eq!(ctx2, collect.ctx2());
        }
        (collect, cohort)
    }

    /// As an honest member of the whole cohort has it, by a second implementation.
    fn ctx2(&self, slot: u16) -> Digest {
        let (epoch_id, ctx_hash) = (self.book.epoch_id(), ctx(slot));
        let slot = slot.to_le_bytes();
        let cohort: Vec<[u8; 2]> = self.members.indices().map(u16::to_le_bytes).collect();
        let mut parts: Vec<&[u8]> = vec![&epoch_id.0, &slot, &ctx_hash.0];
        parts.extend(cohort.iter().map(|m| &m[..]));
        Digest::of("sottovoce/secagg/v1/ctx2", &parts)
    }

    pub fn masked(&mut self, member: u16, slot: u16, ring: Ring, dim: usize) -> (MaskedHeader, RingVec) {
        let x = RingVec::from_i64s(ring, &contribution(member, dim));
        if self.epochs[usize::from(member) - 1].is_none() {
            let header = MaskedHeader {
                slot,
                ctx2: self.ctx2(slot),
                member,
                digest: MaskedHeader::digest_of(&x),
                signature: Signature([0; 64]),
            };
            return (resign(&header, member, "sottovoce/secagg/v1/masked-header"), x);
        }
        self.epoch(member).mask(slot, x).unwrap().into_parts()
    }

    /// A round up to its survivor set: `cohort` accepted, `senders` sent.
    pub fn surveyed(&mut self, slot: u16, cohort: &[u16], senders: &[u16], dim: usize) -> (Survivors, Opening) {
        let (mut collect, _) = self.cohort(slot, cohort, Ring::Z64, dim);
        for member in senders {
            let (header, y) = self.masked(*member, slot, Ring::Z64, dim);
            collect.add(header, y).unwrap().unwrap();
        }
        collect.close().unwrap()
    }

    /// A whole round; every member outside a drop set does its part, members outside the cohort too.
    pub fn round(&mut self, slot: u16, ring: Ring, dim: usize, drops: &Drops) -> Ended {
        let t = self.t();
        let up = |gone: &[&BTreeSet<u16>], member: &u16| !gone.iter().any(|set| set.contains(member));
        let all = self.indices();
        let cohort: Vec<u16> = all.iter().copied().filter(|m| up(&[&drops.accept], m)).collect();
        if cohort.len() < t {
            return Ended::TooFewAccepts;
        }
        let (mut collect, _) = self.cohort(slot, &cohort, ring, dim);
        let senders: Vec<u16> = cohort.iter().copied().filter(|m| up(&[&drops.send], m)).collect();
        for member in &senders {
            let (header, y) = self.masked(*member, slot, ring, dim);
            collect.add(header, y).unwrap().unwrap();
        }
        if !collect.ready() {
            assert!(collect.close().is_err());
            return Ended::TooFewVectors;
        }
        let (survivors, opening) = collect.close().unwrap();
        let unmasking = match opening {
            Opening::Fast(mut unmasking) => {
                for member in all
                    .iter()
                    .filter(|m| up(&[&drops.accept, &drops.send, &drops.vote, &drops.reveal], m))
                {
                    let answer = self.epoch(*member).survivors(slot, t, &survivors).unwrap();
                    let Some(Answer::Reveal(reveal)) = answer else {
                        panic!("expected a reveal on the fast path")
                    };
                    unmasking.reveal(reveal).unwrap();
                }
                unmasking
            }
            Opening::Slow(mut voting) => {
                let voters: Vec<u16> = all
                    .iter()
                    .copied()
                    .filter(|m| up(&[&drops.accept, &drops.send, &drops.vote], m))
                    .collect();
                for member in &voters {
                    let answer = self.epoch(*member).survivors(slot, t, &survivors).unwrap();
                    let Some(Answer::Vote(vote)) = answer else {
                        panic!("expected a vote on the slow path")
                    };
                    voting.vote(vote).unwrap();
                }
                if !voting.ready() {
                    return Ended::TooFewVotes;
                }
                let (certificate, mut unmasking) = voting.close().unwrap();
                for member in voters.iter().filter(|m| up(&[&drops.reveal], m)) {
                    let reveal = self.epoch(*member).certificate(slot, &certificate).unwrap().unwrap();
                    unmasking.reveal(reveal).unwrap();
                }
                unmasking
            }
        };
        if !unmasking.ready() {
            return Ended::TooFewReveals;
        }
        match finish(unmasking) {
            Ok(sum) => Ended::Sum(sum, senders.into_iter().collect()),
            Err(stuck) => panic!("expected a sum, got {:?}", stuck.why),
        }
    }
}

pub fn finish(unmasking: Unmasking) -> Result<Sum, Stuck> {
    unmasking.unmask()
}

/// The liar's tools: a message signed again with its own key after tampering. The covered bytes are the encoding without its
/// two header bytes and without the signature at its end.
pub fn resign<M: Message>(message: &M, member: u16, domain: &str) -> M {
    let mut bytes = message.encode();
    let end = bytes.len() - 64;
    let signature = signing_key(member).sign(domain, &bytes[2..end]);
    bytes[end..].copy_from_slice(&signature.0);
    M::decode(&bytes).unwrap()
}

/// Recomputes a tampered deal's root, by a second implementation of the tree, and signs it again.
pub fn redeal(deal: &mut Deal) {
    for (hash, bundle) in deal.public.bundles.iter_mut().zip(&deal.bundles) {
        *hash = Digest::of("sottovoce/secagg/v1/bundle-hash", &[bundle]);
    }
    let level = deal_leaves(deal);
    deal.head.root = merkle_root(&level);
    deal.head = resign(&deal.head, deal.head.member, "sottovoce/secagg/v1/deal");
}

/// Hashes of a deal's leaves, the public one last.
pub fn deal_leaves(deal: &Deal) -> Vec<Digest> {
    let leaf = |content: &[u8]| Digest::of("sottovoce/secagg/v1/merkle-leaf", &[content]);
    let mut level: Vec<Digest> = deal
        .leaves
        .iter()
        .map(|l| {
            let sealed = Digest::of("sottovoce/secagg/v1/box-hash", &[&l.sealed]);
            let edges: Vec<&[u8]> = l.edges.iter().map(|e| &e.0[..]).collect();
            let edges = Digest::of("sottovoce/secagg/v1/edges", &edges);
            leaf(&[sealed.0, l.share_root.0, edges.0].concat())
        })
        .collect();
    level.push(leaf(&deal.public.encode()));
    level
}

/// Recursive, where the crate's is by levels.
pub fn merkle_root(leaves: &[Digest]) -> Digest {
    if let [only] = leaves {
        return *only;
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = (merkle_root(&leaves[..split]), merkle_root(&leaves[split..]));
    let mut hasher = blake3::Hasher::new();
    let part = |hasher: &mut blake3::Hasher, bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(&mut hasher, b"sottovoce/secagg/v1/merkle-node");
    part(&mut hasher, &left.0);
    part(&mut hasher, &right.0);
    Digest(*hasher.finalize().as_bytes())
}
