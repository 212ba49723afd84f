//! The transparency log: what the consortium did, in an order that nobody can change later without being caught.
//!
//! Deliberately absent: sockets, files, clocks, randomness, and the coordinator's database. Whoever calls makes a view
//! durable before it lets a cosignature out.

pub mod checkpoint;
pub mod event;
pub mod note;
pub mod proof;
pub mod tiles;
pub mod tree;
pub mod trust;
pub mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use event::{Event, EventError, Kind, Payload, SignedEvent};
pub use note::{Algorithm, Note, NoteError, NoteKey};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use tiles::{TileError, TilePath, TileReader};
pub use tree::{Nodes, Tree, TreeError, TreeHash};
pub use trust::{Trust, TrustError};
pub use witness::{Fork, Offer, Refusal, View, Witness};
