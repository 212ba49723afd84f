//! What a member asks of a cohort and of a survivor set before it looks at signatures.

use super::Epoch;
use crate::abort::{Abort, RelayFault};
use crate::digest::Digest;
use crate::members::Members;
use crate::message::{Accept, Signed, Survivors};
use crate::setup::same;

/// `t <= s_min <= n`, or the counting arguments do not hold.
pub(crate) fn check_minimum(members: &Members, s_min: usize) -> Result<(), Abort> {
    let (least, most) = (members.threshold(), members.n());
    if (least..=most).contains(&s_min) {
        Ok(())
    } else {
        Err(RelayFault::MinimumOutOfRange {
            least,
            most,
            found: s_min,
        }
        .into())
    }
}

impl Epoch {
    /// The list of a cohort's members: for this slot and one context, in order, each once, `s_min` at least.
    pub(super) fn members_of(
        &self,
        slot: u16,
        s_min: usize,
        accepts: &[Accept],
        ctx_hash: Option<Digest>,
    ) -> Result<Vec<u16>, Abort> {
        let mut cohort: Vec<u16> = Vec::with_capacity(accepts.len());
        for accept in accepts {
            same("epoch of accept", self.epoch_id, accept.epoch_id)?;
            if accept.slot != slot {
                return Err(RelayFault::WrongSlot {
                    expected: slot,
                    found: accept.slot,
                }
                .into());
            }
            let expected = ctx_hash.unwrap_or(accepts[0].ctx_hash);
            same("context of accept", expected, accept.ctx_hash)?;
            if cohort.last().is_some_and(|last| *last >= accept.member) {
                return Err(RelayFault::Unsorted {
                    what: "cohort",
                    member: accept.member,
                }
                .into());
            }
            cohort.push(accept.member);
        }
        if cohort.len() < s_min {
            return Err(RelayFault::BelowMinimum {
                what: "cohort",
                expected: s_min,
                found: cohort.len(),
            }
            .into());
        }
        Ok(cohort)
    }

    pub(super) fn verify_accepts(&self, accepts: &[Accept]) -> Result<(), Abort> {
        accepts.iter().try_for_each(|accept| accept.verify(&self.me.members))
    }

    /// The list of survivors: for this `ctx2`, in order, each once and of the cohort, `s_min` at least.
    pub(super) fn survivors_of(
        &self,
        slot: u16,
        s_min: usize,
        ctx2: &Digest,
        cohort: &[u16],
        message: &Survivors,
    ) -> Result<Vec<u16>, Abort> {
        let mut survivors: Vec<u16> = Vec::with_capacity(message.headers.len());
        for header in &message.headers {
            if header.slot != slot {
                return Err(RelayFault::WrongSlot {
                    expected: slot,
                    found: header.slot,
                }
                .into());
            }
            same("context of masked header", *ctx2, header.ctx2)?;
            if survivors.last().is_some_and(|last| *last >= header.member) {
                return Err(RelayFault::Unsorted {
                    what: "survivors",
                    member: header.member,
                }
                .into());
            }
            if cohort.binary_search(&header.member).is_err() {
                return Err(RelayFault::SurvivorOutsideCohort { member: header.member }.into());
            }
            survivors.push(header.member);
        }
        if survivors.len() < s_min {
            return Err(RelayFault::BelowMinimum {
                what: "survivors",
                expected: s_min,
                found: survivors.len(),
            }
            .into());
        }
        Ok(survivors)
    }
}
