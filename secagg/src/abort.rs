//! Why a party stops, sorted by whose fault it is. An abort reveals nothing: no variant carries a live secret, and whatever
//! state met it stays locked where it was.

use crate::blame::Blame;
use crate::codec::{Malformed, Message};
use crate::digest::Digest;
use crate::ring::Ring;
use crate::setup::Dispute;
use crate::sign::VerifyingKey;

/// A step that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// This program asked for something that does not exist: a bug, or a restart that forgot its epoch.
    #[error(transparent)]
    Usage(#[from] Usage),
    /// Bytes that are no message: the fault of whoever delivered them.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The coordinator put together what no honest coordinator would.
    #[error(transparent)]
    Relay(#[from] RelayFault),
    /// A member's own signed messages prove its fault.
    #[error("member {} at fault: {}", .0.member, .0.fault)]
    Member(Box<Blame>),
    /// During setup one member's part did not hold: the epoch is void, and the dispute decides who lied.
    #[error("epoch void: member {} disputes the part of member {}", .0.accuser, .0.accused)]
    Dispute(Box<Dispute>),
}

/// Faults of the calling program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Usage {
    #[error("not a member of this epoch: {id:?}")]
    NotAMember { id: String },
    #[error("signing key of {id:?}: expected {expected}, got {found}")]
    WrongSigningKey {
        id: String,
        expected: VerifyingKey,
        found: VerifyingKey,
    },
    #[error("slots of an epoch: expected 1 to {most}, got {found}")]
    SlotCount { most: u16, found: u16 },
    #[error("slot out of range: expected below {slots}, got {found}")]
    SlotOutOfRange { slots: u16, found: u16 },
    #[error("slot {slot} out of order: expected {expected}, got {found}")]
    WrongPhase {
        slot: u16,
        expected: &'static str,
        found: &'static str,
    },
    #[error("vector length in bytes: expected {expected}, got {found}")]
    VectorLength { expected: usize, found: usize },
    #[error("mismatched ring: expected {expected:?}, got {found:?}")]
    RingMismatch { expected: Ring, found: Ring },
    #[error("more {what} needed: expected {expected}, got {found}")]
    TooFew {
        what: &'static str,
        expected: usize,
        found: usize,
    },
}

/// Faults of the coordinator, or of whoever sits on the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayFault {
    #[error("incomplete {what}: expected {expected}, got {found}")]
    Incomplete {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("not a member index: expected 1 to {n}, got {found}")]
    UnknownMember { n: usize, found: u16 },
    #[error("members of {what} out of order or repeated at index {member}")]
    Unsorted { what: &'static str, member: u16 },
    #[error("bad signature on {what} of member {member}")]
    BadSignature { what: &'static str, member: u16 },
    #[error("mismatched {what}: expected {expected}, got {found}")]
    Mismatch {
        what: &'static str,
        expected: Digest,
        found: Digest,
    },
    #[error("mismatched slot: expected {expected}, got {found}")]
    WrongSlot { expected: u16, found: u16 },
    #[error("slots of hello: expected {expected}, got {found}")]
    OtherSlots { expected: u16, found: u16 },
    #[error("part of {what} from member {member} is not under its signed root")]
    NotUnderRoot { what: &'static str, member: u16 },
    #[error("s_min: expected {least} to {most}, got {found}")]
    MinimumOutOfRange { least: usize, most: usize, found: usize },
    #[error("{what} below s_min: expected at least {expected}, got {found}")]
    BelowMinimum {
        what: &'static str,
        expected: usize,
        found: usize,
    },
    #[error("survivor {member} is not in the cohort")]
    SurvivorOutsideCohort { member: u16 },
    #[error("own member left out of the cohort of slot {slot}")]
    LeftOutOfCohort { slot: u16 },
    #[error("own contribution to slot {slot} was altered")]
    OwnContributionAltered { slot: u16 },
    #[error("slot {slot} is locked to another {what}: expected {expected}, got {found}")]
    SecondValue {
        slot: u16,
        what: &'static str,
        expected: Digest,
        found: Digest,
    },
    #[error("slot {slot} is erased")]
    Erased { slot: u16 },
    #[error("certificate below the threshold: expected {expected} votes, got {found}")]
    CertificateBelowThreshold { expected: usize, found: usize },
}

/// What a member's signature proves against it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    #[error("hello carries an unusable key")]
    BadKey,
    #[error("hello repeats the key of member {of}")]
    RepeatedKey { of: u16 },
    #[error("message has the wrong shape: {what}")]
    WrongShape { what: &'static str },
    #[error("two different signed {what} for one slot")]
    Equivocation { what: &'static str },
    #[error("revealed a share that its dealer did not commit to")]
    FalseShare,
    #[error("dealt shares that do not open its committed secret")]
    InconsistentShares,
    #[error("sealed bundle of slot {slot} does not hold its edge seeds")]
    BadBundle { slot: u16 },
    #[error("revealed an edge seed that does not match its commitment")]
    FalseEdge,
}

impl Abort {
    pub(crate) fn blame<M: Message>(member: u16, fault: MemberFault, evidence: &[&M]) -> Self {
        Self::Member(Box::new(Blame {
            member,
            fault,
            evidence: evidence.iter().map(|m| m.encode()).collect(),
        }))
    }
}
