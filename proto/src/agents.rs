//! Messages between agent and coordinator as frames of one stream.
//!
//! A message is one frame, with two exceptions that would otherwise need buffers of many megabytes: a masked vector
//! travels as a head and chunks of 256 KiB, and a setup step that holds a part of every member is spread over frames of
//! about that size.
//! Senders cut with [`frames`] and [`to_agent_frames`], which copy nothing: chunks are slices of the one vector, signed
//! messages are shared. Receivers put together with [`Assembler`] and [`AgentAssembler`], which hold at most one
//! unfinished message, of bounded size.

mod log;
mod to_agent;
mod to_coordinator;

pub use log::leaves;
pub use to_agent::{AgentAssembler, to_agent_frames};
pub use to_coordinator::{Assembler, announced_bytes, frames, join_frame, joined};

use engine::message::SetupStep;

use crate::v1;
use crate::wire::Malformed;

/// Bytes of a vector in one frame.
pub const CHUNK: usize = 256 << 10;
/// The largest vector that may be announced: 16 million values of 32 bits.
pub const MAX_VECTOR: usize = 64 << 20;
/// The largest frame that a coordinator reads: an agent's deal for a large epoch must fit.
pub const MAX_AGENT_FRAME: usize = 16 << 20;
/// The largest frame that an agent reads. The state of a round, a model for instance, must fit.
pub const MAX_COORDINATOR_FRAME: usize = 128 << 20;
/// The largest setup step, of all members together, that an agent puts together.
pub const MAX_SETUP: usize = 1 << 30;
/// The most parts of one: one a member, and no epoch has more. Bytes alone would not bound empty parts.
pub const MAX_PARTS: usize = secagg::MAX_MEMBERS;

impl From<SetupStep> for v1::SetupStep {
    fn from(step: SetupStep) -> Self {
        match step {
            SetupStep::Hello => Self::Hello,
            SetupStep::PairCt => Self::PairCt,
            SetupStep::Deal => Self::Deal,
            SetupStep::Ack => Self::Ack,
        }
    }
}

fn setup_step(step: i32) -> Result<SetupStep, Malformed> {
    match v1::SetupStep::try_from(step) {
        Ok(v1::SetupStep::Hello) => Ok(SetupStep::Hello),
        Ok(v1::SetupStep::PairCt) => Ok(SetupStep::PairCt),
        Ok(v1::SetupStep::Deal) => Ok(SetupStep::Deal),
        Ok(v1::SetupStep::Ack) => Ok(SetupStep::Ack),
        Ok(v1::SetupStep::Unspecified) | Err(_) => Err(Malformed::Unknown {
            what: "setup step",
            found: step.into(),
        }),
    }
}

#[cfg(test)]
mod tests;
