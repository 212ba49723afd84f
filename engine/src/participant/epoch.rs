//! Epochs as one member sees them: four steps of setup, then slots. Secrets live here and nowhere else; an agent that restarts
//! has none of them and takes part in none of their slots again.

use std::collections::BTreeMap;
use std::sync::Arc;

use secagg::setup::{Acking, Dealing, Greeting, Pairing};
use secagg::{Abort, Entropy, Epoch, Members, Message};

use super::{Participant, Turn};
use crate::codes;
use crate::ids::EpochSeq;
use crate::message::{EpochOpen, SetupStep, SetupToAgent, SetupToCoordinator, ToCoordinator, Wire};
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

/// Epochs by the coordinator's number.
#[derive(Default)]
pub(crate) struct Epochs {
    setups: BTreeMap<EpochSeq, Setup>,
    live: BTreeMap<EpochSeq, Live>,
    /// The highest number proposed to this process. Numbers only rise, so a slot's name never comes back and a computation
    /// that is late can only ever be about the round it was started for.
    highest: Option<EpochSeq>,
}

struct Setup {
    stage: Stage,
    deadline_ms: u64,
    members: Arc<Members>,
}

/// Moves consume the old stage.
enum Stage {
    Greeting(Greeting),
    Pairing(Box<Pairing>),
    Dealing(Dealing),
    Acking(Acking),
}

/// A live epoch.
pub(crate) struct Live {
    pub epoch: Epoch,
    pub members: Arc<Members>,
}

/// What a stage leads to.
enum Moved {
    Next(Box<Stage>, SetupStep, Wire),
    Live(Box<Epoch>),
}

impl Epochs {
    pub(crate) fn live(&self, seq: EpochSeq) -> Option<&Live> {
        self.live.get(&seq)
    }

    pub(crate) fn live_mut(&mut self, seq: EpochSeq) -> Option<&mut Live> {
        self.live.get_mut(&seq)
    }

    pub(crate) fn held(&self) -> Vec<EpochSeq> {
        self.live.keys().copied().collect()
    }

    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.setups.values().map(|setup| setup.deadline_ms).min()
    }
}

impl Participant {
    /// Answers a proposal with a Hello, if it is one this agent can be part of.
    pub(super) fn epoch_open(&mut self, open: EpochOpen, turn: &mut Turn<'_>) {
        let seq = open.epoch;
        if self.epochs.setups.contains_key(&seq) || self.epochs.live.contains_key(&seq) {
            return; // a duplicate: what was said stands
        }
        if let Some(highest) = self.epochs.highest.filter(|highest| seq <= *highest) {
            let text = format!("epoch numbers only rise: expected above {highest}, got {seq}");
            let remedy = "after the coordinator's store was replaced, restart the agents";
            return self.leave_epoch(seq, Refusal::new(codes::OUT_OF_ORDER, text).remedy(remedy), None, turn);
        }
        self.epochs.highest = Some(seq);
        let greeted = self.greet(&open, turn.entropy);
        let (greeting, hello, members) = match greeted {
            Ok(greeted) => greeted,
            Err(refusal) => return self.leave_epoch(seq, refusal, None, turn),
        };
        self.make_room(turn);
        turn.event(ParticipantEvent::EpochJoining {
            epoch: seq,
            members: members.n(),
        });
        let patience_ms = open.timeout_ms.min(self.config.limits.epoch_timeout_ms);
        let setup = Setup {
            stage: Stage::Greeting(greeting),
            deadline_ms: turn.now_ms + patience_ms,
            members,
        };
        self.epochs.setups.insert(seq, setup);
        send_step(seq, SetupStep::Hello, hello, turn);
    }

    /// Takes what the relay collected in a step.
    pub(super) fn setup_message(&mut self, message: SetupToAgent, turn: &mut Turn<'_>) {
        let seq = message.epoch;
        let Some(setup) = self.epochs.setups.remove(&seq) else {
            return;
        };
        if setup.stage.expects() != message.step {
            self.epochs.setups.insert(seq, setup); // a duplicate, or out of order: neither moves anything
            return;
        }
        match setup.stage.receive(&message.parts, turn.entropy) {
            Ok(Moved::Next(stage, step, wire)) => {
                let stage = *stage;
                self.epochs.setups.insert(seq, Setup { stage, ..setup });
                send_step(seq, step, wire, turn);
            }
            Ok(Moved::Live(epoch)) => {
                let members = setup.members;
                self.epochs.live.insert(seq, Live { epoch: *epoch, members });
                turn.event(ParticipantEvent::EpochLive { epoch: seq });
            }
            Err(abort) => {
                let dispute = match &abort {
                    Abort::Dispute(dispute) => Some(dispute.encode().into()),
                    _ => None,
                };
                let refusal = Refusal::new(codes::SETUP, abort.to_string());
                turn.suspicious(None, refusal.clone());
                self.leave_epoch(seq, refusal, dispute, turn);
            }
        }
    }

    /// The coordinator says that an epoch is over. Its secrets go; open rounds on it are lost.
    pub(super) fn epoch_closed(&mut self, seq: EpochSeq) {
        self.epochs.setups.remove(&seq);
        if self.epochs.live.remove(&seq).is_some() {
            self.drop_rounds_of(seq);
        }
    }

    pub(super) fn expire_epochs(&mut self, turn: &mut Turn<'_>) {
        let late = self
            .epochs
            .setups
            .iter()
            .filter(|(_, setup)| setup.deadline_ms <= turn.now_ms);
        let late: Vec<EpochSeq> = late.map(|(seq, _)| *seq).collect();
        for seq in late {
            self.epochs.setups.remove(&seq);
            self.leave_epoch(
                seq,
                Refusal::new(codes::DEADLINE, "epoch setup took too long"),
                None,
                turn,
            );
        }
    }

    fn greet(&self, open: &EpochOpen, entropy: &mut dyn Entropy) -> Result<(Greeting, Wire, Arc<Members>), Refusal> {
        if open.roster_hash != self.roster_hash.0 {
            let text = format!("epoch {} is of another roster than this agent's", open.epoch);
            return Err(Refusal::new(codes::ROSTER, text));
        }
        let keys = open.members.iter().map(|name| {
            let agent = self.roster.agent(name.as_str());
            let agent = agent.ok_or_else(|| Refusal::new(codes::ROSTER, format!("`{name}` is not in the roster")))?;
            Ok((agent.id.clone(), secagg::VerifyingKey(agent.signing_key.0)))
        });
        let keys = keys.collect::<Result<Vec<_>, Refusal>>()?;
        let setup = |error: String| Refusal::new(codes::SETUP, error);
        let roster_hash = secagg::Digest(self.roster_hash.0);
        let members =
            Members::new(roster_hash, self.roster.c as u16, keys).map_err(|error| setup(error.to_string()))?;
        let members = Arc::new(members);
        let key = self.config.signing_key.clone();
        let greeting = Greeting::start(members.clone(), self.config.agent.as_str(), key, open.slots, entropy);
        let (greeting, hello) = greeting.map_err(|abort| setup(abort.to_string()))?;
        Ok((greeting, hello.encode().into(), members))
    }

    /// A coordinator that opens epochs without end cannot fill this agent's memory.
    fn make_room(&mut self, turn: &mut Turn<'_>) {
        let most = self.config.limits.epochs.max(2);
        while self.epochs.setups.len() + self.epochs.live.len() >= most {
            let setup = self.epochs.setups.keys().next().copied();
            let live = self.epochs.live.keys().next().copied();
            let Some(oldest) = setup.into_iter().chain(live).min() else {
                return;
            };
            self.epochs.setups.remove(&oldest);
            if self.epochs.live.remove(&oldest).is_some() {
                self.drop_rounds_of(oldest);
            }
            self.leave_epoch(oldest, Refusal::new(codes::NO_EPOCH, "too many epochs"), None, turn);
        }
    }

    fn leave_epoch(&mut self, epoch: EpochSeq, refusal: Refusal, dispute: Option<Wire>, turn: &mut Turn<'_>) {
        let refused: crate::refused::Refused = refusal.into();
        turn.event(ParticipantEvent::EpochLeft {
            epoch,
            refused: refused.clone(),
        });
        turn.send(ToCoordinator::EpochLeft {
            epoch,
            refused,
            dispute,
        });
    }
}

impl Stage {
    /// The step whose messages move this stage.
    fn expects(&self) -> SetupStep {
        match self {
            Self::Greeting(_) => SetupStep::Hello,
            Self::Pairing(_) => SetupStep::PairCt,
            Self::Dealing(_) => SetupStep::Deal,
            Self::Acking(_) => SetupStep::Ack,
        }
    }

    fn receive(self, parts: &[Wire], entropy: &mut dyn Entropy) -> Result<Moved, Abort> {
        Ok(match self {
            Self::Greeting(greeting) => {
                let (pairing, cts) = greeting.receive(decoded(parts)?)?;
                Moved::Next(
                    Box::new(Self::Pairing(Box::new(pairing))),
                    SetupStep::PairCt,
                    cts.encode().into(),
                )
            }
            Self::Pairing(pairing) => {
                let (dealing, deal) = pairing.receive(decoded(parts)?, entropy)?;
                Moved::Next(Box::new(Self::Dealing(dealing)), SetupStep::Deal, deal.encode().into())
            }
            Self::Dealing(dealing) => {
                let (acking, ack) = dealing.receive(decoded(parts)?)?;
                Moved::Next(Box::new(Self::Acking(acking)), SetupStep::Ack, ack.encode().into())
            }
            Self::Acking(acking) => Moved::Live(Box::new(acking.receive(decoded(parts)?)?)),
        })
    }
}

fn decoded<M: Message>(parts: &[Wire]) -> Result<Vec<M>, Abort> {
    let decoded: Result<Vec<M>, _> = parts.iter().map(|part| M::decode(part)).collect();
    Ok(decoded?)
}

fn send_step(epoch: EpochSeq, step: SetupStep, message: Wire, turn: &mut Turn<'_>) {
    turn.send(ToCoordinator::Setup(SetupToCoordinator { epoch, step, message }));
}
