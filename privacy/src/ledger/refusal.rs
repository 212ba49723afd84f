//! Why a ledger says no, and how it says that its entries are not what was written. All reasons are independent of data.

use super::{PopulationId, ReservationId};
use std::fmt;

/// A budget's answer to an entry it will not write. Nothing was spent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no budget for {whose}: an absent cap counts as zero")]
    NoCap { whose: Whose },
    #[error("budget exhausted for {whose}: {left} of epsilon {of} left in this period")]
    CapExceeded { whose: Whose, left: f64, of: f64 },
    #[error("reservation {} exists already", id.as_str())]
    Duplicate { id: ReservationId },
    #[error("unknown reservation {}", id.as_str())]
    Unknown { id: ReservationId },
    #[error("mismatched tokens of reservation {}: expected 1..={left}, got {found}", id.as_str())]
    Tokens { id: ReservationId, left: u32, found: u32 },
    #[error("a cap that allows more takes 2 local people, got {found}")]
    Approvals { found: usize },
    #[error("a release without noise takes the owner's opt-in, got no name")]
    NotOptedIn,
}

/// Whose budget it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Population(PopulationId),
    Analyst(String),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Population(population) => write!(f, "population {}", population.as_str()),
            Whose::Analyst(analyst) => write!(f, "analyst {analyst}"),
        }
    }
}

/// The first entry that is not as it was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("broken ledger at entry {index}: {damage}")]
pub struct Broken {
    pub index: u64,
    pub damage: Damage,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Damage {
    #[error("mismatched population: expected {}, got {}", expected.as_str(), found.as_str())]
    Population {
        expected: PopulationId,
        found: PopulationId,
    },
    #[error("mismatched number: expected {expected}, got {found}")]
    Seq { expected: u64, found: u64 },
    #[error("it does not follow the entry before it")]
    Chain,
    #[error("its hash is not that of its content")]
    Hash,
    #[error("its time falls: expected at least {expected}, got {found}")]
    Time { expected: u64, found: u64 },
    #[error("it breaks a rule: {0}")]
    Refused(Refusal),
}
