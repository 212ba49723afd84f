//! The relay of epoch setup: one message per member and step comes in, what each recipient needs goes out when the step is
//! complete. The relay sees no secret; agents check everything again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secagg::adder::Relay;
use secagg::setup::{Dispute, Guilty};
use secagg::{Abort, Ack, Deal, Hello, Members, Message, PairCts};

use super::{Coordinator, Live, Turn};
use crate::codes;
use crate::ids::{AgentId, EpochSeq};
use crate::message::{SetupStep, SetupToAgent, SetupToCoordinator, ToAgent, Wire};
use crate::workload::Refusal;

/// An epoch on its way.
pub(super) struct Setup {
    pub(super) seq: EpochSeq,
    pub(super) names: Vec<AgentId>,
    pub(super) deadline_ms: u64,
    pub(super) roster_hash: governance::ContentHash,
    members: Arc<Members>,
    slots: u16,
    relay: Relay,
    step: SetupStep,
    arrived: BTreeSet<u16>,
    /// By recipient, what goes out when the step is complete.
    out: BTreeMap<u16, Vec<Wire>>,
}

impl Setup {
    pub(super) fn new(seq: EpochSeq, members: Arc<Members>, slots: u16, deadline_ms: u64) -> Self {
        let names = members
            .indices()
            .filter_map(|index| members.id(index).map(AgentId::from));
        Self {
            seq,
            names: names.collect(),
            deadline_ms,
            roster_hash: governance::ContentHash(members.roster_hash().0),
            relay: Relay::new(members.clone(), slots),
            members,
            slots,
            step: SetupStep::Hello,
            arrived: BTreeSet::new(),
            out: BTreeMap::new(),
        }
    }

    /// Members that the current step still waits for.
    pub(super) fn silent(&self) -> Vec<AgentId> {
        let missing = self.members.indices().filter(|index| !self.arrived.contains(index));
        missing.filter_map(|index| self.name(index)).collect()
    }

    /// Who lied, if the dispute proves it.
    pub(super) fn judge(&self, dispute: &[u8]) -> Option<AgentId> {
        let dispute = Dispute::decode(dispute).ok()?;
        match self.relay.judge(&dispute).ok()? {
            Guilty::Accused => self.name(dispute.accused),
            Guilty::Accuser => self.name(dispute.accuser),
        }
    }

    fn name(&self, index: u16) -> Option<AgentId> {
        self.members.id(index).map(AgentId::from)
    }

    /// Takes the message of one member. A second one is nothing new.
    fn take(&mut self, from: u16, wire: &[u8]) -> Result<(), Abort> {
        match self.step {
            SetupStep::Hello => {
                let hello = Hello::decode(wire)?;
                self.own(from, hello.member)?;
                if let Some(hellos) = self.relay.hello(hello)? {
                    self.for_everybody(hellos.iter().map(|hello| hello.encode().into()).collect());
                }
            }
            SetupStep::PairCt => {
                let cts = PairCts::decode(wire)?;
                self.own(from, cts.head.member)?;
                for (recipient, part) in self.relay.pair_cts(cts)? {
                    self.out.entry(recipient).or_default().push(part.encode().into());
                }
            }
            SetupStep::Deal => {
                let deal = Deal::decode(wire)?;
                self.own(from, deal.head.member)?;
                for (recipient, part) in self.relay.deal(deal)? {
                    self.out.entry(recipient).or_default().push(part.encode().into());
                }
            }
            SetupStep::Ack => {
                let ack = Ack::decode(wire)?;
                self.own(from, ack.member)?;
                if let Some(acks) = self.relay.ack(ack)? {
                    self.for_everybody(acks.iter().map(|ack| ack.encode().into()).collect());
                }
            }
        }
        self.arrived.insert(from);
        Ok(())
    }

    fn own(&self, from: u16, member: u16) -> Result<(), Abort> {
        if from == member {
            Ok(())
        } else {
            Err(secagg::RelayFault::UnknownMember {
                n: self.members.n(),
                found: member,
            }
            .into())
        }
    }

    fn for_everybody(&mut self, all: Vec<Wire>) {
        self.out = self.members.indices().map(|index| (index, all.clone())).collect();
    }

    /// Hands out what the step collected; a member for whom there is nothing is told so.
    fn hand_out(&mut self, turn: &mut Turn) {
        let mut out = std::mem::take(&mut self.out);
        for index in self.members.indices() {
            if let Some(name) = self.name(index) {
                let (epoch, step) = (self.seq, self.step);
                let parts = out.remove(&index).unwrap_or_default();
                turn.send(&name, ToAgent::Setup(SetupToAgent { epoch, step, parts }));
            }
        }
        self.arrived.clear();
    }
}

impl Coordinator {
    /// Takes one member's message of a setup step.
    pub(in crate::coordinator) fn setup_message(&mut self, from: &AgentId, part: SetupToCoordinator, turn: &mut Turn) {
        let Some(mut setup) = self.epochs.setup.take_if(|setup| setup.seq == part.epoch) else {
            return; // of an epoch that is void or live by now
        };
        let Some(index) = setup.members.index(from.as_str()).filter(|_| setup.step == part.step) else {
            self.epochs.setup = Some(setup);
            let text = format!("setup of epoch {}: unexpected {:?}", part.epoch, part.step);
            return turn.misbehaved(from, Refusal::new(codes::OUT_OF_ORDER, text));
        };
        if let Err(abort) = setup.take(index, &part.message) {
            let guilty = super::super::round::culprit(&abort).and_then(|index| setup.name(index));
            let guilty = guilty.unwrap_or_else(|| from.clone());
            return self.void(setup, &[guilty], Refusal::new(codes::SETUP, abort.to_string()), turn);
        }
        if setup.arrived.len() < setup.members.n() {
            self.epochs.setup = Some(setup);
            return;
        }
        setup.hand_out(turn);
        match setup.step {
            SetupStep::Hello => setup.step = SetupStep::PairCt,
            SetupStep::PairCt => setup.step = SetupStep::Deal,
            SetupStep::Deal => setup.step = SetupStep::Ack,
            SetupStep::Ack => return self.setup_complete(setup, turn),
        }
        self.epochs.setup = Some(setup);
    }

    fn setup_complete(&mut self, setup: Setup, turn: &mut Turn) {
        let Setup {
            seq,
            names,
            roster_hash,
            members,
            slots,
            relay,
            ..
        } = setup;
        match relay.finish() {
            Ok(book) => {
                let book = Arc::new(book);
                let live = Live {
                    seq,
                    names,
                    members,
                    book,
                    slots,
                    next_slot: 0,
                    roster_hash,
                };
                self.epoch_live(live, turn);
            }
            Err(abort) => {
                let refused = Refusal::new(codes::SETUP, abort.to_string());
                self.close_void(seq, &names, refused, turn);
            }
        }
    }
}
