//! What the coordinator sends, cut into frames, and put together again by the agent. Signed messages are shared between
//! the frames of all agents, not copied.

use std::sync::Arc;

use engine::CohortTerms;
use engine::message::{Acts, Carried, Cohort, Cursor, EpochOpen, Previous, RoundStart, SetupToAgent, ToAgent};
use prost::bytes::Bytes;

use super::{CHUNK, MAX_PARTS, MAX_SETUP, setup_step};
use crate::v1::{self, coordinator_frame::Frame};
use crate::wire::{Malformed, acts, agent, at_most, bytes, fixed, job, required, slot, small, wire};

/// The frames of one message, in the order in which they must be sent, with nothing between them.
pub fn to_agent_frames(message: ToAgent) -> impl Iterator<Item = v1::CoordinatorFrame> + Send {
    let mut rest = Vec::new();
    let first = match message {
        ToAgent::Roster(roster) => Frame::Roster(roster.into()),
        ToAgent::Acts(acts) => Frame::Acts(v1::Acts {
            from: Some(acts.from.into()),
            acts: acts.acts.into_iter().map(Into::into).collect(),
        }),
        ToAgent::Heartbeat(end) => Frame::Heartbeat(v1::Heartbeat { end: Some(end.into()) }),
        ToAgent::EpochOpen(open) => Frame::EpochOpen(open.into()),
        ToAgent::Setup(setup) => {
            let (first, following) = setup_frames(setup);
            rest = following;
            first
        }
        ToAgent::EpochClosed { epoch } => Frame::EpochClosed(v1::EpochClosed { epoch }),
        ToAgent::RoundStart(start) => Frame::RoundStart(start.into()),
        ToAgent::Cohort(cohort) => Frame::Cohort(v1::Cohort {
            at: Some(cohort.at.into()),
            accepts: bytes(cohort.accepts),
            upload_unasked: cohort.upload_unasked,
        }),
        ToAgent::UploadGrant { at } => Frame::UploadGrant(v1::UploadGrant { at: Some(at.into()) }),
        ToAgent::Receipt { at, receipt } => Frame::Receipt(v1::Receipt {
            at: Some(at.into()),
            receipt: bytes(receipt),
        }),
        ToAgent::Survivors { at, survivors } => Frame::Survivors(v1::Survivors {
            at: Some(at.into()),
            survivors: bytes(survivors),
        }),
        ToAgent::Certificate { at, certificate } => Frame::Certificate(v1::Certificate {
            at: Some(at.into()),
            certificate: bytes(certificate),
        }),
        ToAgent::PathsWanted { at } => Frame::PathsWanted(v1::PathsWanted { at: Some(at.into()) }),
        ToAgent::EdgesWanted { at } => Frame::EdgesWanted(v1::EdgesWanted { at: Some(at.into()) }),
        ToAgent::RoundEnded { at, next } => Frame::RoundEnded(v1::RoundEnded {
            at: Some(at.into()),
            next: next.map(|next| (*next).into()),
        }),
        ToAgent::JobEnded { job, request_hash } => Frame::JobEnded(v1::JobEnded {
            job: Bytes::copy_from_slice(&job.0),
            request_hash: Bytes::copy_from_slice(&request_hash),
        }),
        ToAgent::LogGrown(grown) => Frame::LogGrown((*grown).into()),
        ToAgent::Trial(trial) => Frame::Trial(trial.into()),
    };
    std::iter::once(first)
        .chain(rest)
        .map(|frame| v1::CoordinatorFrame { frame: Some(frame) })
}

/// A step with a part of every member, in frames of about one chunk.
fn setup_frames(setup: SetupToAgent) -> (Frame, Vec<Frame>) {
    let empty = || v1::SetupFromCoordinator {
        epoch: setup.epoch,
        step: v1::SetupStep::from(setup.step) as i32,
        ..Default::default()
    };
    let mut first = empty();
    let mut rest: Vec<v1::SetupFromCoordinator> = Vec::new();
    let mut filled = 0;
    for part in setup.parts {
        if filled > 0 && filled + part.len() > CHUNK {
            rest.last_mut().unwrap_or(&mut first).more = true;
            rest.push(empty());
            filled = 0;
        }
        filled += part.len();
        rest.last_mut().unwrap_or(&mut first).parts.push(bytes(part));
    }
    (Frame::Setup(first), rest.into_iter().map(Frame::Setup).collect())
}

/// The receiving side of the coordinator's stream. After an error the stream is out of step and must be closed.
#[derive(Default)]
pub struct AgentAssembler {
    setup: Option<Gathered>,
}

impl AgentAssembler {
    /// Takes the next frame; answers with a message when one is whole.
    pub fn push(&mut self, frame: v1::CoordinatorFrame) -> Result<Option<ToAgent>, Malformed> {
        let frame = required("frame", frame.frame)?;
        if self.setup.is_some() && !matches!(frame, Frame::Setup(_)) {
            return Err(Malformed::Order {
                expected: "the rest of a setup step",
                found: "another message",
            });
        }
        let message = match frame {
            Frame::Welcome(_) => {
                return Err(Malformed::Order {
                    expected: "a message",
                    found: "a second welcome",
                });
            }
            Frame::Roster(roster) => ToAgent::Roster(roster.try_into()?),
            Frame::Acts(said) => ToAgent::Acts(Acts {
                from: required("place of acts", said.from)?.try_into()?,
                acts: acts(said.acts)?,
            }),
            Frame::Heartbeat(beat) => ToAgent::Heartbeat(required("place of acts", beat.end)?.try_into()?),
            Frame::EpochOpen(open) => ToAgent::EpochOpen(open.try_into()?),
            Frame::Setup(setup) => return self.setup_parts(setup),
            Frame::EpochClosed(closed) => ToAgent::EpochClosed { epoch: closed.epoch },
            Frame::RoundStart(start) => ToAgent::RoundStart(start.try_into()?),
            Frame::Cohort(cohort) => ToAgent::Cohort(Cohort {
                at: slot(cohort.at)?,
                accepts: wire(cohort.accepts),
                upload_unasked: cohort.upload_unasked,
            }),
            Frame::UploadGrant(m) => ToAgent::UploadGrant { at: slot(m.at)? },
            Frame::Receipt(m) => ToAgent::Receipt {
                at: slot(m.at)?,
                receipt: wire(m.receipt),
            },
            Frame::Survivors(m) => ToAgent::Survivors {
                at: slot(m.at)?,
                survivors: wire(m.survivors),
            },
            Frame::Certificate(m) => ToAgent::Certificate {
                at: slot(m.at)?,
                certificate: wire(m.certificate),
            },
            Frame::PathsWanted(m) => ToAgent::PathsWanted { at: slot(m.at)? },
            Frame::EdgesWanted(m) => ToAgent::EdgesWanted { at: slot(m.at)? },
            Frame::RoundEnded(m) => ToAgent::RoundEnded {
                at: slot(m.at)?,
                next: m.next.map(RoundStart::try_from).transpose()?.map(Box::new),
            },
            Frame::JobEnded(m) => ToAgent::JobEnded {
                job: job(&m.job)?,
                request_hash: fixed("request hash", &m.request_hash)?,
            },
            Frame::LogGrown(grown) => ToAgent::LogGrown(Box::new(grown.try_into()?)),
            Frame::Trial(trial) => ToAgent::Trial(trial.try_into()?),
        };
        Ok(Some(message))
    }

    fn setup_parts(&mut self, setup: v1::SetupFromCoordinator) -> Result<Option<ToAgent>, Malformed> {
        let (epoch, step, more) = (setup.epoch, setup_step(setup.step)?, setup.more);
        let gathered = self.setup.get_or_insert_with(|| Gathered {
            step: SetupToAgent {
                epoch,
                step,
                parts: Vec::new(),
            },
            bytes: 0,
        });
        if (gathered.step.epoch, gathered.step.step) != (epoch, step) {
            return Err(Malformed::Order {
                expected: "the rest of a setup step",
                found: "another setup step",
            });
        }
        at_most(
            "parts of a setup step",
            MAX_PARTS,
            gathered.step.parts.len() + setup.parts.len(),
        )?;
        gathered.bytes += setup.parts.iter().map(Bytes::len).sum::<usize>();
        at_most("setup step", MAX_SETUP, gathered.bytes)?;
        gathered.step.parts.extend(setup.parts.into_iter().map(wire));
        if more {
            return Ok(None);
        }
        Ok(self.setup.take().map(|whole| ToAgent::Setup(whole.step)))
    }
}

/// A setup step whose last frame has not come.
struct Gathered {
    step: SetupToAgent,
    bytes: usize,
}

impl From<Cursor> for v1::Cursor {
    fn from(place: Cursor) -> Self {
        Self {
            count: place.count,
            head: Bytes::copy_from_slice(&place.head),
        }
    }
}

impl TryFrom<v1::Cursor> for Cursor {
    type Error = Malformed;

    fn try_from(place: v1::Cursor) -> Result<Self, Malformed> {
        Ok(Self {
            count: place.count,
            head: fixed("head of acts", &place.head)?,
        })
    }
}

impl From<EpochOpen> for v1::EpochOpen {
    fn from(open: EpochOpen) -> Self {
        Self {
            epoch: open.epoch,
            roster_hash: Bytes::copy_from_slice(&open.roster_hash),
            members: open.members.into_iter().map(String::from).collect(),
            slots: open.slots.into(),
            timeout_ms: open.timeout_ms,
        }
    }
}

impl TryFrom<v1::EpochOpen> for EpochOpen {
    type Error = Malformed;

    fn try_from(open: v1::EpochOpen) -> Result<Self, Malformed> {
        at_most("members of an epoch", 100_000, open.members.len())?;
        Ok(Self {
            epoch: open.epoch,
            roster_hash: fixed("roster hash", &open.roster_hash)?,
            members: open.members.into_iter().map(agent).collect::<Result<_, _>>()?,
            slots: small("slots of an epoch", open.slots)?,
            timeout_ms: open.timeout_ms,
        })
    }
}

impl From<RoundStart> for v1::RoundStart {
    fn from(start: RoundStart) -> Self {
        Self {
            at: Some(start.at.into()),
            job: Bytes::copy_from_slice(&start.job.0),
            request: Some((&*start.request).into()),
            round: start.round,
            attempt: start.attempt,
            plan_hash: Bytes::copy_from_slice(&start.plan_hash),
            s_min: start.s_min,
            previous: start.previous.map(Into::into),
            timeout_ms: start.timeout_ms,
        }
    }
}

impl TryFrom<v1::RoundStart> for RoundStart {
    type Error = Malformed;

    fn try_from(start: v1::RoundStart) -> Result<Self, Malformed> {
        Ok(Self {
            at: slot(start.at)?,
            job: job(&start.job)?,
            request: Arc::new(required("request", start.request)?.try_into()?),
            round: start.round,
            attempt: start.attempt,
            plan_hash: fixed("plan hash", &start.plan_hash)?,
            s_min: start.s_min,
            previous: start.previous.map(Previous::try_from).transpose()?,
            timeout_ms: start.timeout_ms,
        })
    }
}

impl From<Previous> for v1::Previous {
    fn from(previous: Previous) -> Self {
        use v1::previous::Carried as Form;
        Self {
            sum_hash: Bytes::copy_from_slice(&previous.sum_hash),
            state_hash: Bytes::copy_from_slice(&previous.state_hash),
            members: previous.terms.n,
            colluders: previous.terms.c,
            s_min: previous.terms.s_min,
            carried: Some(match previous.carried {
                Carried::State(state) => Form::State(bytes(state)),
                Carried::Sum { values, contributors } => Form::Sum(v1::PreviousSum {
                    values: bytes(values),
                    contributors,
                }),
            }),
        }
    }
}

impl TryFrom<v1::Previous> for Previous {
    type Error = Malformed;

    fn try_from(previous: v1::Previous) -> Result<Self, Malformed> {
        use v1::previous::Carried as Form;
        Ok(Self {
            sum_hash: fixed("hash of a sum", &previous.sum_hash)?,
            state_hash: fixed("hash of a state", &previous.state_hash)?,
            terms: CohortTerms {
                n: previous.members,
                c: previous.colluders,
                s_min: previous.s_min,
            },
            carried: match required("what the round before left", previous.carried)? {
                Form::State(state) => Carried::State(wire(state)),
                Form::Sum(sum) => Carried::Sum {
                    values: wire(sum.values),
                    contributors: sum.contributors,
                },
            },
        })
    }
}
