//! A release of any kind of request: what came signed from the coordinator, who asked for it, and whether the signature
//! verifies with the key in the roster. [`crate::Answer`] reads the body of a question, [`crate::train::Trained`] of a run.

use governance::log::{Logged, Trust};
use governance::{ContentHash, Request, Roster};
use proto::identity::Identity;
use proto::v1;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::audit::{self, signed_by};
use crate::output::plain;
use crate::{Exit, Problem};

/// One release, its body unread.
#[derive(Clone, Debug)]
pub struct Released {
    release: engine::Release,
    request: Request,
    released_at_ms: u64,
    verified: bool,
    logged: Result<Logged, String>,
    repeated: bool,
    revoked: Vec<(ContentHash, String)>,
}

impl Released {
    /// Reads what the coordinator sent.
    pub(crate) fn read(release: v1::Release, identity: &Identity) -> Result<Self, Problem> {
        let answer = proto::analysts::Answer::try_from(release).map_err(unreadable)?;
        let request: Request = serde_json::from_slice(&answer.request.body).map_err(unreadable)?;
        let logged = logged(&answer, &identity.roster);
        Ok(Self {
            verified: signed_by(&answer.signed, &identity.roster.coordinator.signing_key)
                && answer.request.hash() == answer.signed.release.request_hash
                && logged.is_ok(),
            logged,
            release: answer.signed.release,
            request,
            released_at_ms: answer.released_at_ms,
            repeated: false,
            revoked: answer.revoked,
        })
    }

    /// One that no coordinator made, for tests of what reads releases.
    #[cfg(test)]
    pub(crate) fn of(release: engine::Release, request: Request, verified: bool) -> Self {
        Self {
            release,
            request,
            released_at_ms: 0,
            verified,
            logged: Err("a release for tests".to_owned()),
            repeated: false,
            revoked: Vec::new(),
        }
    }

    /// Marks it as made under a grant that an owner revoked since.
    #[cfg(test)]
    pub(crate) fn under_revoked(mut self, grant: ContentHash, owner: &str) -> Self {
        self.revoked.push((grant, owner.to_owned()));
        self
    }

    /// Marks it as one that was given before.
    pub(crate) fn again(mut self) -> Self {
        self.repeated = true;
        self
    }

    pub fn id(&self) -> String {
        self.release.id.to_string()
    }

    /// The release that holds the same and was paid for: the earlier one if this is a repeat.
    pub fn first_id(&self) -> String {
        self.release.receipt.repeated.unwrap_or(self.release.id).to_string()
    }

    /// The workload's own JSON.
    pub fn body(&self) -> &str {
        &self.release.body
    }

    /// What the analyst signed.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Names the request behind it.
    pub fn request_hash(&self) -> governance::ContentHash {
        self.release.request_hash
    }

    pub fn dataset(&self) -> &str {
        &self.release.dataset
    }

    pub fn receipt(&self) -> &engine::Receipt {
        &self.release.receipt
    }

    pub fn released_at_ms(&self) -> u64 {
        self.released_at_ms
    }

    /// Whether the coordinator of the roster signed it for this request, and a quorum of witnesses saw it in the log.
    pub fn verified(&self) -> bool {
        self.verified
    }

    /// Where it stands in the log and who saw it there, or why that is not proven.
    pub fn logged(&self) -> Result<&Logged, &str> {
        self.logged.as_ref().map_err(String::as_str)
    }

    /// Whether this is a stored answer that cost nothing now.
    pub fn repeated(&self) -> bool {
        self.repeated || self.release.receipt.repeated.is_some()
    }

    /// Grants that it was made under and that were revoked since, with the owners: who uses it should know.
    pub fn revoked(&self) -> &[(ContentHash, String)] {
        &self.revoked
    }

    /// The same in words, one sentence each.
    pub fn revoked_words(&self) -> impl Iterator<Item = String> + '_ {
        self.revoked.iter().map(|(grant, owner)| revoked_words(grant, owner))
    }

    /// The same for scripts.
    pub fn revoked_json(&self) -> Value {
        let flags = self.revoked.iter();
        flags
            .map(|(grant, owner)| serde_json::json!({ "grant": grant, "owner": owner }))
            .collect()
    }

    /// Time of the release in UTC, to the minute.
    pub fn released(&self) -> String {
        minute(self.released_at_ms)
    }

    /// What the release cost, as people read it; a sum without noise claims nothing.
    pub fn cost(&self) -> String {
        cost(self.release.receipt.epsilon)
    }

    /// The receipt with its figures as numbers; what is signed spells them as text, exactly.
    pub fn receipt_json(&self) -> Value {
        let mut json = serde_json::to_value(&self.release.receipt).unwrap_or_default();
        for figure in ["epsilon", "delta", "rho", "epsilon_charged"] {
            if let Some(number) = json[figure].as_str().and_then(|text| text.parse::<f64>().ok()) {
                json[figure] = Value::from(number);
            }
        }
        json
    }
}

/// That a release stands on a grant that its owner took back.
pub(crate) fn revoked_words(grant: &ContentHash, owner: &str) -> String {
    let short = crate::grants::short(grant);
    format!("`{owner}` has revoked the grant {short} under which this was made: `sotto grant show {short}`")
}

/// An epsilon, or that there is none.
pub fn cost(epsilon: Option<f64>) -> String {
    epsilon.map_or("no noise".to_owned(), |epsilon| format!("epsilon {}", plain(epsilon)))
}

/// A moment in UTC, to the minute.
pub(crate) fn minute(at_ms: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from_unix_timestamp((at_ms / 1000) as i64)
        .ok()
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_default()
}

/// A release that this version cannot read.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Unreachable, "SOTTO-7206", format!("unreadable release: {what}"))
        .remedy("compare versions with `sotto doctor`: the coordinator may be newer than this `sotto`")
}

fn logged(answer: &proto::analysts::Answer, roster: &Roster) -> Result<Logged, String> {
    let trust = Trust::of(roster).map_err(|error| error.to_string())?;
    audit::logged(&answer.signed, &answer.proof, &trust)
}
