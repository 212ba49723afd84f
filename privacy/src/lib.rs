//! What a release costs and who has spent what.
//!
//! The path of a number: rows become a vector of bounded integers ([`sensitivity`] says how far one unit can move it), [`clip`] clamps
//! it and adds this participant's share of noise drawn by [`sampler`], [`cost`] says what the released sum costs, and [`ledger`] says
//! whether that may still be spent. [`tree`] lays out quantile trees and reads them back, [`audit`] turns an attack into a lower bound.
//! Every mechanism has its page under `proofs/`: claim, sensitivity, citation and the test that looks for a violation.
//!
//! Deliberately absent: clocks, files, ambient randomness (keys and times are arguments), floating-point noise, refunds, thresholds that
//! release private keys, and OpenDP in any released number (it is an oracle behind the feature `opendp`).
#![forbid(unsafe_code)]

pub mod audit;
pub mod clip;
pub mod cost;
pub mod ledger;
pub mod sampler;
pub mod sensitivity;
pub mod tree;

pub use clip::{ClipError, Clipped, ComponentBounds, NoiseBatch, Noised};
pub use cost::{Charge, Curve, Delta, GaussianTerms, ORDERS, Order};
pub use ledger::{Cap, CapError, Entry, Ledger, LedgerEvent, PopulationId, Renewal, ReservationId};
pub use sampler::{ExactSampler, Sampler};
pub use sensitivity::Contribution;
