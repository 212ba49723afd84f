//! Who is connected and what they offer. In memory only: agents say it again when they reconnect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::{ContentHash, Contract};

use crate::codes;
use crate::ids::{AgentId, EpochSeq};
use crate::message::{BudgetView, Join, Offer};
use crate::refused::Refused;
use crate::workload::Refusal;

/// All agents that are connected now, and every contract that one of them offers or an open job names.
#[derive(Default)]
pub struct Catalogue {
    agents: BTreeMap<AgentId, Presence>,
    contracts: BTreeMap<ContentHash, Arc<Contract>>,
}

/// One connected agent.
pub struct Presence {
    /// By name, and by contract: several versions of a dataset may be served at once.
    pub datasets: BTreeMap<String, BTreeMap<ContentHash, Offered>>,
    /// Epochs whose secrets it holds.
    pub epochs: BTreeSet<EpochSeq>,
}

/// One version of one dataset of one agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    pub snapshot: String,
    pub min_cohort: u32,
    pub paused: bool,
    pub budget: Option<BudgetView>,
    pub left_for: BTreeMap<String, f64>,
    pub admitted: BTreeSet<String>,
}

impl Catalogue {
    /// An agent connected; offers that are no valid contract are left out and reported.
    pub fn joined(&mut self, agent: AgentId, join: Join) -> Vec<Refused> {
        let (datasets, faults) = self.read(join.offers);
        let epochs = join.epochs.into_iter().collect();
        self.agents.insert(agent, Presence { datasets, epochs });
        faults
    }

    /// An agent changed what it offers.
    pub fn offers(&mut self, agent: &AgentId, offers: Vec<Offer>) -> Vec<Refused> {
        let (datasets, faults) = self.read(offers);
        if let Some(presence) = self.agents.get_mut(agent) {
            presence.datasets = datasets;
        }
        faults
    }

    /// An agent's connection ended.
    pub fn left(&mut self, agent: &AgentId) -> bool {
        self.agents.remove(agent).is_some()
    }

    /// A connected agent.
    pub fn agent(&self, agent: &AgentId) -> Option<&Presence> {
        self.agents.get(agent)
    }

    /// A connected agent, to note which epochs it holds.
    pub(crate) fn agent_mut(&mut self, agent: &AgentId) -> Option<&mut Presence> {
        self.agents.get_mut(agent)
    }

    /// All connected agents in order of name.
    pub fn agents(&self) -> impl Iterator<Item = (&AgentId, &Presence)> {
        self.agents.iter()
    }

    /// A contract that was offered.
    pub fn contract(&self, hash: &ContentHash) -> Option<&Arc<Contract>> {
        self.contracts.get(hash)
    }

    /// Members of an epoch that can contribute to a dataset now: connected, holding the epoch, offering this contract,
    /// not paused.
    pub fn owners<'a>(
        &'a self,
        members: &'a [AgentId],
        epoch: EpochSeq,
        dataset: &'a str,
        contract: &'a ContentHash,
    ) -> impl Iterator<Item = (&'a AgentId, &'a Offered)> {
        members.iter().filter_map(move |member| {
            let presence = self.agents.get(member).filter(|p| p.epochs.contains(&epoch))?;
            let offered = presence.datasets.get(dataset)?.get(contract)?;
            (!offered.paused).then_some((member, offered))
        })
    }

    /// Forgets contracts that nobody offers any more and that are not `needed`: agents cannot fill this memory.
    pub(crate) fn forget_contracts(&mut self, needed: &BTreeSet<ContentHash>) {
        let offered = self.agents.values().flat_map(|presence| presence.datasets.values());
        let offered: BTreeSet<ContentHash> = offered.flat_map(|versions| versions.keys().copied()).collect();
        self.contracts
            .retain(|hash, _| offered.contains(hash) || needed.contains(hash));
    }

    fn read(&mut self, offers: Vec<Offer>) -> (BTreeMap<String, BTreeMap<ContentHash, Offered>>, Vec<Refused>) {
        let mut datasets: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
        let mut faults = Vec::new();
        for offer in offers {
            let contract = match Contract::from_canonical_json(&offer.contract_json) {
                Ok(contract) if contract.name == offer.dataset => contract,
                Ok(contract) => {
                    let text = format!(
                        "offer of `{}` carries the contract of `{}`",
                        offer.dataset, contract.name
                    );
                    faults.push(Refusal::new(codes::OTHER_CONTRACT, text).into());
                    continue;
                }
                Err(error) => {
                    let text = format!("offer of `{}` carries no valid contract: {error}", offer.dataset);
                    faults.push(Refusal::new(codes::OTHER_CONTRACT, text).into());
                    continue;
                }
            };
            let hash = contract.hash();
            self.contracts.entry(hash).or_insert_with(|| Arc::new(contract));
            let offered = Offered {
                snapshot: offer.snapshot,
                min_cohort: offer.min_cohort,
                paused: offer.paused,
                budget: offer.budget,
                left_for: offer.left_for,
                admitted: offer.admitted,
            };
            datasets.entry(offer.dataset).or_default().insert(hash, offered);
        }
        (datasets, faults)
    }
}
