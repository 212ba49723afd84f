//! The world in which nothing is real but the code under test: virtual time, one seed, a network that loses and mixes things up, disks
//! that forget what was not durable, and, if asked, a coordinator that lies. The engine, the cryptography, the ledger and the
//! governance checks are the ones that ship.
//!
//! What participants compute is a world's [`Work`]: serial numbers that betray every error, or the real training.
//!
//! A run has a safety phase with faults and a healed phase in which every job must end. The checkers of [`checks`] run after
//! every event. A seed costs some tens of milliseconds: five agents, real masks, vectors of a few values.

pub mod acts;
pub mod checks;
pub mod consortium;
pub mod fuzz;
pub mod hostile;
pub mod names;
pub mod network;
pub mod node;
pub mod options;
mod party;
pub mod run;
pub mod story;
pub mod training;
pub mod work;
pub mod world;

pub use consortium::{ANALYST, Consortium};
pub use options::Options;
pub use run::{Failure, Outcome, replay, run_seed};
pub use story::Story;
pub use work::Work;
pub use world::World;
