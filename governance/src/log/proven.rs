//! One event with everything that proves it: c2sp.org/tlog-proof, the file that travels beside a release.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the leaf>
//! index <n>
//! <base64 of each hash of the inclusion proof>
//!
//! <the checkpoint, with the log's signature and the witnesses'>
//! ```
//! The leaf rides in the line that the format leaves to the application, so the file needs nothing beside it but the trust file.
//! Checking costs a signature for the event, one for the log and one for each witness: some 200 us, of which 10 are the proof.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::event::{EventError, SignedEvent};
use super::proof::{ProofError, verify_inclusion};
use super::tree::TreeHash;
use super::trust::{Trust, TrustError};

const FORMAT: &str = "c2sp.org/tlog-proof@v1";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenError {
    #[error("malformed log proof: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("entry {index} is not in the log at this place: {error}")]
    Inclusion { index: u64, error: ProofError },
    #[error("entry {index}: {error}")]
    Event { index: u64, error: EventError },
}

/// A leaf, its place and a checkpoint that holds it. Reading one says nothing of it: ask [`Proven::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    pub leaf: String,
    pub index: u64,
    pub path: Vec<TreeHash>,
    /// The signed note.
    pub checkpoint: String,
}

/// What a proof that holds says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub event: SignedEvent,
    pub index: u64,
    /// Leaves of the log when the witnesses signed.
    pub size: u64,
    /// Names of the witnesses that cosigned, with their clocks' time in seconds since 1970.
    pub witnesses: Vec<(String, Option<u64>)>,
}

impl Proven {
    /// The event, if a quorum cosigned a tree that holds it at this place.
    pub fn verify(&self, trust: &Trust) -> Result<Logged, ProvenError> {
        let checkpoint = SignedCheckpoint::open(self.checkpoint.as_bytes(), trust.log())?;
        let cosigned = trust.quorum(&checkpoint)?;
        let (index, head) = (self.index, checkpoint.checkpoint());
        let leaf = TreeHash::leaf(self.leaf.as_bytes());
        verify_inclusion(&leaf, index, head.size, &self.path, &head.root)
            .map_err(|error| ProvenError::Inclusion { index, error })?;
        let event = SignedEvent::parse(self.leaf.as_bytes()).map_err(|error| ProvenError::Event { index, error })?;
        Ok(Logged {
            event,
            index,
            size: head.size,
            witnesses: cosigned.iter().map(|by| (by.key.name().into(), by.at_s)).collect(),
        })
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{FORMAT}\nextra {}\nindex {}",
            STANDARD.encode(&self.leaf),
            self.index
        )?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proven {
    type Err = ProvenError;

    fn from_str(text: &str) -> Result<Self, ProvenError> {
        let malformed = ProvenError::Malformed;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("no empty line before the checkpoint"))?;
        let mut lines = head.lines();
        if lines.next() != Some(FORMAT) {
            return Err(malformed("its first line is not c2sp.org/tlog-proof@v1"));
        }
        let leaf = lines.next().and_then(|line| line.strip_prefix("extra "));
        let leaf = leaf.and_then(|line| String::from_utf8(STANDARD.decode(line).ok()?).ok());
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let path = lines.map(TreeHash::from_base64).collect::<Option<_>>();
        Ok(Self {
            leaf: leaf.ok_or(malformed("its second line is not `extra` and a leaf in base64"))?,
            index: index
                .and_then(|digits| digits.parse().ok())
                .ok_or(malformed("its third line is not `index` and a number"))?,
            path: path.ok_or(malformed("a hash of its proof is not 32 bytes in base64"))?,
            checkpoint: checkpoint.into(),
        })
    }
}
