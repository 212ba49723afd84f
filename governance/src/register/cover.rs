//! Whether a grant covers what somebody wants, and if none does, which one comes closest and what is missing.

use super::Register;
use crate::ContentHash;
use crate::grant::{Action, Grant, Line, Status, Witnessed};

/// What somebody wants of one owner's data.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub requester: &'a str,
    pub organisation: &'a str,
    pub owner: &'a str,
    pub dataset: &'a str,
    pub columns: &'a [String],
    pub aggregates: &'a [String],
    pub purpose: &'a str,
    /// None: an action that no grant knows, and that none covers.
    pub action: Option<Action>,
    pub now_ms: u64,
}

/// Why no grant covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// Stable name of what is missing.
    pub rule: &'static str,
    pub reason: String,
    pub remedy: String,
}

impl Register {
    /// An active grant that covers what is wanted.
    pub fn covering(&self, wanted: &Wanted<'_>, witnessed: &dyn Witnessed) -> Result<&Grant, Uncovered> {
        let mut nearest: Option<(Status, Missing<'_>, &Grant)> = None;
        // The newest first: of two that cover it, or that nearly do, people mean the later one.
        for id in self.asked.get(wanted.requester).into_iter().flatten().rev() {
            let Some(grant) = self.grants.get(id) else { continue };
            let Some(line) = grant.lines.get(wanted.owner) else {
                continue;
            };
            let terms = line.terms();
            if terms.dataset != wanted.dataset || terms.organisation != wanted.organisation {
                continue;
            }
            let Some((status, missing)) = self.missing(line, wanted, witnessed) else {
                return Ok(grant);
            };
            if nearest.is_none_or(|(nearest, ..)| rank(status) > rank(nearest)) {
                nearest = Some((status, missing, grant));
            }
        }
        Err(nearest.map_or_else(
            || none(wanted),
            |(status, missing, grant)| missing.said(grant, status, wanted),
        ))
    }

    fn missing<'a>(
        &self,
        line: &Line,
        wanted: &Wanted<'a>,
        witnessed: &dyn Witnessed,
    ) -> Option<(Status, Missing<'a>)> {
        let terms = line.terms();
        let status = line.status(wanted.now_ms, witnessed);
        if status != Status::Active {
            return Some((status, Missing::Activity));
        }
        let missing = if !wanted.action.is_some_and(|action| terms.actions.contains(&action)) {
            Missing::Action
        } else if !terms.allows(wanted.purpose, &self.vocabulary) {
            Missing::Purpose
        } else if let Some(column) = wanted.columns.iter().find(|column| !terms.columns.covers(column)) {
            Missing::Column(column)
        } else {
            let mut aggregates = wanted.aggregates.iter();
            Missing::Aggregate(aggregates.find(|name| !terms.aggregates.covers(name))?)
        };
        Some((status, missing))
    }
}

/// What a grant lacks. Put into words for the one that comes closest: an analyst may have hundreds.
#[derive(Clone, Copy)]
enum Missing<'a> {
    Activity,
    Action,
    Purpose,
    Column(&'a str),
    Aggregate(&'a str),
}

impl Missing<'_> {
    fn said(self, grant: &Grant, status: Status, wanted: &Wanted<'_>) -> Uncovered {
        let (id, owner) = (short(&grant.id), wanted.owner);
        let (rule, what) = match self {
            Self::Activity => {
                let (rule, remedy) = inactive(grant, status, wanted);
                return Uncovered {
                    rule,
                    reason: format!("grant {id} of `{owner}` is {}", status.spelling()),
                    remedy: remedy.to_owned(),
                };
            }
            Self::Action => ("grant.action", "this action".to_owned()),
            Self::Purpose => ("grant.purpose", format!("the purpose `{}`", wanted.purpose)),
            Self::Column(column) => ("grant.columns", format!("the column `{column}`")),
            Self::Aggregate(name) => ("grant.aggregates", name.to_owned()),
        };
        Uncovered {
            rule,
            reason: format!("grant {id} of `{owner}` does not cover {what}"),
            remedy: "ask within its terms (`sotto grant show`), or for a new one: `sotto grant request`".to_owned(),
        }
    }
}

/// Why a grant that is not active is not, and what helps.
fn inactive(grant: &Grant, status: Status, wanted: &Wanted<'_>) -> (&'static str, &'static str) {
    let begun = |line: &Line| wanted.now_ms >= line.terms().from_ms;
    match status {
        Status::Active => ("grant.active", ""),
        Status::Requested => (
            "grant.requested",
            "a steward of the owner approves it: `sotto grant approve`",
        ),
        Status::Offered => ("grant.offered", "the requester's side agrees: `sotto grant approve`"),
        Status::Agreed if grant.lines.get(wanted.owner).is_some_and(begun) => (
            "grant.unwitnessed",
            "wait until the log holds its agreement: a second or two",
        ),
        Status::Agreed => ("grant.agreed", "wait until its window begins"),
        Status::Suspended => (
            "grant.suspended",
            "ask whoever suspended it: `sotto grant show` says who and why",
        ),
        Status::Revoked => ("grant.revoked", "ask for a new one: `sotto grant request`"),
        Status::Expired => ("grant.expired", "ask for a new one: `sotto grant request`"),
        Status::Completed => ("grant.completed", "ask for a new one: `sotto grant request`"),
    }
}

fn none(wanted: &Wanted<'_>) -> Uncovered {
    let Wanted {
        requester,
        dataset,
        owner,
        ..
    } = wanted;
    Uncovered {
        rule: "grant.none",
        reason: format!("`{owner}` granted `{requester}` nothing of `{dataset}`"),
        remedy: format!("ask for it: `sotto grant request --dataset {dataset}`"),
    }
}

/// How close a grant is to being used.
fn rank(status: Status) -> u8 {
    match status {
        Status::Active => 7,
        Status::Suspended => 6,
        Status::Agreed => 5,
        Status::Offered => 4,
        Status::Requested => 3,
        Status::Expired => 2,
        Status::Completed => 1,
        Status::Revoked => 0,
    }
}

/// Enough of an id for a person to find the grant.
fn short(id: &ContentHash) -> String {
    id.to_string()[..12].to_owned()
}
