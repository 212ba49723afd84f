//! Relaying an epoch's setup. The relay forwards what members signed, cut into parts; it verifies all it can, so that a
//! faulty member is known before everybody aborts, and keeps only what unmasking and blame need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::{Dealt, EpochBook};
use crate::abort::{Abort, MemberFault, Usage};
use crate::codec::Message;
use crate::digest::Digest;
use crate::members::Members;
use crate::message::{Ack, Deal, DealHead, DealPart, Hello, PairCts, PairPart, Signed};
use crate::setup::{Dispute, Guilty, HelloSet, roots_digest, same};

/// Setup as the coordinator sees it.
pub struct Relay {
    members: Arc<Members>,
    slots: u16,
    hellos: BTreeMap<u16, Hello>,
    set: Option<Arc<HelloSet>>,
    cts: BTreeMap<u16, PairCts>,
    deals: BTreeMap<u16, (DealHead, Dealt)>,
    acks: BTreeMap<u16, Ack>,
}

impl Relay {
    /// Waits for n Hellos.
    pub fn new(members: Arc<Members>, slots: u16) -> Self {
        Self {
            members,
            slots,
            hellos: BTreeMap::new(),
            set: None,
            cts: BTreeMap::new(),
            deals: BTreeMap::new(),
            acks: BTreeMap::new(),
        }
    }

    /// Takes a Hello; answers all of them once the last has come. Until then a second Hello replaces the first, since
    /// its sender may have restarted; afterwards it is too late for this epoch.
    pub fn hello(&mut self, hello: Hello) -> Result<Option<Vec<Hello>>, Abort> {
        hello.verify(&self.members)?;
        if self.set.is_some() {
            let known = self.hellos.get(&hello.member).map(Hello::digest);
            same(
                "hello of a closed epoch",
                known.unwrap_or_else(|| hello.digest()),
                hello.digest(),
            )?;
            return Ok(None);
        }
        self.hellos.insert(hello.member, hello);
        if self.hellos.len() < self.members.n() {
            return Ok(None);
        }
        let all: Vec<Hello> = self.hellos.values().cloned().collect();
        self.set = Some(Arc::new(HelloSet::check(&self.members, self.slots, all.clone())?));
        Ok(Some(all))
    }

    /// The epoch's name, once all Hellos are in.
    pub fn epoch_id(&self) -> Option<Digest> {
        self.set.as_ref().map(|set| set.epoch_id())
    }

    /// Takes a member's ciphertexts; answers the part for each recipient. A repeated message gives no parts.
    pub fn pair_cts(&mut self, cts: PairCts) -> Result<Vec<(u16, PairPart)>, Abort> {
        let epoch_id = self.set()?.epoch_id();
        let parts = cts.parts(&self.members, epoch_id)?;
        let first = cts.head.member + 1;
        match self.cts.get(&cts.head.member) {
            Some(seen) if seen.head == cts.head => return Ok(Vec::new()),
            Some(seen) => return Err(equivocation(cts.head.member, "pair ciphertexts", &seen.head, &cts.head)),
            None => self.cts.insert(cts.head.member, cts),
        };
        Ok((first..).zip(parts).collect())
    }

    /// Takes a member's deal; answers the part for each recipient and keeps hashes and bundles.
    pub fn deal(&mut self, deal: Deal) -> Result<Vec<(u16, DealPart)>, Abort> {
        let set = self.set()?;
        deal.check(&self.members, &set)?;
        let member = deal.head.member;
        if let Some((seen, _)) = self.deals.get(&member) {
            return if *seen == deal.head {
                Ok(Vec::new())
            } else {
                Err(equivocation(member, "deals", seen, &deal.head))
            };
        }
        let parts = deal.parts();
        self.deals.insert(member, (deal.head.clone(), Dealt::from(deal)));
        Ok(parts)
    }

    /// Takes an Ack; answers all of them once the last has come.
    pub fn ack(&mut self, ack: Ack) -> Result<Option<Vec<Ack>>, Abort> {
        same("epoch of ack", self.set()?.epoch_id(), ack.epoch_id)?;
        ack.verify(&self.members)?;
        match self.acks.get(&ack.member) {
            Some(seen) if *seen == ack => return Ok(None),
            Some(seen) => return Err(equivocation(ack.member, "acks", seen, &ack)),
            None => self.acks.insert(ack.member, ack),
        };
        let complete = self.acks.len() == self.members.n();
        Ok(complete.then(|| self.acks.values().cloned().collect()))
    }

    /// Decides a dispute from what was relayed.
    pub fn judge(&self, dispute: &Dispute) -> Result<Guilty, Abort> {
        let set = self.set()?;
        let (low, high) = (
            dispute.accuser.min(dispute.accused),
            dispute.accuser.max(dispute.accused),
        );
        let missing = Usage::TooFew {
            what: "ciphertexts of the pair",
            expected: 1,
            found: 0,
        };
        let cts = self.cts.get(&low).ok_or_else(|| missing.clone())?;
        let parts = cts.parts(&self.members, set.epoch_id())?;
        let place = usize::from(high)
            .checked_sub(usize::from(low) + 1)
            .ok_or_else(|| missing.clone())?;
        dispute.judge(&self.members, &set, parts.get(place).ok_or(missing)?)
    }

    /// The live epoch's book: all n Acks came and name the roots that were relayed.
    pub fn finish(self) -> Result<EpochBook, Abort> {
        let set = self.set()?;
        for (what, found) in [("deals", self.deals.len()), ("acks", self.acks.len())] {
            if found < self.members.n() {
                return Err(Usage::TooFew {
                    what,
                    expected: self.members.n(),
                    found,
                }
                .into());
            }
        }
        let (heads, dealt): (Vec<DealHead>, Vec<Dealt>) = self.deals.into_values().unzip();
        let roots: Vec<_> = heads.iter().map(|head| (head.pair_root, head.root)).collect();
        let digest = roots_digest(&set.epoch_id(), &roots);
        for ack in self.acks.values() {
            same("acknowledged roots", digest, ack.digest)?;
        }
        let acks = self.acks.into_values().collect();
        Ok(EpochBook::new(self.members, set, heads, dealt, acks))
    }

    fn set(&self) -> Result<Arc<HelloSet>, Abort> {
        let missing = Usage::TooFew {
            what: "hellos",
            expected: self.members.n(),
            found: self.hellos.len(),
        };
        Ok(self.set.clone().ok_or(missing)?)
    }
}

pub(super) fn equivocation<M: Message>(member: u16, what: &'static str, one: &M, other: &M) -> Abort {
    Abort::blame(member, MemberFault::Equivocation { what }, &[one, other])
}
