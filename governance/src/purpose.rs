//! Purposes: a vocabulary in which wide purposes allow narrow ones. Every request declares a purpose, every contract and every
//! grant names those that it allows; a request passes if its purpose is one of them or reaches one of them upwards.
//!
//! The vocabulary is a directed graph without cycles, small enough to keep every term's whole ancestry: building one takes
//! microseconds, a look-up two searches in ordered maps. What ships is `vocabulary/purposes.toml`, terms of GA4GH's Data Use
//! Ontology among them; a consortium adds terms of its own by an act that its governance key signs.
//!
//! A purpose that is in no vocabulary allows itself and nothing else: old contracts keep their meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Terms of one vocabulary: few enough for a person to read them.
const MAX_TERMS: usize = 1_000;
const MAX_TEXT: usize = 200;

static SHIPPED: LazyLock<Vocabulary> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../vocabulary/purposes.toml")).expect("the shipped file is TOML");
    Vocabulary::new(&file.terms).expect("the shipped vocabulary holds together") // a test reads it, too
});

/// One purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    pub id: String,
    /// What it means, for people.
    pub label: String,
    /// Purposes that allow this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub broader: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: String,
    terms: Vec<Term>,
}

/// A vocabulary that holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    terms: BTreeMap<String, Term>,
    /// Of each term, everything above it.
    above: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyError {
    #[error("purpose `{0}` is defined twice")]
    Twice(String),
    #[error("purpose `{term}` is below `{broader}`, which is not in the vocabulary")]
    Unknown { term: String, broader: String },
    #[error("purpose `{0}` is above itself: take one of the `broader` entries on the way out")]
    Cycle(String),
    #[error(
        "malformed purpose `{0}`: ids and labels have 1 to {MAX_TEXT} bytes, no control characters, and ids no spaces"
    )]
    Text(String),
    #[error("{0} purposes: expected at most {MAX_TERMS}")]
    TooMany(usize),
}

impl Default for Vocabulary {
    /// What ships.
    fn default() -> Self {
        SHIPPED.clone()
    }
}

impl Vocabulary {
    /// The vocabulary of these terms and no others.
    pub fn new(terms: &[Term]) -> Result<Self, VocabularyError> {
        let empty = Self {
            terms: BTreeMap::new(),
            above: BTreeMap::new(),
        };
        empty.with(terms)
    }

    /// This vocabulary and a consortium's own terms. A term that is there already is not redefined.
    pub fn with(&self, own: &[Term]) -> Result<Self, VocabularyError> {
        let mut terms = self.terms.clone();
        for term in own {
            let fits = |text: &str| (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
            if !fits(&term.id) || !fits(&term.label) || term.id.contains(char::is_whitespace) {
                return Err(VocabularyError::Text(term.id.clone()));
            }
            if terms.insert(term.id.clone(), term.clone()).is_some() {
                return Err(VocabularyError::Twice(term.id.clone()));
            }
        }
        if terms.len() > MAX_TERMS {
            return Err(VocabularyError::TooMany(terms.len()));
        }
        let mut above = BTreeMap::new();
        for (id, term) in &terms {
            if let Some(broader) = term.broader.iter().find(|broader| !terms.contains_key(*broader)) {
                let (term, broader) = (id.clone(), broader.clone());
                return Err(VocabularyError::Unknown { term, broader });
            }
            let reached = reached(&terms, id);
            if reached.contains(id) {
                return Err(VocabularyError::Cycle(id.clone()));
            }
            above.insert(id.clone(), reached);
        }
        Ok(Self { terms, above })
    }

    /// Whether somebody who may ask for `allowed` may ask for `purpose`.
    pub fn subsumes(&self, allowed: &str, purpose: &str) -> bool {
        allowed == purpose || self.above.get(purpose).is_some_and(|above| above.contains(allowed))
    }

    /// Every purpose that allows this one as well.
    pub fn broader(&self, purpose: &str) -> impl Iterator<Item = &str> {
        self.above.get(purpose).into_iter().flatten().map(String::as_str)
    }

    pub fn contains(&self, purpose: &str) -> bool {
        self.terms.contains_key(purpose)
    }

    /// In order of id.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.terms.values()
    }
}

/// Everything that can be reached upwards from `id`; `id` itself only by a cycle.
fn reached(terms: &BTreeMap<String, Term>, id: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![id];
    while let Some(at) = open.pop() {
        for broader in terms.get(at).into_iter().flat_map(|term| &term.broader) {
            if reached.insert(broader.clone()) {
                open.push(broader);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(id: &str, broader: &[&str]) -> Term {
        Term {
            id: id.to_owned(),
            label: id.to_owned(),
            broader: broader.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn a_wide_purpose_allows_a_narrow_one_and_never_the_other_way_round() {
        let duo = Vocabulary::default();
        let (general, health, disease, ancestry) = ("DUO:0000042", "DUO:0000006", "DUO:0000007", "DUO:0000011");
        for (allowed, purpose, expected) in [
            (general, disease, true),
            ("research", health, true),
            ("DUO:0000004", "DUO:0000043", true),
            (health, health, true),
            (health, general, false),
            (disease, health, false),
            (health, ancestry, false), // by DUO's own definition of health research
            ("planning", "planning", true),
            (general, "planning", false),
        ] {
            assert_eq!(duo.subsumes(allowed, purpose), expected, "{allowed} allows {purpose}");
        }
    }

    #[test]
    fn own_terms_hang_below_what_ships() {
        let own = [
            term("heart:rehab", &["DUO:0000007"]),
            term("heart:stroke", &["heart:rehab", "quality"]),
        ];
        let vocabulary = Vocabulary::default().with(&own).unwrap();
        assert!(vocabulary.subsumes("DUO:0000006", "heart:stroke") && vocabulary.subsumes("quality", "heart:stroke"));
        assert!(!vocabulary.subsumes("heart:stroke", "DUO:0000007"));
    }

    #[test]
    fn a_vocabulary_that_does_not_hold_together_is_refused() {
        let shipped = Vocabulary::default();
        let refused = |own: &[Term]| shipped.with(own).unwrap_err();
        assert_eq!(
            refused(&[term("a", &["b"]), term("b", &["a"])]),
            VocabularyError::Cycle("a".into())
        );
        assert_eq!(refused(&[term("a", &["a"])]), VocabularyError::Cycle("a".into()));
        assert_eq!(
            refused(&[term("research", &[])]),
            VocabularyError::Twice("research".into())
        );
        assert!(matches!(
            refused(&[term("a", &["no such"])]),
            VocabularyError::Unknown { .. }
        ));
        for id in ["", "two words", "tab\t", &"x".repeat(201)] {
            assert_eq!(refused(&[term(id, &[])]), VocabularyError::Text(id.into()));
        }
        let many: Vec<Term> = (0..1_000).map(|i| term(&format!("t{i}"), &[])).collect();
        assert!(matches!(refused(&many), VocabularyError::TooMany(_)));
    }
}
