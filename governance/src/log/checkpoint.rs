//! Checkpoints, c2sp.org/tlog-checkpoint: a log's name, its size and its root, signed by the log and by witnesses.
//!
//! A [`SignedCheckpoint`] exists only if the log signed it. A signature says that the log *claims* this tree; that nobody was shown
//! another one is what a quorum of witnesses adds ([`super::trust`]). Extension lines are refused: no witness could audit them.

use std::fmt;

use super::note::{Algorithm, Note, NoteError, NoteKey, Signature};
use super::tree::TreeHash;
use crate::SigningKey;

/// Sizes fit a signed integer at every reader.
const MAX_SIZE: u64 = i64::MAX as u64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("malformed checkpoint: {0}")]
    Malformed(&'static str),
    #[error("checkpoint of another log: `{found}`, expected `{expected}`")]
    Origin { expected: String, found: String },
    #[error("an empty tree with root {0}: expected the hash of nothing")]
    Empty(TreeHash),
}

/// The head of a log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, and the name of its key.
    pub origin: String,
    pub size: u64,
    pub root: TreeHash,
}

impl Checkpoint {
    /// Only the log signs, and only what extends everything it has signed.
    pub fn sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, CheckpointError> {
        let text = self.to_string();
        let signature = Signature::sign(&self.origin, key, &text)?;
        Ok(SignedCheckpoint {
            checkpoint: Self::parse(&text)?,
            note: Note::signed(text, signature)?,
        })
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let lines: Vec<&str> = text.lines().collect();
        let [origin, size, root] = lines[..] else {
            return Err(malformed("expected three lines: origin, size, root"));
        };
        let checkpoint = Self {
            origin: origin.into(),
            size: size.parse().map_err(|_| malformed("its size is not a number"))?,
            root: TreeHash::from_base64(root).ok_or(malformed("its root is not 32 bytes in base64"))?,
        };
        if checkpoint.size > MAX_SIZE {
            return Err(malformed("its size is not below 2^63"));
        }
        // One spelling: no leading zero or plus, no carriage return.
        if origin.is_empty() || checkpoint.to_string() != text {
            return Err(malformed("another spelling than c2sp.org/tlog-checkpoint gives"));
        }
        if checkpoint.size == 0 && checkpoint.root != TreeHash::empty() {
            return Err(CheckpointError::Empty(checkpoint.root));
        }
        Ok(checkpoint)
    }
}

/// The note text: three lines.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

/// A checkpoint that its log signed, with whatever cosignatures came along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// The checkpoint in these bytes, if the log with this key signed it under its own name.
    pub fn open(bytes: &[u8], log: &NoteKey) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        if note.verified(std::slice::from_ref(log))?.is_empty() || log.algorithm() != Algorithm::Ed25519 {
            return Err(NoteError::Unsigned(log.to_string()).into());
        }
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != log.name() {
            return Err(CheckpointError::Origin {
                expected: log.name().into(),
                found: checkpoint.origin,
            });
        }
        Ok(Self { checkpoint, note })
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub fn note(&self) -> &Note {
        &self.note
    }

    /// A witness's line for this checkpoint. Who may make one is [`super::witness`]'s to say.
    pub(super) fn cosign(&self, name: &str, key: &SigningKey, at_s: u64) -> Result<Signature, NoteError> {
        Signature::cosign(name, key, self.note.text(), at_s)
    }

    /// The coordinator gathers cosignatures as they arrive.
    pub fn attach(&mut self, signature: Signature, witness: &NoteKey) -> Result<(), NoteError> {
        self.note.attach(signature, witness)
    }
}

/// The note as it travels.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
