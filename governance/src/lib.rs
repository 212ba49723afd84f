//! Governance: who may ask what, of whom, under which published terms.
//!
//! What stands here: the contract of a dataset (`Contract`), the signed list of who belongs to a consortium
//! (`Roster`), the signed question of an analyst (`Request`), the registry of models (`Registry`), what people decide (`Act`) and the
//! state that it leads to (`Register`: grants, purposes, policies, suspensions), tokens by which newcomers join (`join`), the one place where a participant says yes or no
//! (`decision`), and the transparency log with its witnesses (`log`). Everything is a value made from bytes: a type of this crate exists only if its bytes were valid.
//!
//! Deliberately absent: sockets, files, clocks and randomness. Time comes in as an argument, keys come in as seeds.
//! Cedar policy is the crate `policy`, behind `decision::Decide`; consent lives beside the data alone.
#![forbid(unsafe_code)]

pub mod act;
pub mod canonical;
pub mod contract;
pub mod decision;
pub mod grant;
pub mod hash;
pub mod hold;
pub mod join;
pub mod keys;
pub mod log;
pub mod model;
pub mod purpose;
pub mod register;
pub mod request;
pub mod roster;

pub use act::{Act, ActError, SignedAct, What};
pub use contract::{
    Bounds, Column, Contract, ContractError, Contribution, LogicalType, NullRule, Scalar, Stage, Terms,
};
pub use grant::{Action, Grant, Happened, Status, Witnessed};
pub use hash::ContentHash;
pub use keys::{BadSignature, SigningKey, VerifyingKey};
pub use model::{Addition, Move, MoveError, Registry, SignedMove, Standing};
pub use register::{Register, RegisterError};
pub use request::{Request, RequestError, SignedRequest, SignedTrial};
pub use roster::{Agent, Analyst, CoordinatorEntry, NotAtHand, Retiring, Roster, RosterError, SignedRoster, Steward};
