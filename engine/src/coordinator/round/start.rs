//! Round step 1: owners were asked and say Accept or Refuse. The cohort is closed when all have spoken or time is up.

use std::collections::BTreeSet;

use secagg::adder::Gather;
use secagg::{Accept, Message};

use super::{Desk, Event, Flow, Head, Phase, collect};
use crate::codes;
use crate::ids::AgentId;
use crate::message::{Cohort, ToAgent};
use crate::refused::Refused;
use crate::workload::Refusal;

/// Waits for Accepts.
pub(super) struct Start {
    gather: Gather,
    pending: BTreeSet<AgentId>,
    refused: Vec<(AgentId, Refused)>,
}

impl Start {
    pub(super) fn new(gather: Gather, head: &Head) -> Self {
        Self {
            gather,
            pending: head.owners.iter().map(|(agent, _)| agent.clone()).collect(),
            refused: Vec::new(),
        }
    }

    pub(super) fn receive(mut self, event: Event<'_>, desk: &mut Desk<'_>) -> Flow {
        match event {
            Event::Accept(from, wire, grant) if self.pending.contains(from) => {
                let accepted = Accept::decode(&wire).map_err(Into::into).and_then(|accept| {
                    own(desk.head, from, accept.member)?;
                    self.gather.accept(accept)
                });
                match accepted {
                    Ok(_) => *desk.admitted = grant,
                    Err(abort) => desk.dropped(from, &abort),
                }
                self.pending.remove(from);
            }
            Event::Refused(from, refused) if self.pending.remove(from) => self.refused.push((from.clone(), refused)),
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
            Flow::Stay(Phase::Start(self))
        }
    }

    fn close(self, desk: &mut Desk<'_>) -> Flow {
        let s_min = desk.head.planned.terms.s_min as usize;
        if !self.gather.ready() {
            return Flow::Failed(self.why(desk.head, s_min));
        }
        let plan = desk.head.planned.plan.clone();
        let (collect, cohort) = match self.gather.close(plan.ring, plan.dim) {
            Ok(closed) => closed,
            Err(abort) => return Flow::Failed(Refusal::new(codes::ABORT, abort.to_string()).into()),
        };
        let members = desk.head.names(cohort.accepts.iter().map(|accept| accept.member));
        let message = ToAgent::Cohort(Cohort {
            at: desk.at(),
            accepts: cohort.encode().into(),
            upload_unasked: plan.dim * plan.ring.bytes_per_value() <= desk.limits.unasked_bytes,
        });
        desk.tell(&members, &message);
        let deadline_ms = desk.deadline(desk.head.collect_ms);
        let collecting = collect::Collecting::new(collect, members, desk.turn.now_ms);
        Flow::Move(Phase::Collect(collecting), deadline_ms)
    }

    /// If refusals alone leave too few, asking again would be refused again.
    fn why(&self, head: &Head, s_min: usize) -> Refused {
        let lasting: Vec<_> = self
            .refused
            .iter()
            .filter(|(_, refused)| !codes::is_transient(&refused.code))
            .collect();
        if head.owners.len() - lasting.len() >= s_min {
            return super::too_late("acceptances", s_min, self.gather.len());
        }
        let text = format!("owners refused, nothing was charged: {}", said_once(&lasting));
        let remedy = lasting.iter().find_map(|(_, refused)| refused.remedy.clone());
        Refused {
            code: codes::OWNERS_REFUSED.to_owned(),
            message: text,
            remedy,
        }
    }
}

/// What was said, each sentence once, behind the names of all who said it.
fn said_once(refusals: &[&(AgentId, Refused)]) -> String {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for (agent, refused) in refusals {
        let sentence = refused.to_string();
        match said.iter_mut().find(|(earlier, _)| *earlier == sentence) {
            Some((_, agents)) => agents.push(agent.as_str()),
            None => said.push((sentence, vec![agent.as_str()])),
        }
    }
    let lines = said
        .iter()
        .map(|(sentence, agents)| format!("{}: {sentence}", agents.join(", ")));
    lines.collect::<Vec<_>>().join("; ")
}

/// A member signs for itself: what it sends must be its own.
pub(super) fn own(head: &Head, from: &AgentId, member: u16) -> Result<(), secagg::Abort> {
    if head.index(from) == Some(member) {
        Ok(())
    } else {
        Err(secagg::RelayFault::UnknownMember {
            n: head.members.n(),
            found: member,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_owners_say_is_said_once() {
        let refusal = |agent: &str, message: &str| {
            let refusal = Refusal::new(codes::RULES, message.to_owned()).remedy("ask them");
            (AgentId::from(agent), Refused::from(refusal))
        };
        let refusals = [
            refusal("ada", "no grant"),
            refusal("bob", "paused"),
            refusal("cy", "no grant"),
        ];
        let said = said_once(&refusals.iter().collect::<Vec<_>>());
        let rules = codes::RULES;
        let expected = format!("ada, cy: {rules}: no grant (ask them); bob: {rules}: paused (ask them)");
        assert_eq!(said, expected);
    }
}
