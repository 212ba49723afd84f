//! Trials on their way: the words of an analyst to every owner that could be asked, and the ways of their decisions back. Nothing is
//! durable and nothing is decided here; what an owner does not say in time stays unsaid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use governance::contract::Visibility;
use governance::{Request, SignedTrial};

use super::shown::Reader;
use super::{Coordinator, Turn};
use crate::codes;
use crate::ids::{AgentId, JobId};
use crate::message::{ToAgent, Trial, TrialAnswer};
use crate::workload::Refusal;

/// Trials of one analyst that are under way at a time, and of one organisation. There is no bound for all of them: nobody's trials keep
/// anybody else's out.
const OPEN: usize = 2;
const OF_ORGANISATION: usize = 8;
/// How long an owner may take: it derives a plan and decides.
const PATIENCE_MS: u64 = 10_000;

#[derive(Default)]
pub(crate) struct Trials {
    open: BTreeMap<JobId, Open>,
}

struct Open {
    analyst: String,
    organisation: String,
    /// With what they said.
    owners: BTreeMap<AgentId, Option<TrialAnswer>>,
    waiting: BTreeSet<AgentId>,
    deadline_ms: u64,
}

/// What came back of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    pub id: JobId,
    /// Every owner that was asked; none: it did not say.
    pub owners: Vec<(AgentId, Option<TrialAnswer>)>,
}

impl Trials {
    pub(crate) fn wake_at_ms(&self) -> Option<u64> {
        self.open.values().map(|open| open.deadline_ms).min()
    }
}

impl Coordinator {
    /// Sends a trial to the owners that it is about; what they say comes with a later step.
    pub(super) fn explain(&mut self, signed: SignedTrial, turn: &mut Turn) -> Result<JobId, Refusal> {
        let request = signed.verify(&self.roster, turn.now_ms).map_err(|error| {
            Refusal::new(codes::BAD_REQUEST, error.to_string()).remedy("`sotto doctor` compares keys and clocks")
        })?;
        self.is_known_kind(&request)?;
        self.may_name(&request)?;
        let id = JobId::of(&signed.hash().0);
        let organisation = self.asking(&request.analyst).unwrap_or_default().to_owned();
        let open = |is: &dyn Fn(&Open) -> bool| self.trials.open.values().filter(|open| is(open)).count();
        let own = open(&|open| open.analyst == request.analyst);
        let all = open(&|open| open.organisation == organisation);
        if self.trials.open.contains_key(&id) || own >= OPEN || all >= OF_ORGANISATION {
            let text = format!(
                "this trial is under way, or too many are: expected fewer than {OPEN} of an analyst, found {own}, and fewer than {OF_ORGANISATION} of an organisation"
            );
            return Err(Refusal::new(codes::TRIALS_OPEN, text));
        }
        let (epoch, names) = self.serving_epoch().map(|live| (live.seq, live.names.clone()))?;
        let owners: BTreeSet<AgentId> = self.could_be_asked(&request).into_iter().cloned().collect();
        let holds = |agent: &AgentId| {
            self.catalogue
                .agent(agent)
                .is_some_and(|agent| agent.epochs.contains(&epoch))
        };
        let owners: BTreeSet<AgentId> = names
            .into_iter()
            .filter(|name| owners.contains(name) && holds(name))
            .collect();
        if owners.is_empty() {
            let text = format!(
                "no participant that offers `{}` is in the epoch that serves now",
                request.dataset
            );
            return Err(Refusal::new(codes::TOO_FEW, text).remedy("`sotto participant` shows who is missing"));
        }
        let trial = Trial {
            id,
            trial: Arc::new(signed),
            epoch,
            s_min: self.cohort_of(&request, &owners),
            timeout_ms: self.config.limits.round_ms(),
        };
        for owner in &owners {
            turn.send(owner, ToAgent::Trial(trial.clone()));
        }
        let open = Open {
            analyst: request.analyst,
            organisation,
            owners: owners.iter().map(|owner| (owner.clone(), None)).collect(),
            waiting: owners,
            deadline_ms: turn.now_ms + PATIENCE_MS,
        };
        self.trials.open.insert(id, open);
        Ok(id)
    }

    /// An owner said how it would decide. What nobody asked it is nobody's.
    pub(super) fn trial_answered(&mut self, from: &AgentId, id: JobId, answer: TrialAnswer) {
        if let Some(open) = self.trials.open.get_mut(&id)
            && open.waiting.remove(from)
        {
            open.owners.insert(from.clone(), Some(answer));
        }
    }

    pub(super) fn trials_left(&mut self, agent: &AgentId) {
        self.trials.open.values_mut().for_each(|open| {
            open.waiting.remove(agent);
        });
    }

    /// Hands back what is complete, or has waited long enough.
    pub(super) fn close_trials(&mut self, turn: &mut Turn) {
        let now_ms = turn.now_ms;
        let done = self
            .trials
            .open
            .extract_if(.., |_, open| open.waiting.is_empty() || open.deadline_ms <= now_ms);
        let explained = done.map(|(id, open)| Explained {
            id,
            owners: open.owners.into_iter().collect(),
        });
        turn.step.explained.extend(explained);
    }

    /// Owners that show the contract to this analyst, whatever they have done with it since: a paused owner says that it is paused.
    fn could_be_asked<'a>(&'a self, request: &'a Request) -> BTreeSet<&'a AgentId> {
        let shown = self.shown_to(Reader::Analyst(&request.analyst), self.now_ms);
        let named = shown.filter(|shown| shown.contract == request.contract && shown.level == Visibility::Schema);
        named.map(|shown| shown.agent).collect()
    }

    /// As a round would have it now, or as these owners would want it if too few of them take part.
    fn cohort_of(&self, request: &Request, owners: &BTreeSet<AgentId>) -> u32 {
        if let Ok((terms, _)) = self.terms_of(request) {
            return terms.s_min;
        }
        let least = |agent: &AgentId| {
            let versions = self.catalogue.agent(agent)?.datasets.get(&request.dataset)?;
            versions.get(&request.contract).map(|offered| offered.min_cohort)
        };
        let asked = owners.iter().filter_map(least).max().unwrap_or_default();
        let threshold = self.epochs.serving().map_or(0, |live| live.members.threshold() as u32);
        asked.max(threshold).max(self.roster.min_cohort)
    }
}
