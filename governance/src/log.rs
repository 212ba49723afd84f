//! The transparency log: what the consortium did, in an order that nobody can change later without being caught.
//!
//! The coordinator appends signed events to a Merkle tree ([`tree`]) and signs its head ([`checkpoint`]); every
//! participant is a witness that countersigns only what extends what it has seen ([`witness`]); a reader far away checks
//! an export with nothing but keys ([`bundle`], [`trust`]). Formats are those of C2SP, so other people's tools read them.
//! What the log proves, to whom, and what it assumes of witnesses: `proofs/log.md`.
//!
//! Deliberately absent: sockets, files, clocks, randomness, and the coordinator's database. Whoever calls makes a view
//! durable before it lets a cosignature out.

pub mod account;
pub mod bundle;
pub mod checkpoint;
pub mod event;
pub mod frontier;
pub mod mirror;
pub mod note;
pub mod proof;
pub mod proven;
pub mod restore;
pub mod scan;
pub mod tiles;
pub mod tree;
pub mod trust;
pub mod usage;
pub mod witness;

pub use account::{Account, account, request_of};
pub use bundle::{Bundle, BundleError, Fault};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use event::{Event, EventError, Kind, Payload, SignedEvent};
pub use frontier::Frontier;
pub use note::{Algorithm, Note, NoteError, NoteKey};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use proven::{Logged, Proven, ProvenError};
pub use scan::{Finding, Rosters, Scanned, Uncovered, scan};
pub use tiles::{TileError, TilePath, TileReader};
pub use tree::{Nodes, Tree, TreeError, TreeHash};
pub use trust::{Trust, TrustError, TrustFile};
pub use usage::Usage;
pub use witness::{Fork, Offer, Refusal, View, Witness};
