//! Policy in Cedar behind `governance::decision::Decide`: three layers, each of which can only narrow what the others allow.
//!
//! - [`Source`], [`Bundle`], [`Policies`]: the text of a layer; with its version, as it is published; and checked, ready to decide
//! - [`Rules`]: what an agent decides by, the owner's list or a grant with the layers that are in force behind it
//! - [`Asked`], [`Layers`], [`Decision`]: a request as policies see it, the layers that answer it, and who decided what
//! - [`Casebook`]: requests and the answers that a steward expects, for a pipeline
//!
//! Cedar fails open where a `forbid` cannot be evaluated: it skips that policy. Here any policy that fails refuses. A [`Policies`]
//! exists only if no source of it is empty, every policy has an `@id` of its own, and the whole set passes Cedar's strict
//! validation without so much as a warning.
//!
//! Text is read when a layer is loaded (milliseconds); a decision of three layers parses nothing and takes 20 us, and half a
//! microsecond for each policy beyond a few.
//! Deliberately absent: sockets, files, a clock, templates, and any attribute that depends on data.
#![forbid(unsafe_code)]

mod asked;
mod bundle;
mod casebook;
mod fault;
mod layers;
mod policies;
mod rules;
mod sample;

pub use asked::{Action, Asked};
pub use bundle::{Bundle, BundleError, Layer, Source};
pub use casebook::{Casebook, CasebookError, Expected, Report, Sources, Tried};
pub use fault::{Fault, Faults, Place, Wrong};
pub use layers::{Decider, Decision, LayerDecision, Layers, Outcome};
pub use policies::{Effect, Policies, SCHEMA};
pub use rules::Rules;
pub use sample::{Draft, Instant, Missing, Sample};
