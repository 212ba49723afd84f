//! When a purpose lies within one that somebody consented to: as the consortium's vocabulary has it. A consent to a wide purpose covers
//! a narrow one and never the other way round; a purpose that is in no vocabulary covers itself alone.
//!
//! The vocabulary comes with the acts that the agent hears, and another one makes other rows usable, so it counts as a change of
//! everybody's consent: see [`Purposes::changes`]. A look-up is two searches in ordered maps.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use governance::purpose::Vocabulary;

/// One value, shared by those who import, those who filter, and the engine that hears of a new vocabulary.
#[derive(Clone, Default)]
pub struct Purposes(Arc<RwLock<Spoken>>);

#[derive(Default)]
struct Spoken {
    changes: u64,
    version: u64,
    vocabulary: Arc<Vocabulary>,
}

impl Purposes {
    /// Whether whoever consented to `by` consented to `purpose`.
    pub fn covers(&self, purpose: &str, by: &str) -> bool {
        self.spoken().vocabulary.subsumes(by, purpose)
    }

    /// Whether `purpose` is wider than one of these.
    pub fn is_above<'a>(&self, purpose: &str, of: impl IntoIterator<Item = &'a String>) -> bool {
        of.into_iter().any(|narrow| self.covers(narrow, purpose))
    }

    /// The vocabulary of now, and how often it changed.
    pub fn now(&self) -> (u64, Arc<Vocabulary>) {
        let spoken = self.spoken();
        (spoken.changes, spoken.vocabulary.clone())
    }

    /// Rises when another vocabulary is in force: with the changes of a population, it names the set of rows that may be used.
    pub fn changes(&self) -> u64 {
        self.spoken().changes
    }

    /// The version in force; 0: what ships and nothing else.
    pub fn version(&self) -> u64 {
        self.spoken().version
    }

    /// Another vocabulary is in force from now on.
    pub fn speak(&self, version: u64, vocabulary: &Vocabulary) {
        if *self.spoken().vocabulary == *vocabulary {
            return;
        }
        let mut spoken = self.0.write().unwrap_or_else(PoisonError::into_inner);
        spoken.changes += 1;
        spoken.version = version;
        spoken.vocabulary = Arc::new(vocabulary.clone());
    }

    fn spoken(&self) -> RwLockReadGuard<'_, Spoken> {
        // Poisoned or not: a vocabulary is replaced whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
