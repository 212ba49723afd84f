//! Contracts in the register: what an owner's acts make of its versions of a dataset, and what a new one may do to those that stand.
//!
//! An owner that never signed an act about a dataset serves what its configuration says. From its first act on, the acts count: a
//! version that none of them names is proposed, as it is shown and not asked under; a deprecated one is retired when its notice ends,
//! by the clock of whoever looks. A version that breaks questions becomes active only after every active version that it breaks was
//! deprecated, so that nobody's questions break without a notice.

use std::sync::Arc;

use super::{Contracted, Register};
use crate::contract::compat::{Verdict, compare, overall};
use crate::{Act, ContentHash, Contract, Stage, What};

/// Where a version of a contract stands at one owner, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No act of the owner speaks of the dataset.
    Configured,
    Proposed,
    Active,
    Deprecated {
        until_ms: u64,
    },
    Retired,
}

/// Why a version cannot be moved so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    #[error("no agent of `{owner}` offers this contract of `{dataset}`")]
    NotOffered { owner: String, dataset: String },
    #[error("the contract is of `{found}`, the act says `{said}`")]
    OtherDataset { said: String, found: String },
    #[error("version {new} is {verdict} for questions that were written for version {old}, which is active")]
    Breaks { old: String, new: String, verdict: Verdict },
    #[error("the notice ends at {until_ms} ms and the act was signed at {at_ms} ms: a notice ends in the future")]
    NoNotice { until_ms: u64, at_ms: u64 },
}

impl MoveError {
    /// What helps.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotOffered { .. } => {
                "add the file to `other_versions` of the dataset in the agent's configuration, restart the agent, and \
                 publish again: an agent checks it against its files"
                    .to_owned()
            }
            Self::OtherDataset { .. } => "sign the act for the dataset that the contract names".to_owned(),
            Self::Breaks { old, .. } => format!(
                "deprecate version {old} first, with a notice: `sotto contract publish FILE --breaking --notice 90d` does both; \
                 `sotto contract diff` lists what breaks"
            ),
            Self::NoNotice { .. } => "give a later end: `--notice 90d`".to_owned(),
        }
    }
}

impl Standing {
    /// Whether questions are answered under it.
    pub fn is_served(self) -> bool {
        matches!(self, Self::Configured | Self::Active | Self::Deprecated { .. })
    }

    /// As it is spelled on the wire and for people; empty where no act spoke.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configured => "",
            Self::Proposed => "proposed",
            Self::Active => "active",
            Self::Deprecated { .. } => "deprecated",
            Self::Retired => "retired",
        }
    }

    pub fn served_until_ms(self) -> Option<u64> {
        match self {
            Self::Deprecated { until_ms } => Some(until_ms),
            _ => None,
        }
    }
}

impl Register {
    /// Where a version stands at `now_ms`.
    pub fn standing(&self, owner: &str, dataset: &str, contract: &ContentHash, now_ms: u64) -> Standing {
        match self.contract(owner, contract).map(|known| known.stage) {
            None if self.versions_of(owner, dataset).next().is_none() => Standing::Configured,
            None | Some(Stage::Proposed) => Standing::Proposed,
            Some(Stage::Active) => Standing::Active,
            Some(Stage::Deprecated { until_ms }) if now_ms < until_ms => Standing::Deprecated { until_ms },
            Some(Stage::Deprecated { .. } | Stage::Retired) => Standing::Retired,
        }
    }

    /// Every version of a dataset that an owner's acts name.
    pub fn versions_of<'a>(
        &'a self,
        owner: &'a str,
        dataset: &'a str,
    ) -> impl Iterator<Item = (ContentHash, &'a Contracted)> {
        let of_owner = (owner.to_owned(), ContentHash([0; 32]))..=(owner.to_owned(), ContentHash([0xff; 32]));
        let known = self.contracts.range(of_owner);
        let known = known.filter(move |(_, known)| known.dataset == dataset);
        known.map(|((_, contract), known)| (*contract, known))
    }

    /// Whether an act may move a contract, as far as its words go: asked at the coordinator's door, which knows what agents offer.
    /// Acts that move no contract pass, and so does one that was checked before.
    pub fn may_move(&self, act: &Act, text: &dyn Fn(&ContentHash) -> Option<Arc<Contract>>) -> Result<(), MoveError> {
        let What::ContractMoved { dataset, contract, to } = &act.what else {
            return Ok(());
        };
        let owner = &act.by.organisation;
        match to {
            Stage::Deprecated { until_ms } if *until_ms <= act.at_ms => Err(MoveError::NoNotice {
                until_ms: *until_ms,
                at_ms: act.at_ms,
            }),
            Stage::Deprecated { .. } | Stage::Retired => Ok(()),
            Stage::Proposed | Stage::Active => {
                let new = text(contract).ok_or_else(|| MoveError::NotOffered {
                    owner: owner.clone(),
                    dataset: dataset.clone(),
                })?;
                if new.name != *dataset {
                    return Err(MoveError::OtherDataset {
                        said: dataset.clone(),
                        found: new.name.clone(),
                    });
                }
                let active = self
                    .versions_of(owner, dataset)
                    .filter(|(_, known)| known.stage == Stage::Active);
                let active: Vec<Arc<Contract>> = active.filter_map(|(hash, _)| text(&hash)).collect();
                match to {
                    Stage::Active => breaks_none(&new, &active),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Refuses a new version under which questions for an active one would break.
pub fn breaks_none(new: &Contract, active: &[Arc<Contract>]) -> Result<(), MoveError> {
    for old in active.iter().filter(|old| old.hash() != new.hash()) {
        let verdict = overall(&compare(old, new));
        if !verdict.is_backward() {
            return Err(MoveError::Breaks {
                old: old.version.clone(),
                new: new.version.clone(),
                verdict,
            });
        }
    }
    Ok(())
}
