//! The adder's side: whoever relays setup, adds masked vectors up and strips the sum. It holds nothing secret before reveals
//! arrive, and keeps no vector: memory is O(d) a round, and O(n^2) hashes an epoch.
//!
//! A round is `Gather -> Collect -> (Voting ->) Unmasking -> Sum`; each move consumes the last.

mod book;
mod collect;
mod export;
mod gather;
mod relay;
mod sum;
mod unmask;
mod vote;

pub use book::EpochBook;
pub use collect::{Collect, Opening};
pub use gather::Gather;
pub use relay::Relay;
pub use sum::Sum;
pub use unmask::{Stuck, Unmasking, Why};
pub use vote::Voting;

use std::sync::Arc;

use crate::abort::{Abort, RelayFault};
use crate::digest::Digest;
use crate::message::Accept;

/// What stays the same from the cohort on.
#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) book: Arc<EpochBook>,
    pub(crate) slot: u16,
    pub(crate) s_min: usize,
    pub(crate) ctx2: Digest,
    pub(crate) accepts: Vec<Accept>,
}

impl Round {
    pub(crate) fn cohort(&self) -> impl ExactSizeIterator<Item = u16> {
        self.accepts.iter().map(|accept| accept.member)
    }

    fn same_slot(&self, found: u16) -> Result<(), Abort> {
        if found == self.slot {
            Ok(())
        } else {
            Err(RelayFault::WrongSlot {
                expected: self.slot,
                found,
            }
            .into())
        }
    }
}
