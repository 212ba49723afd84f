//! Consent as far as a round must know it: whether a vector still rests on the rows that may be used. Which rows those are, and
//! whose, is the owner's shell's to know; the engine compares two stamps and learns nothing else.
//!
//! The stamp is taken before data is touched and compared right before the vector leaves: in between somebody may have
//! withdrawn, or a consent may have run out. Then the vector stays, as if the computation had not delivered.

use governance::ContentHash;
use governance::purpose::Vocabulary;

/// Names the set of rows that may be used: equal stamps, equal rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Rises with every change.
    pub generation: u64,
    /// The clock has passed a change that the owner's store has not taken notice of yet.
    pub overdue: bool,
}

/// What may be told of consent behind a dataset. Follows the clock, never a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentTerms {
    NotAsked,
    /// Only rows whose unit consents count; the number of the newest publication, if there was one.
    Required {
        publication: Option<u64>,
    },
}

/// The owner's record of consent. Asked on the engine's thread, so it must answer at once.
pub trait Consent: Send + Sync {
    /// The state of consent behind a dataset now.
    fn stamp(&self, dataset: &str, now_ms: u64) -> Stamp;

    /// The vocabulary of purposes that is in force from now on: a consent to a wide purpose covers a narrow one.
    fn speaks(&self, _version: u64, _vocabulary: &Vocabulary) {}

    /// What is published of the consents behind a dataset: decisions refer to it. None: it asks for no consent, or nothing is published yet.
    fn published(&self, _dataset: &str) -> Option<Published> {
        None
    }

    /// What a trial tells of it.
    fn terms(&self, _dataset: &str) -> ConsentTerms {
        ConsentTerms::NotAsked
    }
}

/// A publication: it follows the clock, and says nothing of whose consent it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub version: u64,
    /// Salted.
    pub root: ContentHash,
}

/// For agents none of whose datasets asks for consent.
pub struct NotAsked;

impl Consent for NotAsked {
    fn stamp(&self, _dataset: &str, _now_ms: u64) -> Stamp {
        Stamp::default()
    }
}
