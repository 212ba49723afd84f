//! The registry of trained models: versions by hash, who descends from whom, and where each stands. A version enters with its
//! release and is a candidate; everything after that is a *move* that its analyst signs.
//!
//! ```text
//! candidate -> validated -> production -> rolled back -> validated -> ..
//!              validated <- production, when another version takes its place
//! ```
//! A name has one version in production at most; rolling back points the name at the version before it. A move names how
//! many moves its analyst has made before, so none counts twice and two people at once do not overwrite each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ContentHash, Roster, SigningKey, canonical, keys};

const DOMAIN: &str = "model move";
/// A note is a sentence, not a document.
const MAX_NOTE: usize = 500;
/// Moves of one analyst: histories stay small enough to be read.
const MAX_MOVES: u64 = 10_000;

/// Where a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Released, and nothing was said of it yet.
    Candidate,
    /// Somebody paid for figures and found them good.
    Validated,
    /// The one that its name stands for.
    Production,
    /// Was in production and was taken back.
    RolledBack,
}

/// What a release adds to its analyst's registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "adds", rename_all = "snake_case", deny_unknown_fields)]
pub enum Addition {
    /// A model, under a name of the analyst's choice.
    Version {
        name: String,
        model: ContentHash,
        /// The model that training started from.
        parent: Option<ContentHash>,
    },
    /// Figures of a model.
    Figures { model: ContentHash },
}

/// A change of one version's standing, in its analyst's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    pub analyst: String,
    pub model: ContentHash,
    pub to: Standing,
    pub note: String,
    /// Moves that this analyst has made before.
    pub after: u64,
    pub issued_at_ms: u64,
}

/// Body and signature as they travel and are kept. The body is the canonical JSON of a [`Move`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedMove {
    pub body: String,
    pub signature: Vec<u8>,
}

/// One analyst's models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    versions: Vec<Version>,
    /// Of each name, the versions that were in production, the newest last.
    production: BTreeMap<String, Vec<usize>>,
    moves: u64,
}

/// One version of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub name: String,
    /// Counted from 1 within the name.
    pub number: u32,
    pub model: ContentHash,
    pub parent: Option<ContentHash>,
    /// The release that it came with, and those that hold figures of it.
    pub release: String,
    pub figures: Vec<String>,
    pub standing: Standing,
    pub released_at_ms: u64,
    pub moves: Vec<Moved>,
}

/// A move that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub to: Standing,
    pub note: String,
    pub at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    #[error("malformed move: {0}")]
    Malformed(String),
    #[error("unknown analyst: `{0}` is not in the roster")]
    UnknownAnalyst(String),
    #[error("the move is not signed by the key of analyst `{0}`")]
    Signature(String),
    #[error("{MAX_MOVES} moves were made: no more are kept")]
    TooMany,
    #[error("no model {0} of yours")]
    UnknownModel(ContentHash),
    #[error("the registry changed: {found} moves were made, the signed one follows {expected}")]
    Changed { expected: u64, found: u64 },
    #[error("{name} version {number} stands as {}: it cannot become {}", .from.spelling(), .to.spelling())]
    NotFrom {
        name: String,
        number: u32,
        from: Standing,
        to: Standing,
    },
    #[error("{name} version {number} has no figures: nobody evaluated it")]
    NoFigures { name: String, number: u32 },
    #[error("no version of {name} was in production before version {number}")]
    NothingBefore { name: String, number: u32 },
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::Candidate, Self::Validated, Self::Production, Self::RolledBack];

    /// As it is written in files and on the wire.
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Validated => "validated",
            Self::Production => "production",
            Self::RolledBack => "rolled-back",
        }
    }
}

impl Move {
    pub fn sign(&self, key: &SigningKey) -> Result<SignedMove, MoveError> {
        let body = canonical::to_string(self).map_err(|e| MoveError::Malformed(e.to_string()))?;
        let signature = key.sign(DOMAIN, body.as_bytes());
        Ok(SignedMove { body, signature })
    }
}

impl SignedMove {
    /// The name of these very words.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(DOMAIN, &[self.body.as_bytes()])
    }

    /// The move without its signature being looked at: of a record that was verified before it was stored.
    pub fn read(&self) -> Result<Move, MoveError> {
        let wanted: Move = serde_json::from_str(&self.body).map_err(|e| MoveError::Malformed(e.to_string()))?;
        if wanted.note.len() > MAX_NOTE || wanted.note.chars().any(char::is_control) {
            let message = format!("a note has at most {MAX_NOTE} bytes and no control characters");
            return Err(MoveError::Malformed(message));
        }
        Ok(wanted)
    }

    /// The move, if the analyst that it names signed it.
    pub fn verify(&self, roster: &Roster) -> Result<Move, MoveError> {
        let wanted = self.read()?;
        let analyst = roster
            .analyst(&wanted.analyst)
            .ok_or_else(|| MoveError::UnknownAnalyst(wanted.analyst.clone()))?;
        keys::verify(&analyst.key, DOMAIN, self.body.as_bytes(), &self.signature)
            .map_err(|_| MoveError::Signature(wanted.analyst.clone()))?;
        Ok(wanted)
    }
}

impl Registry {
    /// In the order in which they were released.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Moves that were made; the next one names this number.
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// Takes in what a release adds. The same model again is the version that is there already.
    pub fn add(&mut self, release: String, addition: &Addition, at_ms: u64) {
        match addition {
            Addition::Version { name, model, parent } if self.place(model).is_none() => {
                let earlier = self.versions.iter().filter(|version| version.name == *name).count();
                self.versions.push(Version {
                    name: name.clone(),
                    number: earlier as u32 + 1,
                    model: *model,
                    parent: *parent,
                    release,
                    figures: Vec::new(),
                    standing: Standing::Candidate,
                    released_at_ms: at_ms,
                    moves: Vec::new(),
                });
            }
            Addition::Figures { model } => {
                if let Some(place) = self.place(model) {
                    self.versions[place].figures.push(release);
                }
            }
            Addition::Version { .. } => {}
        }
    }

    /// The version that `wanted` would move, if it may be made now.
    pub fn check(&self, wanted: &Move) -> Result<&Version, MoveError> {
        self.allowed(wanted).map(|place| &self.versions[place])
    }

    fn allowed(&self, wanted: &Move) -> Result<usize, MoveError> {
        if wanted.after != self.moves {
            return Err(MoveError::Changed {
                expected: wanted.after,
                found: self.moves,
            });
        }
        if self.moves >= MAX_MOVES {
            return Err(MoveError::TooMany);
        }
        let place = self.place(&wanted.model).ok_or(MoveError::UnknownModel(wanted.model))?;
        let version = &self.versions[place];
        let (name, number) = (version.name.clone(), version.number);
        use Standing::{Candidate, Production, RolledBack, Validated};
        match (version.standing, wanted.to) {
            (Candidate | RolledBack, Validated) if version.figures.is_empty() => {
                Err(MoveError::NoFigures { name, number })
            }
            (Candidate | RolledBack, Validated) | (Validated, Production) => Ok(place),
            (Production, RolledBack) if self.before(place).is_none() => Err(MoveError::NothingBefore { name, number }),
            (Production, RolledBack) => Ok(place),
            (from, to) => Err(MoveError::NotFrom { name, number, from, to }),
        }
    }

    /// Makes a move that [`Registry::check`] allows.
    pub fn apply(&mut self, wanted: &Move, at_ms: u64) -> Result<(), MoveError> {
        let place = self.allowed(wanted)?;
        let before = self.before(place);
        self.moves += 1;
        self.stand(place, wanted.to, &wanted.note, at_ms);
        let name = self.versions[place].name.clone();
        let line = self.production.entry(name).or_default();
        match wanted.to {
            Standing::Production => {
                let displaced = line.last().copied();
                line.push(place);
                if let Some(displaced) = displaced {
                    self.stand(
                        displaced,
                        Standing::Validated,
                        "another version went into production",
                        at_ms,
                    );
                }
            }
            Standing::RolledBack => {
                line.retain(|held| *held != place);
                if let Some(before) = before {
                    self.stand(
                        before,
                        Standing::Production,
                        "the version after it was rolled back",
                        at_ms,
                    );
                }
            }
            Standing::Candidate | Standing::Validated => {}
        }
        Ok(())
    }

    /// What rolling `place` back points the name at.
    fn before(&self, place: usize) -> Option<usize> {
        let line = self.production.get(&self.versions[place].name)?;
        line.iter().rev().copied().find(|held| *held != place)
    }

    fn stand(&mut self, place: usize, to: Standing, note: &str, at_ms: u64) {
        let version = &mut self.versions[place];
        version.standing = to;
        let note = note.to_owned();
        version.moves.push(Moved { to, note, at_ms });
    }

    fn place(&self, model: &ContentHash) -> Option<usize> {
        self.versions.iter().position(|version| version.model == *model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(of: u8) -> ContentHash {
        ContentHash([of; 32])
    }

    /// Three versions of `heart.num`, each with figures.
    fn registry() -> Registry {
        let mut registry = Registry::default();
        for of in 1..=3 {
            let parent = (of > 1).then(|| hash(of - 1));
            let name = "heart.num".to_owned();
            let (model, release) = (hash(of), format!("release {of}"));
            registry.add(release, &Addition::Version { name, model, parent }, u64::from(of));
            registry.add(format!("figures {of}"), &Addition::Figures { model }, 9);
        }
        registry
    }

    fn wanted(registry: &Registry, of: u8, to: Standing) -> Move {
        Move {
            analyst: "ada".to_owned(),
            model: hash(of),
            to,
            note: "as agreed".to_owned(),
            after: registry.moves(),
            issued_at_ms: 5,
        }
    }

    fn made(registry: &mut Registry, of: u8, to: Standing) -> Result<(), MoveError> {
        registry.apply(&wanted(registry, of, to), 7)
    }

    fn standings(registry: &Registry) -> Vec<Standing> {
        registry.versions().iter().map(|version| version.standing).collect()
    }

    #[test]
    fn a_name_has_one_version_in_production_and_goes_back_to_the_one_before() {
        use Standing::{Candidate, Production, RolledBack, Validated};
        let mut registry = registry();
        for of in [1, 2] {
            made(&mut registry, of, Validated).unwrap();
            made(&mut registry, of, Production).unwrap();
        }
        assert_eq!(standings(&registry), [Validated, Production, Candidate]);
        made(&mut registry, 2, RolledBack).unwrap();
        assert_eq!(standings(&registry), [Production, RolledBack, Candidate]);
        // Nothing is before the first; and what was rolled back may be validated again and return.
        assert!(matches!(
            made(&mut registry, 1, RolledBack),
            Err(MoveError::NothingBefore { .. })
        ));
        made(&mut registry, 2, Validated).unwrap();
        made(&mut registry, 2, Production).unwrap();
        assert_eq!(standings(&registry), [Validated, Production, Candidate]);
        assert_eq!(registry.versions()[1].moves.len(), 5);
    }

    #[test]
    fn no_version_skips_a_step_and_none_is_validated_unseen() {
        let mut registry = registry();
        for to in [Standing::Production, Standing::RolledBack, Standing::Candidate] {
            assert!(matches!(made(&mut registry, 1, to), Err(MoveError::NotFrom { .. })));
        }
        let (name, model, parent) = ("heart.num".to_owned(), hash(9), None);
        registry.add("r".to_owned(), &Addition::Version { name, model, parent }, 1);
        assert_eq!(registry.versions()[3].number, 4);
        let unseen = made(&mut registry, 9, Standing::Validated);
        assert!(matches!(unseen, Err(MoveError::NoFigures { number: 4, .. })));
        assert!(matches!(
            made(&mut registry, 77, Standing::Validated),
            Err(MoveError::UnknownModel(_))
        ));
        assert_eq!(registry.moves(), 0);
    }

    #[test]
    fn a_move_counts_once() {
        let mut registry = registry();
        let once = wanted(&registry, 1, Standing::Validated);
        registry.apply(&once, 7).unwrap();
        let before = registry.clone();
        assert!(matches!(registry.apply(&once, 8), Err(MoveError::Changed { .. })));
        assert_eq!(registry, before);
    }

    #[test]
    fn a_standing_is_spelled_alike_everywhere() {
        for standing in Standing::ALL {
            let json = serde_json::to_value(standing).unwrap();
            assert_eq!(json, standing.spelling());
        }
    }

    #[test]
    fn the_same_model_twice_is_one_version() {
        let mut registry = registry();
        let (name, model, parent) = ("other".to_owned(), hash(1), None);
        registry.add("again".to_owned(), &Addition::Version { name, model, parent }, 8);
        assert_eq!(registry.versions().len(), 3);
        assert_eq!(registry.versions()[0].release, "release 1");
    }
}
