//! What a grant grants: data, columns, aggregates, purposes, actions, budget, window. Part of it is never more: a narrower value of
//! every field is a narrower grant.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::GrantError;
use crate::canonical::Real;
use crate::purpose::Vocabulary;

/// Names in one list of a grant, and bytes of a name.
const MAX_NAMES: usize = 500;
const MAX_NAME: usize = 200;
/// Ten years: what should outlast them is asked for again.
const MAX_WINDOW_MS: u64 = 3_660 * 86_400_000;

/// Aggregates that a query can show, by the names that grants use.
pub const AGGREGATES: [&str; 9] = [
    "AVG",
    "CORR",
    "COUNT",
    "COVARIANCE",
    "HISTOGRAM",
    "QUANTILE",
    "STDDEV",
    "SUM",
    "VARIANCE",
];

/// What is granted. Part of it is never more: a narrower value of every field is a narrower grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The analyst who asks.
    pub requester: String,
    /// The analyst's organisation.
    pub organisation: String,
    pub dataset: String,
    /// Organisations whose data it is.
    pub owners: BTreeSet<String>,
    pub columns: Extent,
    /// Of [`AGGREGATES`]. Training has none.
    pub aggregates: Extent,
    pub purposes: BTreeSet<String>,
    pub actions: BTreeSet<Action>,
    /// What may be spent under it at each owner.
    pub epsilon: Real,
    pub delta: Real,
    pub from_ms: u64,
    /// From here on it is expired.
    pub until_ms: u64,
}

/// All of something, or what is listed. `"all"` is written out, so that a forgotten field grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    All,
    Only(BTreeSet<String>),
}

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Query,
    Train,
    Evaluate,
}

impl Action {
    pub const ALL: [Self; 3] = [Self::Query, Self::Train, Self::Evaluate];

    /// As it is written, and as a request's `kind` says it.
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
        }
    }

    /// What a request of this kind does.
    pub fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.spelling() == kind)
    }
}

impl Extent {
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn is_within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(names), Self::Only(of)) => names.is_subset(of),
        }
    }
}

impl Terms {
    /// Whether these are terms that somebody could mean.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<(), GrantError> {
        let fault = |text: String| Err(GrantError::Terms(text));
        let lists = [
            ("owners", Some(&self.owners)),
            ("purposes", Some(&self.purposes)),
            ("columns", self.columns.names()),
            ("aggregates", self.aggregates.names()),
        ];
        for (what, names) in lists {
            let Some(names) = names else { continue };
            if names.is_empty() || names.len() > MAX_NAMES {
                return fault(format!("{} {what}: expected 1 to {MAX_NAMES}", names.len()));
            }
            if let Some(name) = names.iter().find(|name| !is_name(name)) {
                return fault(format!("`{}` is no name of {what}", name.escape_debug()));
            }
        }
        for name in [&self.requester, &self.organisation, &self.dataset] {
            if !is_name(name) {
                return fault(format!("`{}` is no name", name.escape_debug()));
            }
        }
        let aggregates = self.aggregates.names().into_iter().flatten();
        if let Some(unknown) = aggregates.into_iter().find(|name| !AGGREGATES.contains(&name.as_str())) {
            return fault(format!(
                "unknown aggregate `{unknown}`: expected some of {}",
                AGGREGATES.join(", ")
            ));
        }
        if let Some(unknown) = self.purposes.iter().find(|purpose| !vocabulary.contains(purpose)) {
            return fault(format!(
                "unknown purpose `{unknown}`: `sotto purpose list` shows those that are known"
            ));
        }
        if self.actions.is_empty() {
            return fault("no action: name query, train or evaluate".to_owned());
        }
        if self.epsilon.get() <= 0.0 || self.delta.get() <= 0.0 || self.delta.get() >= 1.0 {
            return fault(format!(
                "epsilon {} and delta {}: expected above zero, and a delta below one",
                self.epsilon, self.delta
            ));
        }
        match self.until_ms.checked_sub(self.from_ms) {
            Some(1..=MAX_WINDOW_MS) => Ok(()),
            _ => fault("the window ends before it begins, or lasts for more than ten years".to_owned()),
        }
    }

    /// The first field in which these terms allow more than `wider`.
    pub(super) fn beyond(&self, wider: &Self, vocabulary: &Vocabulary) -> Option<&'static str> {
        let same = [
            ("requester", self.requester == wider.requester),
            ("organisation", self.organisation == wider.organisation),
            ("dataset", self.dataset == wider.dataset),
            ("owners", self.owners == wider.owners),
            ("columns", self.columns.is_within(&wider.columns)),
            ("aggregates", self.aggregates.is_within(&wider.aggregates)),
            (
                "purposes",
                self.purposes.iter().all(|purpose| wider.allows(purpose, vocabulary)),
            ),
            ("actions", self.actions.is_subset(&wider.actions)),
            ("epsilon", self.epsilon <= wider.epsilon),
            ("delta", self.delta <= wider.delta),
            (
                "window",
                self.from_ms >= wider.from_ms && self.until_ms <= wider.until_ms,
            ),
        ];
        same.into_iter().find(|(_, within)| !within).map(|(term, _)| term)
    }

    /// Whether `purpose` is one of the granted ones or below one.
    pub fn allows(&self, purpose: &str, vocabulary: &Vocabulary) -> bool {
        self.purposes
            .iter()
            .any(|allowed| vocabulary.subsumes(allowed, purpose))
    }
}

impl Extent {
    fn names(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names),
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}
