//! Names of the things that travel: agents, jobs, epochs and rounds. Small, ordered, cheap to clone.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An agent's name in the roster. On the coordinator it always comes from the authenticated connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct AgentId(pub Arc<str>);

impl AgentId {
    /// The name as the roster spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for AgentId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&str> for AgentId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<AgentId> for String {
    fn from(id: AgentId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job is its signed request: the first half of the request hash, so that submitting twice is submitting once. A
/// release carries the id of the job that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub [u8; 16]);

impl JobId {
    /// The job of a request hash.
    pub fn of(request_hash: &[u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&request_hash[..16]);
        Self(id)
    }

    /// Reads the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {self}")
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("mismatched job id: expected 32 hex digits"))
    }
}

/// The coordinator's number for one attempt at setting up an epoch. It routes; the epoch's identity is the hash of
/// its Hellos, which agents compute themselves.
pub type EpochSeq = u64;

/// One slot of one epoch: where every message of a round belongs. Used once, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotId {
    pub epoch: EpochSeq,
    pub slot: u16,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} slot {}", self.epoch, self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_reads_back_and_nothing_else_reads() {
        let job = JobId([0xa5; 16]);
        assert_eq!(JobId::parse(&job.to_string()), Some(job));
        for bad in [
            "",
            "a5",
            "+5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
            "zza5a5a5a5a5a5a5a5a5a5a5a5a5a5a5",
        ] {
            assert_eq!(JobId::parse(bad), None, "{bad}");
        }
    }
}
