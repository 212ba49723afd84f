//! Round step 2: masked vectors are added as they come, then leave memory for the spool. A vector whose signature, digest or
//! length does not hold counts as lost.

use std::collections::BTreeSet;

use secagg::adder::{Collect, Opening};
use secagg::{Abort, MaskedHeader, Message, Receipt, RingVec};

use super::start::own;
use super::{Desk, Event, Flow, Phase, survive, too_late, unmask};
use crate::codes;
use crate::ids::AgentId;
use crate::message::{MaskedInput, ToAgent};
use crate::step::Spool;
use crate::workload::Refusal;

/// Waits for masked vectors.
pub(super) struct Collecting {
    collect: Collect,
    cohort: BTreeSet<AgentId>,
    pending: BTreeSet<AgentId>,
    opened_ms: u64,
}

impl Collecting {
    pub(super) fn new(collect: Collect, cohort: BTreeSet<AgentId>, now_ms: u64) -> Self {
        Self {
            collect,
            pending: cohort.clone(),
            cohort,
            opened_ms: now_ms,
        }
    }

    pub(super) fn awaits(&self, agent: &AgentId) -> bool {
        self.pending.contains(agent)
    }

    pub(super) fn receive(mut self, event: Event<'_>, desk: &mut Desk<'_>) -> Flow {
        match event {
            Event::Masked(from, masked) if self.pending.contains(from) => {
                match self.add(from, masked, desk) {
                    Ok(Some((header, vector))) => {
                        desk.delivered.insert(from.clone());
                        if self.collect.len() == desk.head.planned.terms.s_min as usize {
                            *desk.took_ms = Some(desk.turn.now_ms.saturating_sub(self.opened_ms));
                        }
                        let receipt = Receipt::sign(&header, desk.key).encode().into();
                        let (at, job) = (desk.at(), desk.head.start.job);
                        desk.turn.send(from, ToAgent::Receipt { at, receipt });
                        desk.turn.step.spool.push(Spool {
                            job,
                            at,
                            agent: from.clone(),
                            vector,
                        });
                    }
                    Ok(None) => {}
                    Err(abort) => desk.dropped(from, &abort),
                }
                self.pending.remove(from);
            }
            Event::Lost(agent) => {
                self.pending.remove(agent);
            }
            Event::Late => {
                desk.silent.extend(self.pending.iter().cloned());
                return self.close(desk);
            }
            _ => {}
        }
        if self.pending.is_empty() {
            self.close(desk)
        } else {
            Flow::Stay(Phase::Collect(self))
        }
    }

    fn add(
        &mut self,
        from: &AgentId,
        masked: MaskedInput,
        desk: &Desk<'_>,
    ) -> Result<Option<(MaskedHeader, RingVec)>, Abort> {
        let header = MaskedHeader::decode(&masked.head)?;
        own(desk.head, from, header.member)?;
        let added = self.collect.add(header.clone(), masked.vector)?;
        Ok(added.map(|vector| (header, vector)))
    }

    /// Freezes the survivors and tells every member of the epoch: those outside the cohort hold shares too.
    fn close(self, desk: &mut Desk<'_>) -> Flow {
        if !self.collect.ready() {
            let s_min = desk.head.planned.terms.s_min as usize;
            return Flow::Failed(too_late("vectors", s_min, self.collect.len()));
        }
        let (survivors, opening) = match self.collect.close() {
            Ok(closed) => closed,
            Err(abort) => return Flow::Failed(Refusal::new(codes::ABORT, abort.to_string()).into()),
        };
        let message = ToAgent::Survivors {
            at: desk.at(),
            survivors: survivors.encode().into(),
        };
        let present = desk.present;
        desk.tell(present, &message);
        match opening {
            Opening::Fast(unmasking) => {
                let phase = unmask::Unmask::new(unmasking, self.cohort);
                Flow::Move(Phase::Unmask(phase), desk.deadline(desk.limits.unmask_ms))
            }
            Opening::Slow(voting) => {
                let phase = survive::Surviving::new(voting, self.cohort);
                Flow::Move(Phase::Survive(phase), desk.deadline(desk.limits.survive_ms))
            }
        }
    }
}
