//! What a slot is locked to. Variants in protocol order; a lock only ever moves down.

use crate::abort::{Abort, RelayFault, Usage};
use crate::digest::Digest;

/// The cohort a slot serves.
#[derive(Clone)]
pub(super) struct InCohort {
    pub(super) ctx_hash: Digest,
    pub(super) ctx2: Digest,
    pub(super) cohort: Vec<u16>,
}

/// The one survivor set a slot may help to open.
#[derive(Clone)]
pub(super) struct Surveyed {
    pub(super) place: InCohort,
    pub(super) survivors: Vec<u16>,
    pub(super) u_hash: Digest,
}

pub(super) enum Lock {
    Unused,
    Started {
        ctx_hash: Digest,
    },
    InCohort(InCohort),
    /// With the digest of the own masked vector.
    Sent(InCohort, Digest),
    Surveyed(Surveyed),
    Revealed(Surveyed),
    Erased,
}

impl Lock {
    /// The context the slot is locked to, or that it is gone.
    pub(super) fn ctx_hash(&self, slot: u16) -> Result<Option<Digest>, Abort> {
        match self {
            Self::Unused => Ok(None),
            Self::Started { ctx_hash } => Ok(Some(*ctx_hash)),
            Self::Erased => Err(RelayFault::Erased { slot }.into()),
            other => Ok(other.place().map(|place| place.ctx_hash)),
        }
    }

    pub(super) fn ctx2(&self) -> Option<Digest> {
        self.place().map(|place| place.ctx2)
    }

    /// Digest of the own masked vector while survivors are awaited.
    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Sent(_, digest) => Some(*digest),
            _ => None,
        }
    }

    pub(super) fn wrong_phase(&self, slot: u16, expected: &'static str) -> Abort {
        let found = match self {
            Self::Unused => "unused",
            Self::Started { .. } => "accepted",
            Self::InCohort(_) => "in a cohort",
            Self::Sent(..) => "sent",
            Self::Surveyed(_) => "locked to a survivor set",
            Self::Revealed(_) => "revealed",
            Self::Erased => "erased",
        };
        Usage::WrongPhase { slot, expected, found }.into()
    }

    fn place(&self) -> Option<&InCohort> {
        match self {
            Self::InCohort(place) | Self::Sent(place, _) => Some(place),
            Self::Surveyed(seen) | Self::Revealed(seen) => Some(&seen.place),
            Self::Unused | Self::Started { .. } | Self::Erased => None,
        }
    }
}
