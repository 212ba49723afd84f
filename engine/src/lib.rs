//! What each party does next. `Coordinator` and `Participant` are plain values: an input goes in with the time and a
//! source of randomness, a `Step` comes out that says what to make durable, what to send and what to compute, in that
//! order. The same input at the same time with the same randomness gives the same step, which is what lets the simulator run a
//! consortium from one seed.
//!
//! The engine owns order, time, budgets and records. `secagg` owns every cryptographic check, `privacy` the arithmetic of
//! charges, `governance` who may ask; a [`Workload`] owns what the numbers mean.
//!
//! Deliberately absent: sockets, files, clocks, ambient randomness, SQL, models, and any way out for data but a round.
#![forbid(unsafe_code)]

pub mod approval;
mod bucket;
pub mod codes;
mod context;
pub mod coordinator;
pub mod ids;
pub mod message;
pub mod participant;
pub mod record;
pub mod refused;
pub mod release;
pub mod step;
pub mod workload;

pub use ids::{AgentId, EpochSeq, JobId, SlotId};
pub use message::{ToAgent, ToCoordinator};
pub use refused::Refused;
pub use release::{Receipt, Release, SignedRelease};
/// Bytes and integers of secagg that cross this crate's interface, so that crates above need not name secagg.
pub use secagg::{Digest, Entropy, OsEntropy, Ring, RingVec, Signature, SigningKey, VerifyingKey};
pub use step::{Compute, CoordinatorEvent, CoordinatorStep, ParticipantEvent, ParticipantStep, Spool};
pub use workload::{CohortTerms, Neighbours, Outcome, PlainSum, Plan, Refusal, Workload};
