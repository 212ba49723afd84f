//! The catalogue as one person may read it: datasets, version by version and owner by owner, and who is online. What an owner does
//! not show to this person is absent, here and in the list of participants. Runs on the driver's thread.

use std::collections::{BTreeMap, BTreeSet};

use engine::AgentId;
use engine::coordinator::{Reader, Shown};
use engine::message::BudgetView;
use governance::ContentHash;
use governance::act::By;
use governance::contract::Visibility;
use governance::log::event::Role as Signer;
use governance::register::ContractStanding;
use proto::v1;

use crate::driver::{Desk, now_ms};

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    Analyst(String),
    /// Of this organisation.
    Steward(String),
}

impl From<By> for Caller {
    fn from(by: By) -> Self {
        match by.role {
            Signer::Steward => Self::Steward(by.organisation),
            _ => Self::Analyst(by.id),
        }
    }
}

impl Caller {
    fn reader(&self) -> Reader<'_> {
        match self {
            Self::Analyst(name) => Reader::Analyst(name),
            Self::Steward(organisation) => Reader::Steward(organisation),
        }
    }
}

/// What is offered now; budgets as far as an analyst may use them. A retired version is for its own steward only.
pub fn datasets(desk: &Desk<'_>, caller: &Caller) -> v1::Datasets {
    let mut sites: BTreeMap<(&str, ContentHash), Vec<v1::DatasetSite>> = BTreeMap::new();
    let mut listed: BTreeMap<&str, Listed> = BTreeMap::new();
    for shown in visible(desk, caller) {
        match shown.level {
            Visibility::Schema => {
                let place = sites.entry((shown.dataset, shown.contract)).or_default();
                place.push(site(&shown, caller));
            }
            Visibility::Listed => listed.entry(shown.dataset).or_default().add(desk, &shown),
            Visibility::Hidden => {}
        }
    }
    let dataset = |((name, hash), sites): ((&str, ContentHash), _)| {
        let contract = desk.engine.contract(&hash)?;
        Some(v1::Dataset {
            name: name.to_owned(),
            contract_json: contract.canonical_json().into_bytes().into(),
            contract_hash: hash.0.to_vec().into(),
            sites,
        })
    };
    let listed = listed.into_iter().map(|(name, listed)| v1::ListedDataset {
        name: name.to_owned(),
        owners: listed.owners.into_iter().collect(),
        purposes: listed.purposes.into_iter().collect(),
    });
    v1::Datasets {
        datasets: sites.into_iter().filter_map(dataset).collect(),
        listed: listed.collect(),
    }
}

/// Every agent of the roster, online or not, with the names of its datasets that the caller may know of.
pub fn participants(desk: &Desk<'_>, caller: &Caller) -> Vec<v1::Participant> {
    let mut names: BTreeMap<&AgentId, BTreeSet<&str>> = BTreeMap::new();
    for shown in visible(desk, caller) {
        names.entry(shown.agent).or_default().insert(shown.dataset);
    }
    let epoch = desk.engine.epoch().map(|epoch| epoch.epoch);
    let participant = |entry: &governance::Agent| {
        let agent = AgentId::from(entry.id.as_str());
        let presence = desk.engine.catalogue().agent(&agent);
        let datasets = names.get(&agent).into_iter().flatten();
        v1::Participant {
            id: entry.id.clone(),
            organisation: entry.organisation.clone(),
            online: presence.is_some(),
            in_epoch: presence
                .zip(epoch)
                .is_some_and(|(presence, epoch)| presence.epochs.contains(&epoch)),
            software: desk.links.software(&agent).unwrap_or_default().to_owned(),
            datasets: datasets.map(|name| (*name).to_owned()).collect(),
        }
    };
    desk.engine.roster().agents.iter().map(participant).collect()
}

/// What is known of a dataset that is listed only: whose it is and what it is for.
#[derive(Default)]
struct Listed {
    owners: BTreeSet<String>,
    purposes: BTreeSet<String>,
}

impl Listed {
    fn add(&mut self, desk: &Desk<'_>, shown: &Shown<'_>) {
        self.owners.insert(shown.owner.to_owned());
        let contract = desk.engine.contract(&shown.contract);
        let purposes = contract
            .into_iter()
            .flat_map(|contract| contract.purposes.iter().cloned());
        self.purposes.extend(purposes);
    }
}

fn visible<'a>(desk: &'a Desk<'_>, caller: &'a Caller) -> impl Iterator<Item = Shown<'a>> {
    let shown = desk.engine.shown_to(caller.reader(), now_ms());
    shown.filter(move |shown| {
        let own = matches!(caller, Caller::Steward(organisation) if shown.owner == organisation);
        own || shown.standing != ContractStanding::Retired
    })
}

fn site(shown: &Shown<'_>, caller: &Caller) -> v1::DatasetSite {
    let offered = shown.offered;
    let budget = offered.budget.map(|mut budget: BudgetView| {
        if let Caller::Analyst(analyst) = caller {
            let own = offered.left_for.get(analyst).copied();
            budget.epsilon_left = own.map_or(budget.epsilon_left, |own| own.min(budget.epsilon_left));
        }
        budget.into()
    });
    v1::DatasetSite {
        participant: shown.agent.as_str().to_owned(),
        organisation: shown.owner.to_owned(),
        online: true,
        paused: offered.paused,
        min_cohort: offered.min_cohort,
        budget,
        stage: shown.standing.name().to_owned(),
        served_until_ms: shown.standing.served_until_ms(),
    }
}
