//! Round step 5: with t reveals the masks come off. If a secret does not open, members show the paths of their shares; if a
//! sealed bundle is bad, survivors show their edges with the dropped. The sum goes to the workload, and its answer decides
//! whether the job has another round or a release.

use std::collections::BTreeSet;

use secagg::adder::{Stuck, Sum, Unmasking, Why};
use secagg::{Abort, EdgeReveal, Message, Reveal, SharePaths};

use super::start::own;
use super::{Desk, Event, Flow, Phase, too_late};
use crate::codes;
use crate::ids::AgentId;
use crate::message::ToAgent;
use crate::workload::Refusal;

/// Waits for reveals, and for proofs if something does not open.
pub(super) struct Unmask {
    unmasking: Unmasking,
    cohort: BTreeSet<AgentId>,
    /// Who was asked for paths or edges and has not answered.
    asked: BTreeSet<AgentId>,
    reveals: usize,
}

/// The end of a round that went well.
pub(super) struct Summed {
    pub sum: Sum,
    pub cohort: BTreeSet<AgentId>,
}

impl Unmask {
    pub(super) fn new(unmasking: Unmasking, cohort: BTreeSet<AgentId>) -> Self {
        Self {
            unmasking,
            cohort,
            asked: BTreeSet::new(),
            reveals: 0,
        }
    }

    pub(super) fn receive(mut self, event: Event<'_>, desk: &mut Desk<'_>) -> Flow {
        let taken = match event {
            Event::Reveal(from, wire) => (from, self.reveal(from, &wire, desk)),
            Event::Paths(from, wire) => (from, self.paths(from, &wire, desk)),
            Event::Edges(from, wire) => (from, self.edges(from, &wire, desk)),
            Event::Lost(agent) => {
                self.asked.remove(agent);
                return self.open(desk);
            }
            Event::Late => {
                return Flow::Failed(too_late("reveals", desk.head.members.threshold(), self.reveals));
            }
            _ => return Flow::Stay(Phase::Unmask(self)),
        };
        if let (from, Err(abort)) = taken {
            desk.dropped(from, &abort);
        }
        self.open(desk)
    }

    fn open(self, desk: &mut Desk<'_>) -> Flow {
        if !self.asked.is_empty() || !self.unmasking.ready() {
            return Flow::Stay(Phase::Unmask(self));
        }
        let Self {
            unmasking,
            cohort,
            reveals,
            ..
        } = self;
        let Stuck { round, why } = match unmasking.unmask() {
            Ok(sum) => return Flow::Summed(Summed { sum, cohort }),
            Err(stuck) => stuck,
        };
        let at = desk.at();
        let (wanted, message) = match why {
            Why::Reveals { .. } => (BTreeSet::new(), None),
            Why::Paths { holders } => (desk.head.names(holders), Some(ToAgent::PathsWanted { at })),
            Why::Edges { survivors, .. } => (desk.head.names(survivors), Some(ToAgent::EdgesWanted { at })),
            Why::Dead(blames) => {
                let said: Vec<String> = blames
                    .iter()
                    .map(|blame| Abort::Member(Box::new(blame.clone())).to_string())
                    .collect();
                return Flow::Failed(Refusal::new(codes::ABORT, said.join("; ")).into());
            }
        };
        let asked: BTreeSet<AgentId> = wanted.intersection(desk.present).cloned().collect();
        if let Some(message) = message {
            if asked.is_empty() {
                return Flow::Failed(
                    Refusal::new(codes::ABORT, "a secret does not open, and nobody is left to prove why").into(),
                );
            }
            desk.tell(&asked, &message);
        }
        Flow::Stay(Phase::Unmask(Self {
            unmasking: *round,
            cohort,
            asked,
            reveals,
        }))
    }

    fn reveal(&mut self, from: &AgentId, wire: &[u8], desk: &Desk<'_>) -> Result<(), Abort> {
        let reveal = Reveal::decode(wire)?;
        own(desk.head, from, reveal.member)?;
        self.reveals = self.unmasking.reveal(reveal)?.unwrap_or(self.reveals);
        Ok(())
    }

    fn paths(&mut self, from: &AgentId, wire: &[u8], desk: &Desk<'_>) -> Result<(), Abort> {
        self.asked.remove(from);
        let paths = SharePaths::decode(wire)?;
        own(desk.head, from, paths.member)?;
        self.unmasking.paths(paths).map(|_| ())
    }

    fn edges(&mut self, from: &AgentId, wire: &[u8], desk: &Desk<'_>) -> Result<(), Abort> {
        self.asked.remove(from);
        let edges = EdgeReveal::decode(wire)?;
        own(desk.head, from, edges.member)?;
        self.unmasking.edges(edges)
    }
}
