//! Everything that is durable, on both sides, and the only form in which it is stored.
//!
//! A record goes to the store as a [`Row`]: a kind, a line of canonical JSON, and at most one large blob beside it. Rows
//! are append-only; recovery applies them in order through the same `Books::apply` that the running engine uses. A
//! query costs the coordinator three rows and a participant three; a training round one row on each side.

use std::collections::BTreeSet;
use std::sync::Arc;

use governance::log::{Frontier, Payload, View};
use governance::{Addition, ContentHash, Request, SignedAct, SignedMove, SignedRequest, SignedRoster};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::approval::{Approval, Approvers};
use crate::ids::{EpochSeq, JobId};
use crate::refused::Refused;
use crate::release::SignedRelease;
use crate::workload::CohortTerms;

/// What the coordinator must not forget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
pub enum CoordinatorRecord {
    /// An epoch number was taken; no number is taken twice.
    EpochOpened { epoch: EpochSeq },
    /// A request passed the checks at the door.
    JobSubmitted {
        job: JobId,
        #[serde(with = "signed")]
        request: SignedRequest,
        at_ms: u64,
    },
    /// This attempt of this round may now be seen by agents. Implied for the round after an `Advanced`.
    AttemptOpened { job: JobId, round: u32, attempt: u32 },
    /// Round `round` was summed and absorbed; the next one continues from `state`.
    Advanced {
        job: JobId,
        round: u32,
        previous_sum: secagg::Digest,
        /// What the sum was made under.
        terms: CohortTerms,
        contributors: u32,
        /// Grants that owners admitted this round and those before it by, and the owners: only the newest record of a run is read again.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        grants: BTreeSet<(ContentHash, String)>,
        #[serde(skip)]
        state: Arc<[u8]>,
        /// The sum itself: agents that were there derive the state from it.
        #[serde(skip)]
        sum: Arc<[u8]>,
    },
    /// The answer. Durable before anybody sees it.
    Released {
        release: Box<SignedRelease>,
        /// Plan, contract, snapshots, cohort, analyst and purpose: the same identity is answered from here at zero cost.
        identity: Option<secagg::Digest>,
        at_ms: u64,
        /// What enters the analyst's registry of models with it.
        #[serde(default)]
        adds: Option<Addition>,
        /// Grants that owners admitted it by, as they said, and the owners.
        #[serde(default)]
        grants: BTreeSet<(ContentHash, String)>,
    },
    /// Somebody decided something: it holds from here on, and agents hear of it.
    ActTaken { signed: SignedAct, at_ms: u64 },
    /// A version of a model stands elsewhere now, as its analyst signed.
    ModelMoved { signed: SignedMove, at_ms: u64 },
    /// The job ended without an answer.
    JobFailed { job: JobId, refused: Refused, at_ms: u64 },
    /// Leaves of the transparency log, from index `first` on: in the transaction of what they tell of.
    Logged { first: u64, leaves: Vec<String> },
    /// A checkpoint of so many leaves that a quorum of witnesses cosigned.
    Cosigned { size: u64, checkpoint: String },
    /// What is left of a `JobSubmitted` when its release was deleted; it takes that row's place. Of the request the words are gone, and
    /// the random number that keeps its hash from being guessed.
    JobErased {
        job: JobId,
        hash: ContentHash,
        request: Box<Request>,
        at_ms: u64,
    },
    /// What is left of a `Released`; it takes that row's place.
    ReleaseErased {
        job: JobId,
        request: ContentHash,
        release: ContentHash,
        identity: Option<secagg::Digest>,
        repeats: Option<JobId>,
        released_at_ms: u64,
        deleted_at_ms: u64,
        #[serde(default)]
        adds: Option<Addition>,
        #[serde(default)]
        grants: BTreeSet<(ContentHash, String)>,
    },
    /// A roster that was in force here: an agent that starts later judges older acts by it.
    RosterKept { roster: SignedRoster },
}

/// What a participant must not forget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
pub enum ParticipantRecord {
    /// A roster signed by governance, newer than the one before.
    RosterAdopted { roster: SignedRoster },
    /// A line of the ledger of one population.
    Ledger { population: String, entry: privacy::Entry },
    /// The data is about to be touched for `count` tokens of a request, from index `first`; none of them, and none below, is ever
    /// answered again.
    TokensTaken {
        request: governance::ContentHash,
        first: u32,
        count: u32,
        /// In place of a token that was set aside for the same index at another price, and not used.
        #[serde(default)]
        instead: bool,
    },
    /// No token of this request will be used any more.
    RequestClosed { request: governance::ContentHash },
    /// The coordinator's stream brought this act.
    ActHeard {
        signed: SignedAct,
        /// Whether the signer stood in the roster; an act that only takes away counts in any case.
        counts: bool,
    },
    /// This agent's own operator decided this; it holds at once, whatever the coordinator says.
    ActMade { signed: SignedAct },
    /// The operator paused or resumed a dataset.
    Paused { dataset: String, paused: bool },
    /// An event of this agent: its private log, and what it hands in until the consortium's log holds it.
    Logged {
        leaf: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    /// What this witness has seen of the log, and the leaves themselves: with them the log can be rebuilt.
    Witnessed {
        view: View,
        frontier: Frontier,
        leaves: Vec<String>,
    },
    /// The log holds an event of this agent that this store does not know: the store is older than the log.
    Behind { leaf: String },
    /// Two people brought the ledger up to what the log says.
    Replayed { approvals: Vec<String> },
    /// Whose signatures count here, from now on. The first list is believed; every later one rests on an `Approved`.
    ApproversSet { version: u64, people: Approvers },
    /// What two people signed, as they signed it: what follows in the same transaction rests on it.
    Approved { approval: Approval },
    /// A roster of before, signed by governance and named by the log.
    RosterKept { roster: SignedRoster },
    /// What is left of a `Logged` when its payload was erased with its salt; it takes that row's place.
    PayloadErased {
        leaf: String,
        /// What the row is found by: erased with it.
        #[serde(skip)]
        salt: Option<ContentHash>,
    },
}

/// A record as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's name, for people who inspect the file.
    pub kind: String,
    /// The record without its blob.
    pub json: String,
    /// The record's large part, if it has one.
    pub blob: Option<Arc<[u8]>>,
    /// Of the rows of one name only the newest is read again: a store may forget the blobs of the others.
    pub newest_of: Option<String>,
    /// It takes the place of an older row, of which nothing may be left in any file.
    pub replaces: Option<Replaced>,
}

/// A row that ends as a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub kind: &'static str,
    /// What the row is found by: the job of a job or a release, the salt of a payload.
    pub key: String,
    /// Large parts that go with it.
    pub newest_of: Option<String>,
}

/// A row that no version of this program wrote.
#[derive(Debug, thiserror::Error)]
#[error("unreadable {kind} record: {reason}")]
pub struct BadRow {
    pub kind: String,
    pub reason: String,
}

impl CoordinatorRecord {
    /// The row to store.
    pub fn to_row(&self) -> Result<Row, BadRow> {
        let blob = match self {
            Self::Advanced { state, sum, .. } => {
                let length = (state.len() as u64).to_le_bytes();
                Some([&length[..], state, sum].concat().into())
            }
            _ => None,
        };
        let mut row = to_row(self, blob)?;
        match self {
            Self::Advanced { job, .. } => row.newest_of = Some(job.to_string()),
            Self::JobErased { job, .. } => {
                row.replaces = Some(Replaced {
                    kind: "job_submitted",
                    key: job.to_string(),
                    newest_of: Some(job.to_string()),
                });
            }
            Self::ReleaseErased { job, .. } => {
                row.replaces = Some(Replaced {
                    kind: "released",
                    key: job.to_string(),
                    newest_of: None,
                });
            }
            _ => {}
        }
        Ok(row)
    }

    /// Reads a stored row.
    pub fn from_row(row: &Row) -> Result<Self, BadRow> {
        let mut record: Self = from_row(row)?;
        if let Self::Advanced { state, sum, .. } = &mut record {
            let blob = row.blob.as_ref().ok_or_else(|| bad(row, "its blob is missing"))?;
            let cut = || bad(row, "its blob is cut short");
            let (length, rest) = blob.split_first_chunk().ok_or_else(cut)?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
            let (first, second) = rest.split_at_checked(length).ok_or_else(cut)?;
            (*state, *sum) = (first.into(), second.into());
        }
        Ok(record)
    }
}

impl ParticipantRecord {
    /// The row to store.
    pub fn to_row(&self) -> Result<Row, BadRow> {
        let mut row = to_row(self, None)?;
        if let Self::PayloadErased { salt: Some(salt), .. } = self {
            row.replaces = Some(Replaced {
                kind: "logged",
                key: salt.to_string(),
                newest_of: None,
            });
        }
        Ok(row)
    }

    /// Reads a stored row.
    pub fn from_row(row: &Row) -> Result<Self, BadRow> {
        from_row(row)
    }
}

/// A signed request as text (its body is JSON) and a signature in hex.
mod signed {
    use governance::SignedRequest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    struct Text {
        body: String,
        signature: Vec<u8>,
        #[serde(default)]
        event: Vec<u8>,
    }

    pub fn serialize<S: Serializer>(request: &SignedRequest, s: S) -> Result<S::Ok, S::Error> {
        let body = String::from_utf8(request.body.clone()).map_err(serde::ser::Error::custom)?;
        let (signature, event) = (request.signature.clone(), request.event.clone());
        Text { body, signature, event }.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SignedRequest, D::Error> {
        let text = Text::deserialize(d).map_err(D::Error::custom)?;
        Ok(SignedRequest {
            body: text.body.into_bytes(),
            signature: text.signature,
            event: text.event,
        })
    }
}

fn to_row<R: Serialize>(record: &R, blob: Option<Arc<[u8]>>) -> Result<Row, BadRow> {
    let value = serde_json::to_value(record).map_err(|error| BadRow {
        kind: "new".to_owned(),
        reason: error.to_string(),
    })?;
    let kind = value["record"].as_str().unwrap_or("record").to_owned();
    Ok(Row {
        kind,
        json: value.to_string(),
        blob,
        newest_of: None,
        replaces: None,
    })
}

fn from_row<R: DeserializeOwned>(row: &Row) -> Result<R, BadRow> {
    serde_json::from_str(&row.json).map_err(|error| bad(row, &error.to_string()))
}

fn bad(row: &Row, reason: &str) -> BadRow {
    BadRow {
        kind: row.kind.clone(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(record: &CoordinatorRecord) -> CoordinatorRecord {
        CoordinatorRecord::from_row(&record.to_row().unwrap()).unwrap()
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let job = JobId([7; 16]);
        let request = SignedRequest {
            body: b"{\"any\":\"text\"}".to_vec(),
            signature: vec![1; 64],
            event: vec![2; 64],
        };
        let submitted = CoordinatorRecord::JobSubmitted { job, request, at_ms: 5 };
        assert_eq!(read_back(&submitted), submitted);
        let advanced = CoordinatorRecord::Advanced {
            job,
            round: 3,
            previous_sum: secagg::Digest([9; 32]),
            terms: CohortTerms { n: 4, c: 1, s_min: 3 },
            contributors: 4,
            grants: BTreeSet::from([(ContentHash([5; 32]), "north".to_owned())]),
            state: vec![0, 1, 255].into(),
            sum: vec![8, 7, 6, 5].into(),
        };
        assert_eq!(advanced.to_row().unwrap().kind, "advanced");
        assert_eq!(read_back(&advanced), advanced);
    }

    #[test]
    fn a_row_that_lost_its_blob_or_its_shape_is_refused() {
        let advanced = CoordinatorRecord::Advanced {
            job: JobId([7; 16]),
            round: 3,
            previous_sum: secagg::Digest([9; 32]),
            terms: CohortTerms { n: 4, c: 1, s_min: 3 },
            contributors: 4,
            grants: BTreeSet::new(),
            state: vec![1].into(),
            sum: vec![1].into(),
        };
        let mut row = advanced.to_row().unwrap();
        assert!(
            !row.json.contains("grants"),
            "a run without grants is written as it ever was"
        );
        row.blob = Some(vec![9, 0, 0, 0, 0, 0, 0, 0, 1].into());
        assert!(CoordinatorRecord::from_row(&row).is_err());
        row.blob = None;
        assert!(CoordinatorRecord::from_row(&row).is_err());
        row.json = row.json.replace("round", "sound");
        assert!(CoordinatorRecord::from_row(&row).is_err());
    }
}
