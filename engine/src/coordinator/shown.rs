//! What an analyst may know of what is offered. A contract says what it shows to whoever is not admitted; who is admitted, each owner
//! says for itself. What is not shown does not exist: the same words answer a question about it and about a name that nobody has.

use std::collections::BTreeSet;

use governance::ContentHash;
use governance::contract::Visibility;

use super::{Catalogue, Coordinator, Offered};
use crate::codes;
use crate::ids::AgentId;
use crate::workload::Refusal;

impl Catalogue {
    /// How much of one owner's version of a dataset an analyst sees.
    pub fn shown(&self, contract: &ContentHash, offered: &Offered, analyst: &str) -> Visibility {
        let level = self
            .contract(contract)
            .map_or(Visibility::Hidden, |contract| contract.visibility);
        level.shown(offered.admitted.contains(analyst))
    }

    /// All versions of all datasets that an analyst sees anything of, owner by owner.
    pub fn shown_to<'a>(&'a self, analyst: &'a str) -> impl Iterator<Item = Shown<'a>> {
        let all = self.agents().flat_map(|(agent, presence)| {
            presence.datasets.iter().flat_map(move |(name, versions)| {
                versions
                    .iter()
                    .map(move |(contract, offered)| (agent, name, contract, offered))
            })
        });
        let shown = all.map(|(agent, dataset, contract, offered)| Shown {
            agent,
            dataset,
            contract: *contract,
            offered,
            level: self.shown(contract, offered, analyst),
        });
        shown.filter(|shown| shown.level != Visibility::Hidden)
    }
}

/// One owner's version of a dataset, and how much of it somebody sees.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub agent: &'a AgentId,
    pub dataset: &'a str,
    pub contract: ContentHash,
    pub offered: &'a Offered,
    pub level: Visibility,
}

impl Coordinator {
    /// Whether a request may name this contract of this dataset, as far as its analyst can know. With too few agents online
    /// nobody can say what there is, and the job waits.
    pub(super) fn may_name(&self, analyst: &str, dataset: &str, contract: &ContentHash) -> Result<(), Refusal> {
        let shown = || {
            self.catalogue
                .shown_to(analyst)
                .filter(|shown| shown.dataset == dataset)
        };
        let readable = shown().filter(|shown| shown.level == Visibility::Schema);
        let readable: BTreeSet<ContentHash> = readable.map(|shown| shown.contract).collect();
        let online = self.catalogue.agents().count();
        if readable.contains(contract) {
            return Ok(());
        }
        if !readable.is_empty() {
            let text = format!("the contract of `{dataset}` is not the one that the request names");
            return Err(
                Refusal::new(codes::OTHER_CONTRACT, text).remedy("ask again: the client fetches the current contract")
            );
        }
        if shown().next().is_some() {
            let text = format!("`{dataset}` is listed only: its owners show its contract to whom they admit");
            let remedy = "`sotto dataset` names its owners and purposes: ask them, or for a grant";
            return Err(Refusal::new(codes::LISTED_ONLY, text).remedy(remedy));
        }
        if online > 0 && online >= self.roster.min_cohort as usize {
            let text = format!("no participant offers a dataset `{dataset}`");
            return Err(Refusal::new(codes::UNKNOWN_DATASET, text).remedy("`sotto dataset` lists what is offered"));
        }
        Ok(())
    }
}
