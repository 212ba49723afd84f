//! The trust file: all that an outsider needs to believe the log. The log's key, the witnesses' keys, and how many must agree.
//!
//! `q > (n + f) / 2`: any two quorums share more than f witnesses, so at least one that keeps to its word, and that one never signs two
//! stories. n counts witnesses, f those that may lie. Each stands for another organisation, and none for the
//! coordinator's: an organisation that could sign twice, or that runs the log, would be a quorum's weak spot.

use serde::{Deserialize, Serialize};

use super::checkpoint::SignedCheckpoint;
use super::note::{Algorithm, NoteError, NoteKey, Verified};
use crate::roster::repeated;
use crate::{Roster, VerifyingKey};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("malformed trust file: {0}")]
    Malformed(String),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("key {key} cannot be {wanted}: its type is another")]
    Type { key: String, wanted: &'static str },
    #[error("{what} `{value}` appears twice among the witnesses")]
    Twice { what: &'static str, value: String },
    #[error("witness {key} belongs to `{organisation}`, which runs the log: take it off the list")]
    Coordinator { key: String, organisation: String },
    #[error("quorum {quorum} of {witnesses} witnesses of which {faulty} may lie: expected {} to {witnesses}", smallest_quorum(*.witnesses, *.faulty))]
    Quorum {
        quorum: usize,
        witnesses: usize,
        faulty: usize,
    },
    #[error("no quorum: {found} of the {expected} witnesses needed cosigned size {size}")]
    NoQuorum { expected: usize, found: usize, size: u64 },
}

/// The smallest q with q > (n + f) / 2.
pub fn smallest_quorum(witnesses: usize, faulty: usize) -> usize {
    witnesses.midpoint(faulty) + 1
}

/// A trust file that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    log: NoteKey,
    witnesses: Vec<NoteKey>,
    quorum: usize,
    governance: Option<VerifyingKey>,
}

/// The file as it is written, in TOML. Keys are C2SP verifier keys; the log's key is named as the log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    pub log: String,
    /// The organisation that runs the coordinator.
    pub coordinator: String,
    /// Witnesses that may lie together with the coordinator.
    pub faulty: usize,
    pub quorum: usize,
    /// Who signs rosters: with it an outsider can tell who belonged when. Absent in files from before it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governance: Option<VerifyingKey>,
    #[serde(rename = "witness")]
    pub witnesses: Vec<WitnessEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessEntry {
    pub key: String,
    pub organisation: String,
}

impl Trust {
    /// What the members of a consortium trust; `sotto audit trust` prints it for others.
    pub fn of(roster: &Roster) -> Result<Self, TrustError> {
        TrustFile::of(roster)?.check()
    }

    /// How many witnesses must cosign.
    pub fn needed(&self) -> usize {
        self.quorum
    }

    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: TrustFile = toml::from_str(text).map_err(|e| TrustError::Malformed(e.to_string()))?;
        file.check()
    }

    /// The key that signs rosters, where the file names it.
    pub fn governance(&self) -> Option<&VerifyingKey> {
        self.governance.as_ref()
    }

    pub fn log(&self) -> &NoteKey {
        &self.log
    }

    pub fn witnesses(&self) -> &[NoteKey] {
        &self.witnesses
    }

    /// Who cosigned this checkpoint, if they are enough. A result, a model's publication and a grant wait for it.
    pub fn quorum<'t>(&'t self, checkpoint: &SignedCheckpoint) -> Result<Vec<Verified<'t>>, TrustError> {
        let cosigned = checkpoint.note().verified(&self.witnesses)?;
        if cosigned.len() < self.quorum {
            return Err(TrustError::NoQuorum {
                expected: self.quorum,
                found: cosigned.len(),
                size: checkpoint.checkpoint().size,
            });
        }
        Ok(cosigned)
    }
}

impl TrustFile {
    /// The log is signed by the coordinator's key, every agent of another organisation is a witness, as many as may collude in the
    /// cohort may lie here, and the quorum is the smallest that is safe.
    pub fn of(roster: &Roster) -> Result<Self, TrustError> {
        let coordinator = roster.coordinator.organisation();
        let entry = |agent: &crate::Agent| {
            let key = NoteKey::new(&witness_name(&agent.id), Algorithm::CosignatureV1, agent.signing_key)?;
            Ok(WitnessEntry {
                key: key.to_string(),
                organisation: agent.organisation.clone(),
            })
        };
        let agents = roster.agents.iter().filter(|agent| agent.organisation != coordinator);
        let witnesses: Vec<_> = agents.map(entry).collect::<Result<_, NoteError>>()?;
        let faulty = roster.c as usize;
        let log = NoteKey::new(&origin(roster), Algorithm::Ed25519, roster.coordinator.signing_key)?;
        Ok(Self {
            log: log.to_string(),
            coordinator: coordinator.into(),
            faulty,
            quorum: smallest_quorum(witnesses.len(), faulty),
            governance: None,
            witnesses,
        })
    }

    pub fn check(&self) -> Result<Trust, TrustError> {
        let log = key_of(&self.log, Algorithm::Ed25519, "the log's (type 01)")?;
        let keys = self.witnesses.iter();
        let witnesses: Vec<NoteKey> = keys
            .map(|entry| key_of(&entry.key, Algorithm::CosignatureV1, "a witness's (type 04)"))
            .collect::<Result<_, _>>()?;
        distinct("name", witnesses.iter().map(|key| key.name().into()))?;
        distinct("public key", witnesses.iter().map(|key| key.key().to_string()))?;
        distinct(
            "organisation",
            self.witnesses.iter().map(|entry| entry.organisation.clone()),
        )?;
        if let Some(entry) = self
            .witnesses
            .iter()
            .find(|entry| entry.organisation == self.coordinator)
        {
            return Err(TrustError::Coordinator {
                key: entry.key.clone(),
                organisation: entry.organisation.clone(),
            });
        }
        let (n, q) = (witnesses.len(), self.quorum);
        if q < smallest_quorum(n, self.faulty) || q > n {
            return Err(TrustError::Quorum {
                quorum: q,
                witnesses: n,
                faulty: self.faulty,
            });
        }
        Ok(Trust {
            log,
            witnesses,
            quorum: q,
            governance: self.governance,
        })
    }
}

/// The name of a consortium's log, and of its key.
pub fn origin(roster: &Roster) -> String {
    format!("{}/log", witness_name(&roster.consortium))
}

/// A member's name as a key's: without the white space and plus signs that C2SP forbids.
pub fn witness_name(id: &str) -> String {
    let forbidden = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    id.replace(forbidden, "-")
}

fn key_of(text: &str, algorithm: Algorithm, wanted: &'static str) -> Result<NoteKey, TrustError> {
    let key: NoteKey = text.parse()?;
    if key.algorithm() != algorithm {
        return Err(TrustError::Type {
            key: text.into(),
            wanted,
        });
    }
    Ok(key)
}

fn distinct(what: &'static str, values: impl Iterator<Item = String>) -> Result<(), TrustError> {
    repeated(values).map_or(Ok(()), |value| Err(TrustError::Twice { what, value }))
}
