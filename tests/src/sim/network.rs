//! Connections that delay, drop, duplicate and reorder. A connection has a number: what was under way when it broke is lost with
//! it, as on TCP. In a stream's own order unless the dice say otherwise.

use engine::message::{MaskedInput, ToCoordinator};

/// One agent's connection to the coordinator.
#[derive(Default)]
pub struct Link {
    pub up: bool,
    /// Counts connections.
    pub number: u32,
    /// When the last message of each direction arrives: to the agent, to the coordinator.
    pub last_ms: [u64; 2],
}

/// Directions of a link.
pub const TO_AGENT: usize = 0;
pub const TO_COORDINATOR: usize = 1;

/// A second copy of a message: what a confused network delivers. The code under test never copies a vector.
pub fn copy(message: &ToCoordinator) -> ToCoordinator {
    use ToCoordinator as M;
    match message {
        M::Offers(offers) => M::Offers(offers.clone()),
        M::Setup(setup) => M::Setup(setup.clone()),
        M::EpochLeft { epoch, refused, dispute } => M::EpochLeft {
            epoch: *epoch,
            refused: refused.clone(),
            dispute: dispute.clone(),
        },
        M::Accept { at, accept } => M::Accept { at: *at, accept: accept.clone() },
        M::Refuse { at, refused } => M::Refuse { at: *at, refused: refused.clone() },
        M::Ready { at } => M::Ready { at: *at },
        M::MaskedInput(masked) => M::MaskedInput(MaskedInput {
            at: masked.at,
            head: masked.head.clone(),
            vector: masked.vector.clone(),
        }),
        M::Vote { at, vote } => M::Vote { at: *at, vote: vote.clone() },
        M::Reveal { at, reveal } => M::Reveal { at: *at, reveal: reveal.clone() },
        M::Paths { at, paths } => M::Paths { at: *at, paths: paths.clone() },
        M::Edges { at, edges } => M::Edges { at: *at, edges: edges.clone() },
        M::Aborted { at, refused } => M::Aborted { at: *at, refused: refused.clone() },
    }
}
