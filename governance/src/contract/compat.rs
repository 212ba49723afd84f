//! What a new version of a contract does to questions written for the old one, and to the privacy claims made under it.
//!
//! *Backward*: every question written for the old contract works under the new one and means the same, over any data that
//! honours the old one (within its bounds, categories and row limits, no NULL where it says never). *Forward*: the same
//! with the two exchanged. So a limit that widens is backward, one that narrows is forward, and both at once is breaking.
//! A question is SQL, or a run whose features these are. What is left out: limits of size (groups, cells, 64-bit sums), which
//! `sotto explain` knows, and a run whose *target* changes, since the classes of a classifier are the domain of its target.
//!
//! Compared are terms, never data; costs one pass over the columns. Comparing the other way round mirrors every verdict.

mod columns;

use super::{Contract, Terms, Visibility};
use serde::Serialize;
use std::fmt;

/// Which questions survive a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Both ways.
    Full,
    /// Questions written for the old contract work under the new one.
    Backward,
    /// Questions written for the new contract work under the old one.
    Forward,
    /// Neither.
    Breaking,
}

/// What becomes of the claim "epsilon, for one unit".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    Same,
    /// Same unit, other sensitivity or noise: a release made under one contract is no answer under the other. The ledger goes
    /// on, because the charges are to the same people.
    Price,
    /// Epsilon speaks of another unit, or rested on an assumption that no longer holds: neither releases nor charges of the
    /// one mean anything under the other. That is no fresh budget: the people who were charged are still the same.
    Unit,
}

/// One difference between two contracts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `None`: a term of the contract as a whole.
    pub column: Option<String>,
    pub term: &'static str,
    /// As the old contract says it; `None`: it says nothing.
    pub old: Option<String>,
    pub new: Option<String>,
    pub verdict: Verdict,
    pub claim: Claim,
    pub why: &'static str,
}

/// All changes, of the contract first, then of columns in the order of the old contract, then added columns.
pub fn compare(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut found = Found::default();
    names(old, new, &mut found);
    privacy(old, new, &mut found);
    columns::compare(old, new, &mut found);
    if !found.changes.is_empty() || old.version != new.version {
        version(old, new, &mut found);
    }
    found.changes
}

/// The verdict over all changes: what every one of them lets through.
pub fn overall(changes: &[Change]) -> Verdict {
    changes
        .iter()
        .fold(Verdict::Full, |all, change| all.and(change.verdict))
}

/// What all changes together do to claims: the gravest.
pub fn claim(changes: &[Change]) -> Claim {
    changes.iter().map(|change| change.claim).max().unwrap_or(Claim::Same)
}

impl Verdict {
    pub fn new(backward: bool, forward: bool) -> Self {
        match (backward, forward) {
            (true, true) => Self::Full,
            (true, false) => Self::Backward,
            (false, true) => Self::Forward,
            (false, false) => Self::Breaking,
        }
    }

    pub fn is_backward(self) -> bool {
        matches!(self, Self::Full | Self::Backward)
    }

    pub fn is_forward(self) -> bool {
        matches!(self, Self::Full | Self::Forward)
    }

    pub fn and(self, other: Self) -> Self {
        Self::new(
            self.is_backward() && other.is_backward(),
            self.is_forward() && other.is_forward(),
        )
    }

    /// Of a limit that admits more, or less, than before.
    fn of_limit<T: PartialOrd>(old: T, new: T) -> Self {
        Self::new(new >= old, new <= old)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
            Self::Breaking => "BREAKING",
        })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Price => "other price",
            Self::Unit => "other unit",
        })
    }
}

/// Changes so far, and the column that is looked at.
#[derive(Default)]
struct Found {
    column: Option<String>,
    changes: Vec<Change>,
}

impl Found {
    /// Notes a difference; `None` where there is none.
    fn term<T: PartialEq>(
        &mut self,
        term: &'static str,
        (old, new): (T, T),
        say: impl Fn(&T) -> Option<String>,
        judge: impl FnOnce(&T, &T) -> (Verdict, Claim, &'static str),
    ) {
        if old != new {
            let (verdict, claim, why) = judge(&old, &new);
            self.changes.push(Change {
                column: self.column.clone(),
                term,
                old: say(&old),
                new: say(&new),
                verdict,
                claim,
                why,
            });
        }
    }
}

/// A label, whatever it says.
fn documentation(verdict_of: &'static str) -> (Verdict, Claim, &'static str) {
    (Verdict::Full, Claim::Same, verdict_of)
}

fn names(old: &Terms, new: &Terms, found: &mut Found) {
    let text = |text: &&str| Some((*text).to_owned());
    found.term("name", (old.name.as_str(), new.name.as_str()), text, |_, _| {
        (Verdict::Breaking, Claim::Same, "questions name the dataset")
    });
    let described = (old.description.as_str(), new.description.as_str());
    found.term("description", described, text, |_, _| {
        documentation("words for people; questions do not read them")
    });
    let level = |level: &Visibility| Some(level.to_string());
    found.term("visibility", (old.visibility, new.visibility), level, |_, _| {
        documentation("who may read the contract; whoever is admitted asks as before")
    });
    let list = |purposes: &&Vec<String>| Some(purposes.join(", "));
    found.term("purposes", (&old.purposes, &new.purposes), list, |old, new| {
        let has_all = |list: &[String], of: &[String]| of.iter().all(|purpose| list.contains(purpose));
        let verdict = Verdict::new(has_all(new, old), has_all(old, new));
        (
            verdict,
            Claim::Same,
            match verdict {
                Verdict::Full => "order means nothing",
                Verdict::Backward => "what was allowed still is",
                _ => "requests for a purpose that was removed are refused",
            },
        )
    });
}

fn version(old: &Terms, new: &Terms, found: &mut Found) {
    let mut note = |why| {
        found.changes.push(Change {
            column: None,
            term: "version",
            old: Some(old.version.clone()),
            new: Some(new.version.clone()),
            verdict: Verdict::Full,
            claim: Claim::Same,
            why,
        });
    };
    match old.version == new.version {
        true => note("two contracts under one version: nobody can tell them apart by it; give the new one its own"),
        false => note("a label; the hash names the contract"),
    }
}

fn privacy(old: &Terms, new: &Terms, found: &mut Found) {
    let unit = |unit: &Option<&str>| Some(unit.unwrap_or("row").to_owned());
    let units = (old.privacy_unit.as_deref(), new.privacy_unit.as_deref());
    found.term("privacy unit", units, unit, |_, _| {
        let why = "epsilon protects something else: earlier charges say nothing of the new unit, and counts count something else";
        (Verdict::Breaking, Claim::Unit, why)
    });
    let number = |n: &u64| Some(n.to_string());
    let (was, is) = (&old.contribution, &new.contribution);
    found.term(
        "contribution.rows",
        (was.max_rows.into(), is.max_rows.into()),
        number,
        |old, new| {
            let why = match new > old {
                true => "rows of a unit that were left out count now; one unit weighs more, so noise grows",
                false => "rows of a unit that counted are left out now; one unit weighs less, so noise shrinks",
            };
            (Verdict::of_limit(old, new), Claim::Price, why)
        },
    );
    // A unit with few rows is in few groups: what exceeds `rows` limits nothing.
    let within = |limit: u32, rows: u32| u64::from(limit.min(rows));
    for (term, raw, effective) in [
        (
            "contribution.groups",
            (was.max_groups, is.max_groups),
            (within(was.max_groups, was.max_rows), within(is.max_groups, is.max_rows)),
        ),
        (
            "contribution.rowsPerGroup",
            (was.rows_per_group, is.rows_per_group),
            (
                within(was.rows_per_group, was.max_rows),
                within(is.rows_per_group, is.max_rows),
            ),
        ),
    ] {
        found.term(term, (raw.0.into(), raw.1.into()), number, |_, _| {
            match effective.0 == effective.1 {
                true => documentation("limits nothing beyond what `rows` limits already"),
                false => (
                    Verdict::of_limit(effective.0, effective.1),
                    Claim::Price,
                    "which rows of a unit count in an answer with groups changes, and with it sensitivity",
                ),
            }
        });
    }
    let participants = (was.participants.into(), is.participants.into());
    found.term("contribution.participants", participants, number, |old, new| {
        let verdict = Verdict::of_limit(old, new);
        match new > old {
            // Nobody enforces it: earlier epsilons took it for granted.
            true => (
                verdict,
                Claim::Unit,
                "earlier epsilons assumed that a unit is at fewer participants: they understate it now",
            ),
            false => (
                verdict,
                Claim::Price,
                "one unit is assumed at fewer participants, so noise shrinks; earlier charges overstate",
            ),
        }
    });
    found.term("maxRows", (old.max_rows, new.max_rows), number, |old, new| {
        let why = match new > old {
            true => "larger sums fit; a wide SUM may now be refused (SOTTO-1003), and runs without expected_units step by it",
            false => "files beyond it are clamped; runs without expected_units step by it",
        };
        (Verdict::of_limit(old, new), Claim::Same, why)
    });
    let real = |delta: &crate::canonical::Real| Some(format!("{:e}", delta.get()));
    found.term("delta", (old.delta, new.delta), real, |old, new| {
        let why = match new > old {
            true => "a larger failure probability is allowed: less noise for one epsilon, and a weaker promise",
            false => "requests that name the old delta are refused; more noise for one epsilon",
        };
        (Verdict::of_limit(old, new), Claim::Price, why)
    });
}
