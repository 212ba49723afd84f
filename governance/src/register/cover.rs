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
        let mut nearest: Option<(Status, Uncovered)> = None;
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
            match self.missing(grant, line, wanted, witnessed) {
                None => return Ok(grant),
                Some(missing)
                    if nearest
                        .as_ref()
                        .is_none_or(|(status, _)| rank(missing.0) > rank(*status)) =>
                {
                    nearest = Some(missing);
                }
                Some(_) => {}
            }
        }
        Err(nearest.map_or_else(|| none(wanted), |(_, uncovered)| uncovered))
    }

    fn missing(
        &self,
        grant: &Grant,
        line: &Line,
        wanted: &Wanted<'_>,
        witnessed: &dyn Witnessed,
    ) -> Option<(Status, Uncovered)> {
        let terms = line.terms();
        let id = short(&grant.id);
        let status = line.status(wanted.now_ms, witnessed);
        let say = |rule, reason, remedy: String| Some((status, Uncovered { rule, reason, remedy }));
        let owner = wanted.owner;
        let (rule, remedy) = match status {
            Status::Active => {
                let narrow = |what: &str| format!("grant {id} of `{owner}` does not cover {what}");
                let ask =
                    || "ask within its terms (`sotto grant show`), or for a new one: `sotto grant request`".to_owned();
                if !wanted.action.is_some_and(|action| terms.actions.contains(&action)) {
                    return say("grant.action", narrow("this action"), ask());
                }
                if !terms.allows(wanted.purpose, &self.vocabulary) {
                    return say(
                        "grant.purpose",
                        narrow(&format!("the purpose `{}`", wanted.purpose)),
                        ask(),
                    );
                }
                if let Some(column) = wanted.columns.iter().find(|column| !terms.columns.covers(column)) {
                    return say("grant.columns", narrow(&format!("the column `{column}`")), ask());
                }
                let aggregate = wanted.aggregates.iter().find(|name| !terms.aggregates.covers(name));
                return aggregate.and_then(|name| say("grant.aggregates", narrow(name), ask()));
            }
            Status::Requested => (
                "grant.requested",
                "a steward of the owner approves it: `sotto grant approve`",
            ),
            Status::Offered => ("grant.offered", "the requester's side agrees: `sotto grant approve`"),
            Status::Agreed => (
                "grant.agreed",
                "wait until its window begins and the log has witnessed it",
            ),
            Status::Suspended => (
                "grant.suspended",
                "ask whoever suspended it: `sotto grant show` says who and why",
            ),
            Status::Revoked => ("grant.revoked", "ask for a new one: `sotto grant request`"),
            Status::Expired => ("grant.expired", "ask for a new one: `sotto grant request`"),
            Status::Completed => ("grant.completed", "ask for a new one: `sotto grant request`"),
        };
        say(
            rule,
            format!("grant {id} of `{owner}` is {}", status.spelling()),
            remedy.to_owned(),
        )
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
