//! What an agent sends, cut into frames, and put together again by the coordinator. Receiving a vector costs one copy,
//! into a buffer of exactly the announced size.

use engine::SlotId;
use engine::message::{BudgetView, Join, MaskedInput, Offer, SetupToCoordinator, ToCoordinator, Wire};
use governance::ContentHash;
use prost::bytes::Bytes;
use secagg::{Ring, RingVec};

use super::{CHUNK, MAX_VECTOR, setup_step};
use crate::v1::{self, agent_frame::Frame};
use crate::wire::{
    MAX_DOCUMENT, MAX_NAME, Malformed, at_most, bytes, fixed, job, quantity, required, slot, text, wire,
};

/// The frames of one message, in the order in which they must be sent, with nothing between them.
pub fn frames(message: ToCoordinator) -> impl Iterator<Item = v1::AgentFrame> + Send {
    let mut rest = Vec::new();
    let first = match message {
        ToCoordinator::Offers(offers) => Frame::Offers(v1::Offers {
            offers: offers.into_iter().map(Into::into).collect(),
        }),
        ToCoordinator::Setup(setup) => Frame::Setup(v1::SetupFromAgent {
            epoch: setup.epoch,
            step: v1::SetupStep::from(setup.step) as i32,
            message: bytes(setup.message),
        }),
        ToCoordinator::EpochLeft {
            epoch,
            refused,
            dispute,
        } => Frame::EpochLeft(v1::EpochLeft {
            epoch,
            refused: Some(refused.into()),
            dispute: dispute.map(bytes),
        }),
        ToCoordinator::Act(signed) => Frame::Act(signed.into()),
        ToCoordinator::ActsWanted { from } => Frame::ActsWanted(v1::ActsWanted { from }),
        ToCoordinator::RosterWanted { roster } => Frame::RosterWanted(v1::RosterWanted {
            roster: Bytes::copy_from_slice(&roster.0),
        }),
        ToCoordinator::Accept { at, accept, grant } => Frame::Accept(v1::Accept {
            at: Some(at.into()),
            accept: bytes(accept),
            grant: grant.map(|grant| Bytes::copy_from_slice(&grant.0)),
        }),
        ToCoordinator::Refuse { at, refused } => Frame::Refuse(v1::RefuseRound {
            at: Some(at.into()),
            refused: Some(refused.into()),
        }),
        ToCoordinator::Ready { at } => Frame::Ready(v1::Ready { at: Some(at.into()) }),
        ToCoordinator::MaskedInput(input) => {
            let head = v1::MaskedInput {
                at: Some(input.at.into()),
                head: bytes(input.head),
                ring: v1::Ring::from(input.vector.ring()) as i32,
                dim: input.vector.dim() as u64,
            };
            let mut values = Bytes::from(input.vector.into_bytes());
            while !values.is_empty() {
                let chunk = values.split_to(values.len().min(CHUNK));
                rest.push(Frame::VectorChunk(v1::VectorChunk { values: chunk }));
            }
            Frame::MaskedInput(head)
        }
        ToCoordinator::Vote { at, vote } => Frame::Vote(v1::Vote {
            at: Some(at.into()),
            vote: bytes(vote),
        }),
        ToCoordinator::Reveal { at, reveal } => Frame::Reveal(v1::Reveal {
            at: Some(at.into()),
            reveal: bytes(reveal),
        }),
        ToCoordinator::Paths { at, paths } => Frame::Paths(v1::Paths {
            at: Some(at.into()),
            paths: bytes(paths),
        }),
        ToCoordinator::Edges { at, edges } => Frame::Edges(v1::Edges {
            at: Some(at.into()),
            edges: bytes(edges),
        }),
        ToCoordinator::Aborted { at, refused } => Frame::Aborted(v1::Aborted {
            at: Some(at.into()),
            refused: Some(refused.into()),
        }),
        ToCoordinator::Events(leaves) => Frame::Events(v1::Events { leaves }),
        ToCoordinator::LogSeen(seen) => Frame::LogSeen(seen.into()),
        ToCoordinator::TrialAnswer { id, answer } => Frame::TrialAnswer(v1::TrialAnswer {
            id: Bytes::copy_from_slice(&id.0),
            path: Some(answer.into()),
        }),
    };
    std::iter::once(first)
        .chain(rest)
        .map(|frame| v1::AgentFrame { frame: Some(frame) })
}

/// The second frame of a connection, after the greeting.
pub fn join_frame(join: Join) -> v1::AgentFrame {
    let join = v1::Join {
        offers: join.offers.into_iter().map(Into::into).collect(),
        epochs: join.epochs,
        log_size: join.log_size,
        acts: join.acts,
    };
    v1::AgentFrame {
        frame: Some(Frame::Join(join)),
    }
}

/// Reads the second frame of a connection.
pub fn joined(frame: v1::AgentFrame) -> Result<Join, Malformed> {
    let Some(Frame::Join(join)) = frame.frame else {
        return Err(Malformed::Missing("join"));
    };
    at_most("epochs", 4096, join.epochs.len())?;
    Ok(Join {
        offers: offers(join.offers)?,
        epochs: join.epochs,
        log_size: join.log_size,
        acts: join.acts,
    })
}

fn offers(offers: Vec<v1::Offer>) -> Result<Vec<Offer>, Malformed> {
    at_most("offers", 4096, offers.len())?;
    offers.into_iter().map(Offer::try_from).collect()
}

/// Bytes of the vector that this frame announces, if it announces one: the moment to wait for one of the few places.
pub fn announced_bytes(frame: &v1::AgentFrame) -> Option<u64> {
    let Some(Frame::MaskedInput(head)) = &frame.frame else {
        return None;
    };
    let bytes_per_value = if head.ring == v1::Ring::Z32 as i32 { 4 } else { 8 };
    Some(head.dim.saturating_mul(bytes_per_value))
}

/// The receiving side of one agent's stream. After an error the stream is out of step and must be closed.
#[derive(Default)]
pub struct Assembler {
    upload: Option<Upload>,
}

struct Upload {
    at: SlotId,
    head: Wire,
    ring: Ring,
    values: Vec<u8>,
    expected: usize,
}

impl Assembler {
    /// Whether a vector is on its way.
    pub fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }

    /// Takes the next frame; answers with a message when one is whole.
    pub fn push(&mut self, frame: v1::AgentFrame) -> Result<Option<ToCoordinator>, Malformed> {
        let frame = required("frame", frame.frame)?;
        if self.upload.is_some() && !matches!(frame, Frame::VectorChunk(_)) {
            return Err(Malformed::Order {
                expected: "the rest of a vector",
                found: "another message",
            });
        }
        let message = match frame {
            Frame::Greeting(_) | Frame::Join(_) => {
                return Err(Malformed::Order {
                    expected: "a message",
                    found: "a second greeting",
                });
            }
            Frame::Offers(said) => ToCoordinator::Offers(offers(said.offers)?),
            Frame::Setup(setup) => ToCoordinator::Setup(SetupToCoordinator {
                epoch: setup.epoch,
                step: setup_step(setup.step)?,
                message: wire(setup.message),
            }),
            Frame::EpochLeft(left) => ToCoordinator::EpochLeft {
                epoch: left.epoch,
                refused: required("refusal", left.refused)?.try_into()?,
                dispute: left.dispute.map(wire),
            },
            Frame::Act(signed) => ToCoordinator::Act(signed.try_into()?),
            Frame::ActsWanted(m) => ToCoordinator::ActsWanted { from: m.from },
            Frame::RosterWanted(m) => ToCoordinator::RosterWanted {
                roster: ContentHash(fixed("roster", &m.roster)?),
            },
            Frame::Accept(m) => ToCoordinator::Accept {
                at: slot(m.at)?,
                accept: wire(m.accept),
                grant: m
                    .grant
                    .map(|grant| fixed("grant", &grant))
                    .transpose()?
                    .map(ContentHash),
            },
            Frame::Refuse(m) => ToCoordinator::Refuse {
                at: slot(m.at)?,
                refused: required("refusal", m.refused)?.try_into()?,
            },
            Frame::Ready(m) => ToCoordinator::Ready { at: slot(m.at)? },
            Frame::MaskedInput(head) => {
                self.upload = Some(Upload::open(head)?);
                return Ok(None);
            }
            Frame::VectorChunk(chunk) => return self.chunk(chunk.values),
            Frame::Vote(m) => ToCoordinator::Vote {
                at: slot(m.at)?,
                vote: wire(m.vote),
            },
            Frame::Reveal(m) => ToCoordinator::Reveal {
                at: slot(m.at)?,
                reveal: wire(m.reveal),
            },
            Frame::Paths(m) => ToCoordinator::Paths {
                at: slot(m.at)?,
                paths: wire(m.paths),
            },
            Frame::Edges(m) => ToCoordinator::Edges {
                at: slot(m.at)?,
                edges: wire(m.edges),
            },
            Frame::Events(events) => ToCoordinator::Events(super::leaves(events.leaves)?),
            Frame::LogSeen(seen) => ToCoordinator::LogSeen(seen.try_into()?),
            Frame::TrialAnswer(m) => ToCoordinator::TrialAnswer {
                id: job(&m.id)?,
                answer: required("path of a decision", m.path)?.try_into()?,
            },
            Frame::Aborted(m) => ToCoordinator::Aborted {
                at: slot(m.at)?,
                refused: required("refusal", m.refused)?.try_into()?,
            },
        };
        Ok(Some(message))
    }

    fn chunk(&mut self, values: Bytes) -> Result<Option<ToCoordinator>, Malformed> {
        let upload = self.upload.as_mut().ok_or(Malformed::Order {
            expected: "the head of a vector",
            found: "a part of one",
        })?;
        let missing = upload.expected - upload.values.len();
        at_most("vector chunk", missing.min(CHUNK), values.len())?;
        if values.is_empty() {
            return Err(Malformed::Missing("values of a vector chunk"));
        }
        upload.values.extend_from_slice(&values);
        if upload.values.len() < upload.expected {
            return Ok(None);
        }
        self.upload.take().map(Upload::close).transpose()
    }
}

impl Upload {
    fn open(head: v1::MaskedInput) -> Result<Self, Malformed> {
        let ring = match v1::Ring::try_from(head.ring) {
            Ok(v1::Ring::Z32) => Ring::Z32,
            Ok(v1::Ring::Z64) => Ring::Z64,
            Ok(v1::Ring::Unspecified) | Err(_) => {
                return Err(Malformed::Unknown {
                    what: "ring",
                    found: head.ring.into(),
                });
            }
        };
        let limit = MAX_VECTOR / ring.bytes_per_value();
        let dim = usize::try_from(head.dim).unwrap_or(usize::MAX);
        at_most("vector", limit, dim)?;
        if dim == 0 {
            return Err(Malformed::Missing("values of a vector"));
        }
        let expected = dim * ring.bytes_per_value();
        Ok(Self {
            at: slot(head.at)?,
            head: wire(head.head),
            ring,
            values: Vec::with_capacity(expected),
            expected,
        })
    }

    fn close(self) -> Result<ToCoordinator, Malformed> {
        let found = self.values.len();
        let vector = RingVec::from_bytes(self.ring, self.values).map_err(|_| Malformed::Length {
            what: "vector",
            expected: self.expected,
            found,
        })?;
        Ok(ToCoordinator::MaskedInput(MaskedInput {
            at: self.at,
            head: self.head,
            vector,
        }))
    }
}

impl From<Ring> for v1::Ring {
    fn from(ring: Ring) -> Self {
        match ring {
            Ring::Z32 => Self::Z32,
            Ring::Z64 => Self::Z64,
        }
    }
}

impl From<Offer> for v1::Offer {
    fn from(offer: Offer) -> Self {
        Self {
            dataset: offer.dataset,
            contract_json: offer.contract_json,
            snapshot: offer.snapshot,
            min_cohort: offer.min_cohort,
            paused: offer.paused,
            budget: offer.budget.map(Into::into),
            left_for: offer.left_for.into_iter().collect(),
            admitted: offer.admitted.into_iter().collect(),
        }
    }
}

impl TryFrom<v1::Offer> for Offer {
    type Error = Malformed;

    fn try_from(offer: v1::Offer) -> Result<Self, Malformed> {
        at_most("analysts of an offer", 100_000, offer.left_for.len())?;
        at_most("admitted analysts", 100_000, offer.admitted.len())?;
        let left_for = offer
            .left_for
            .into_iter()
            .map(|(analyst, left)| Ok((text("analyst", MAX_NAME, analyst)?, quantity("left epsilon", left)?)));
        let admitted = offer.admitted.into_iter().map(|id| text("analyst", MAX_NAME, id));
        Ok(Self {
            admitted: admitted.collect::<Result<_, Malformed>>()?,
            left_for: left_for.collect::<Result<_, Malformed>>()?,
            dataset: text("dataset name", MAX_NAME, offer.dataset)?,
            contract_json: text("contract", MAX_DOCUMENT, offer.contract_json)?,
            snapshot: text("snapshot", MAX_NAME, offer.snapshot)?,
            min_cohort: offer.min_cohort,
            paused: offer.paused,
            budget: offer.budget.map(BudgetView::try_from).transpose()?,
        })
    }
}

impl From<BudgetView> for v1::BudgetView {
    fn from(budget: BudgetView) -> Self {
        Self {
            epsilon_left: budget.epsilon_left,
            epsilon_cap: budget.epsilon_cap,
            delta_cap: budget.delta_cap,
        }
    }
}

impl TryFrom<v1::BudgetView> for BudgetView {
    type Error = Malformed;

    fn try_from(budget: v1::BudgetView) -> Result<Self, Malformed> {
        Ok(Self {
            epsilon_left: quantity("left epsilon", budget.epsilon_left)?,
            epsilon_cap: quantity("epsilon cap", budget.epsilon_cap)?,
            delta_cap: quantity("delta cap", budget.delta_cap)?,
        })
    }
}
