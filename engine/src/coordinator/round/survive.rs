//! Round steps 3 and 4 on the slow path: somebody dropped, so members vote for one survivor set before anything is opened. t equal
//! votes are a certificate, and every member of the epoch gets it.

use std::collections::BTreeSet;

use secagg::adder::Voting;
use secagg::{Message, Vote};

use super::start::own;
use super::{Desk, Event, Flow, Phase, too_late, unmask};
use crate::codes;
use crate::ids::AgentId;
use crate::message::ToAgent;
use crate::workload::Refusal;

/// Waits for votes.
pub(super) struct Surviving {
    voting: Voting,
    cohort: BTreeSet<AgentId>,
    votes: usize,
}

impl Surviving {
    pub(super) fn new(voting: Voting, cohort: BTreeSet<AgentId>) -> Self {
        Self {
            voting,
            cohort,
            votes: 0,
        }
    }

    pub(super) fn receive(mut self, event: Event<'_>, desk: &mut Desk<'_>) -> Flow {
        match event {
            Event::Vote(from, wire) => {
                let voted = Vote::decode(&wire).map_err(Into::into).and_then(|vote| {
                    own(desk.head, from, vote.member)?;
                    self.voting.vote(vote)
                });
                match voted {
                    Ok(count) => self.votes = count.unwrap_or(self.votes),
                    Err(abort) => desk.dropped(from, &abort),
                }
            }
            Event::Late => return Flow::Failed(too_late("votes", desk.head.members.threshold(), self.votes)),
            _ => {}
        }
        if self.voting.ready() {
            self.close(desk)
        } else {
            Flow::Stay(Phase::Survive(self))
        }
    }

    fn close(self, desk: &mut Desk<'_>) -> Flow {
        let (certificate, unmasking) = match self.voting.close() {
            Ok(closed) => closed,
            Err(abort) => return Flow::Failed(Refusal::new(codes::ABORT, abort.to_string()).into()),
        };
        let message = ToAgent::Certificate {
            at: desk.at(),
            certificate: certificate.encode().into(),
        };
        let present = desk.present;
        desk.tell(present, &message);
        let phase = unmask::Unmask::new(unmasking, self.cohort);
        Flow::Move(Phase::Unmask(phase), desk.deadline(desk.limits.unmask_ms))
    }
}
