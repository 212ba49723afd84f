//! What somebody may know of what is offered, and what may be asked under it. A contract says what it shows to whoever is not admitted;
//! who is admitted, each owner says for itself, by its own list or by a grant. What is not shown does not exist: the same words
//! answer a question about it and about a name that nobody has.

use std::collections::BTreeSet;
use std::sync::Arc;

use governance::act::By;
use governance::contract::{Visibility, versions};
use governance::grant::Unlogged;
use governance::log::event::Role;
use governance::register::ContractStanding;
use governance::{Act, ContentHash, Contract, Request, Status};

use super::{Coordinator, Offered};
use crate::codes;
use crate::ids::AgentId;
use crate::workload::Refusal;

/// Who reads the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader<'a> {
    Analyst(&'a str),
    /// Somebody who speaks for this organisation: sees all of its own data, and of others' what anybody sees.
    Steward(&'a str),
}

/// One owner's version of a dataset, and how much of it somebody sees.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub agent: &'a AgentId,
    /// Its organisation.
    pub owner: &'a str,
    pub dataset: &'a str,
    pub contract: ContentHash,
    pub offered: &'a Offered,
    pub level: Visibility,
    /// Where the owner's acts have the version.
    pub standing: ContractStanding,
}

impl Coordinator {
    /// All versions of all datasets that somebody sees anything of, owner by owner; retired ones, too.
    pub fn shown_to<'a>(&'a self, reader: Reader<'a>, now_ms: u64) -> impl Iterator<Item = Shown<'a>> {
        let granted = match reader {
            Reader::Analyst(analyst) => self.granted(analyst, now_ms),
            Reader::Steward(_) => BTreeSet::new(),
        };
        let offers = self.catalogue.agents().flat_map(|(agent, presence)| {
            presence.datasets.iter().flat_map(move |(name, versions)| {
                versions
                    .iter()
                    .map(move |(contract, offered)| (agent, name.as_str(), contract, offered))
            })
        });
        offers.filter_map(move |(agent, dataset, contract, offered)| {
            let owner = self.roster.agent(agent.as_str())?.organisation.as_str();
            let admitted = match reader {
                Reader::Analyst(analyst) => offered.admitted.contains(analyst) || granted.contains(&(owner, dataset)),
                Reader::Steward(organisation) => owner == organisation,
            };
            let level = self.catalogue.contract(contract)?.visibility.shown(admitted);
            (level != Visibility::Hidden).then(|| Shown {
                agent,
                owner,
                dataset,
                contract: *contract,
                offered,
                level,
                standing: self.books.register().standing(owner, dataset, contract, now_ms),
            })
        })
    }

    /// Owners and datasets that an analyst has an active grant for.
    fn granted(&self, analyst: &str, now_ms: u64) -> BTreeSet<(&str, &str)> {
        let Some(entry) = self.roster.analyst(analyst) else {
            return BTreeSet::new();
        };
        let who = By {
            role: Role::Analyst,
            id: entry.id.clone(),
            organisation: entry.organisation.clone(),
        };
        let register = self.books.register();
        let ids: Vec<ContentHash> = register.grants(&who).map(|view| view.grant.id).collect();
        let grants = ids.into_iter().filter_map(|id| register.any_grant(&id));
        let lines = grants.flat_map(|grant| &grant.lines);
        let active = lines.filter(|(_, line)| line.status(now_ms, &Unlogged) == Status::Active);
        active
            .map(|(owner, line)| (owner.as_str(), line.terms().dataset.as_str()))
            .collect()
    }

    /// Owners that answer this request's analyst under the contract that it names, as far as contracts and acts say.
    pub(super) fn answering<'a>(&'a self, request: &'a Request) -> BTreeSet<&'a AgentId> {
        let shown = self.shown_to(Reader::Analyst(&request.analyst), self.now_ms);
        let answers = shown.filter(|shown| {
            shown.contract == request.contract && shown.level == Visibility::Schema && shown.standing.is_served()
        });
        answers.map(|shown| shown.agent).collect()
    }

    /// Whether a request may name this contract of this dataset, as far as its analyst can know. With too few agents online
    /// nobody can say what there is, and the job waits.
    pub(super) fn may_name(&self, request: &Request) -> Result<(), Refusal> {
        let Request {
            analyst,
            dataset,
            contract,
            ..
        } = request;
        let shown = self.shown_to(Reader::Analyst(analyst), self.now_ms);
        let shown: Vec<Shown<'_>> = shown.filter(|shown| shown.dataset == dataset).collect();
        let readable = || shown.iter().filter(|shown| shown.level == Visibility::Schema);
        let mut named = readable().filter(|shown| shown.contract == *contract).peekable();
        if named.peek().is_some() {
            return match named.any(|shown| shown.standing.is_served()) || self.is_served_elsewhere(dataset, contract) {
                true => Ok(()),
                false => Err(self.not_active(dataset, contract, readable())),
            };
        }
        if readable().next().is_some() {
            let text = format!("the contract of `{dataset}` is not the one that the request names");
            return Err(Refusal::new(codes::OTHER_CONTRACT, text).remedy(self.ask_under(dataset, readable())));
        }
        if !shown.is_empty() {
            let text = format!("`{dataset}` is listed only: its owners show its contract to whom they admit");
            let remedy = "`sotto dataset` names its owners and purposes: ask them, or for a grant";
            return Err(Refusal::new(codes::LISTED_ONLY, text).remedy(remedy));
        }
        let online = self.catalogue.agents().count();
        if online > 0 && online >= self.roster.min_cohort as usize {
            let text = format!("no participant offers a dataset `{dataset}`");
            return Err(Refusal::new(codes::UNKNOWN_DATASET, text).remedy("`sotto dataset` lists what is offered"));
        }
        Ok(())
    }

    /// Whether the acts of an owner that is not here now have the version served: then it is worth waiting for.
    fn is_served_elsewhere(&self, dataset: &str, contract: &ContentHash) -> bool {
        use ContractStanding::{Active, Deprecated};
        let standing = |owner: &str| self.books.register().standing(owner, dataset, contract, self.now_ms);
        let mut owners = self.roster.agents.iter().map(|agent| agent.organisation.as_str());
        owners.any(|owner| matches!(standing(owner), Active | Deprecated { .. }))
    }

    /// A version that is proposed everywhere it is offered, or was retired.
    fn not_active<'a>(
        &self,
        dataset: &str,
        contract: &ContentHash,
        readable: impl Iterator<Item = &'a Shown<'a>>,
    ) -> Refusal {
        let readable: Vec<&Shown<'_>> = readable.collect();
        let retired = |shown: &&&Shown<'_>| shown.contract == *contract && shown.standing == ContractStanding::Retired;
        let stands = match readable.iter().find(retired) {
            Some(_) => "is retired: its notice has ended",
            None => "is proposed, and not active yet",
        };
        let version = self.catalogue.contract(contract).map(|known| known.version.clone());
        let text = format!("version {} of `{dataset}` {stands}", version.unwrap_or_default());
        Refusal::new(codes::NOT_ACTIVE, text).remedy(self.ask_under(dataset, readable.into_iter()))
    }

    /// The newest version that is active, as a remedy.
    fn ask_under<'a>(&self, dataset: &str, readable: impl Iterator<Item = &'a Shown<'a>>) -> String {
        use ContractStanding::{Active, Configured};
        let active = readable.filter(|shown| matches!(shown.standing, Active | Configured));
        let known = active.filter_map(|shown| self.catalogue.contract(&shown.contract));
        let newest = known.max_by(|a, b| versions::compare(&a.version, &b.version));
        match newest {
            Some(newest) => format!(
                "ask under version {}, which is active: `sotto dataset show {dataset}@{}`",
                newest.version, newest.version
            ),
            None => format!("no version of `{dataset}` is active now: ask its owners"),
        }
    }

    /// Whether an act moves a contract that it may move: one that the signer's own agent offers, and no question breaks unawares.
    pub(super) fn may_move(&self, act: &Act) -> Result<(), Refusal> {
        let owner = act.by.organisation.as_str();
        let offered = |hash: &ContentHash| -> Option<Arc<Contract>> {
            let own = self.catalogue.agents().filter(|(agent, _)| {
                let entry = self.roster.agent(agent.as_str());
                entry.is_some_and(|entry| entry.organisation == owner)
            });
            let mut versions = own.flat_map(|(_, presence)| presence.datasets.values());
            let offers = versions.any(|versions| versions.contains_key(hash));
            offers.then(|| self.catalogue.contract(hash).cloned()).flatten()
        };
        let moved = self.books.register().may_move(act, &offered);
        moved.map_err(|error| Refusal::new(codes::CONTRACT_MOVE, error.to_string()).remedy(error.remedy()))
    }
}
