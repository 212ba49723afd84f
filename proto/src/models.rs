//! The registry of models on the wire. A version's words are the coordinator's; a move is its analyst's, signed.

use governance::model::{Moved, Version};
use governance::{ContentHash, SignedMove, Standing};
use prost::bytes::Bytes;

use crate::v1;
use crate::wire::{Malformed, fixed};

impl From<&Version> for v1::ModelVersion {
    fn from(version: &Version) -> Self {
        let bytes = |hash: &ContentHash| Bytes::copy_from_slice(&hash.0);
        Self {
            name: version.name.clone(),
            number: version.number,
            model_hash: bytes(&version.model),
            parent_hash: version.parent.as_ref().map(bytes),
            release_id: version.release.clone(),
            figures: version.figures.clone(),
            standing: spelled(version.standing),
            released_at_ms: version.released_at_ms,
            moves: version.moves.iter().map(moved).collect(),
        }
    }
}

impl TryFrom<v1::ModelVersion> for Version {
    type Error = Malformed;

    fn try_from(version: v1::ModelVersion) -> Result<Self, Malformed> {
        let hash = |bytes: &Bytes| fixed("model hash", bytes).map(ContentHash);
        let read = |to: v1::ModelMoved| {
            Ok(Moved {
                to: standing(&to.to)?,
                note: to.note,
                at_ms: to.at_ms,
            })
        };
        Ok(Self {
            name: version.name,
            number: version.number,
            model: hash(&version.model_hash)?,
            parent: version.parent_hash.as_ref().map(hash).transpose()?,
            release: version.release_id,
            figures: version.figures,
            standing: standing(&version.standing)?,
            released_at_ms: version.released_at_ms,
            moves: version.moves.into_iter().map(read).collect::<Result<_, Malformed>>()?,
        })
    }
}

impl From<SignedMove> for v1::SignedMove {
    fn from(signed: SignedMove) -> Self {
        Self {
            body: signed.body,
            signature: signed.signature.into(),
        }
    }
}

impl From<v1::SignedMove> for SignedMove {
    fn from(signed: v1::SignedMove) -> Self {
        Self {
            body: signed.body,
            signature: signed.signature.into(),
        }
    }
}

fn moved(moved: &Moved) -> v1::ModelMoved {
    v1::ModelMoved {
        to: spelled(moved.to),
        note: moved.note.clone(),
        at_ms: moved.at_ms,
    }
}

fn spelled(standing: Standing) -> String {
    standing.spelling().to_owned()
}

fn standing(text: &str) -> Result<Standing, Malformed> {
    Standing::ALL
        .into_iter()
        .find(|standing| standing.spelling() == text)
        .ok_or(Malformed::Unreadable("standing of a model"))
}
