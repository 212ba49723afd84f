//! Step 2: a hybrid key for every pair. Ours, before [BIK+17] round 1: the pair key is made once an epoch, and only seeds
//! derived from it serve a slot.

use std::sync::Arc;

use aws_lc_rs::hkdf::Prk;

use super::dealing::Dealing;
use super::hellos::HelloSet;
use super::pair::{PairKeys, pair_key, pair_leaf};
use super::{Me, one_of_each};
use crate::abort::{Abort, MemberFault, RelayFault};
use crate::digest::Digest;
use crate::entropy::Entropy;
use crate::kem::{KeySeed, OpenKeys};
use crate::members::Members;
use crate::merkle::{Tree, climb};
use crate::message::{Deal, PairCts, PairHead, PairPart, Signed, UNSIGNED};

/// Sent its ciphertexts; waits for those of the members of lower index.
pub struct Pairing {
    me: Me,
    seed: KeySeed,
    keys: OpenKeys,
    hellos: Arc<HelloSet>,
    own_root: Digest,
    /// Pair keys with the members of higher index, in order.
    higher: Vec<Prk>,
}

impl Pairing {
    pub(super) fn start(me: Me, seed: KeySeed, hellos: Arc<HelloSet>) -> Result<(Self, PairCts), Abort> {
        let keys = seed.open();
        let mut higher = Vec::new();
        let mut cts = Vec::new();
        for peer in me.index + 1..=me.members.n() as u16 {
            let hello = hellos.of(peer);
            let x25519 = keys
                .agree(&hello.x25519)
                .ok_or_else(|| Abort::blame(peer, MemberFault::BadKey, &[hello]))?;
            let (ct, mlkem) = seed.encapsulate(peer, &hello.mlkem);
            higher.push(pair_key(&me.members, &hellos, (me.index, peer), &ct, &x25519, &mlkem));
            cts.push(ct);
        }
        let cts = PairCts {
            head: PairHead {
                epoch_id: hellos.epoch_id(),
                member: me.index,
                root: Digest([0; 32]),
                signature: UNSIGNED,
            },
            cts,
        }
        .rooted(&me.members)
        .sign_with(&me);
        let own_root = cts.head.root;
        let next = Self {
            me,
            seed,
            keys,
            hellos,
            own_root,
            higher,
        };
        Ok((next, cts))
    }

    /// Takes one part of every member of lower index (none, for the first), derives all pair keys and deals.
    pub fn receive(self, parts: Vec<PairPart>, entropy: &mut dyn Entropy) -> Result<(Dealing, Deal), Abort> {
        let me = self.me.index;
        let slots = self.hellos.slots();
        let parts = one_of_each("pair parts", parts, |p| p.head.member, 1..me)?;
        let mut pairs = Vec::with_capacity(self.me.members.n() - 1);
        let mut pair_roots = Vec::with_capacity(parts.len());
        for part in &parts {
            let peer = part.head.member;
            part.check(&self.me.members, &self.hellos, me)?;
            let hello = self.hellos.of(peer);
            let x25519 = self
                .keys
                .agree(&hello.x25519)
                .ok_or_else(|| Abort::blame(peer, MemberFault::BadKey, &[hello]))?;
            let mlkem = self.keys.decapsulate(&part.ct);
            let pair = pair_key(&self.me.members, &self.hellos, (peer, me), &part.ct, &x25519, &mlkem);
            pairs.push(PairKeys::derive(&pair, me, peer, slots));
            pair_roots.push(part.head.clone());
        }
        for (pair, peer) in self.higher.iter().zip(me + 1..) {
            pairs.push(PairKeys::derive(pair, me, peer, slots));
        }
        Ok(Dealing::start(
            self.me,
            self.seed,
            self.hellos,
            self.own_root,
            pair_roots,
            pairs,
            entropy,
        ))
    }
}

impl PairCts {
    fn tree(&self, members: &Members) -> Tree {
        let without = usize::from(self.head.member);
        let mut leaves = vec![pair_leaf(None); without.min(members.n())];
        leaves.extend(self.cts.iter().map(|ct| pair_leaf(Some(ct))));
        Tree::new(leaves)
    }

    fn rooted(mut self, members: &Members) -> Self {
        self.head.root = self.tree(members).root();
        self
    }

    fn sign_with(mut self, me: &Me) -> Self {
        self.head = self.head.signed(&me.key);
        self
    }

    /// For the relay: checks the message and cuts it into the parts for the members of higher index, in order.
    pub fn parts(&self, members: &Members, epoch_id: Digest) -> Result<Vec<PairPart>, Abort> {
        super::same("epoch of pair ciphertexts", epoch_id, self.head.epoch_id)?;
        self.head.verify(members)?;
        let member = self.head.member;
        let tree = self.tree(members);
        if self.cts.len() + usize::from(member) != members.n() || tree.root() != self.head.root {
            let fault = MemberFault::WrongShape {
                what: "pair ciphertexts",
            };
            return Err(Abort::blame(member, fault, &[self]));
        }
        Ok(self
            .cts
            .iter()
            .zip(usize::from(member)..)
            .map(|(ct, place)| PairPart {
                head: self.head.clone(),
                ct: ct.clone(),
                path: tree.path(place),
            })
            .collect())
    }
}

impl PairPart {
    /// Signed by its sender for `recipient` in this epoch.
    pub(crate) fn check(&self, members: &Members, hellos: &HelloSet, recipient: u16) -> Result<(), Abort> {
        hellos.belongs("epoch of pair part", self.head.epoch_id)?;
        self.head.verify(members)?;
        let place = usize::from(recipient) - 1;
        if climb(pair_leaf(Some(&self.ct)), place, members.n(), &self.path) == Some(self.head.root) {
            Ok(())
        } else {
            Err(RelayFault::NotUnderRoot {
                what: "pair ciphertexts",
                member: self.head.member,
            }
            .into())
        }
    }
}
