//! The judgement over a question: everything that is looked at before a slot, a ledger or data is touched. A round that starts and a trial
//! come here alike, so what `sotto explain` shows is what happens. None of it depends on data.

use governance::decision::{ColumnsRead, Path, Question, Verdict};
use governance::{ContentHash, Request};

use crate::codes;
use crate::context::Planned;
use crate::ids::EpochSeq;
use crate::message::RoundStart;
use crate::participant::payer::Payer;
use crate::participant::{ConsentTerms, Dataset, Participant};
use crate::workload::{CohortTerms, Refusal};

/// What helps where two programs do not say the same.
pub(super) const OTHER_VERSIONS: &str = "`sotto doctor` compares versions; else ask the coordinator's operator";

/// A question, and the round that it would be answered in.
pub(in crate::participant) struct Asked<'a> {
    pub request: &'a Request,
    pub terms: CohortTerms,
    /// Of the epoch.
    pub threshold: u32,
    pub timeout_ms: u64,
    pub now_ms: u64,
}

/// On what occasion.
pub(in crate::participant) enum Asking<'a> {
    /// A round starts: the plan is kept, and the round must fit what was answered before.
    Round { hash: ContentHash, start: &'a RoundStart },
    /// Nothing happens, and nothing is kept.
    Trial,
}

/// What a question that may be answered is answered with.
pub(in crate::participant) struct Judged {
    pub dataset: Dataset,
    pub planned: Planned,
    /// That admits the analyst, where the owner's own list does not.
    pub grant: Option<ContentHash>,
}

impl Participant {
    /// Whether this agent answers anything now, and with which members.
    pub(in crate::participant) fn ready(
        &self,
        epoch: EpochSeq,
        path: &mut Path,
        now_ms: u64,
    ) -> Result<std::sync::Arc<secagg::Members>, Refusal> {
        let live = self.epochs.live(epoch).ok_or_else(|| {
            Refusal::new(codes::NO_EPOCH, format!("epoch {epoch} is not live here"))
                .remedy("the next epoch takes this participant in: ask again in a moment")
        });
        let live = held(path, "epoch", live)?;
        noted(path, "log", self.log_current(now_ms), |()| {
            "the transparency log's head was seen, and holds".to_owned()
        })?;
        // Threshold, colluders and members are the roster's: an epoch of an older one may still hold a member that governance removed.
        if live.members.roster_hash().0 != self.roster_hash.0 {
            let text = format!("epoch {epoch} was made under an older roster");
            return held(
                path,
                "epoch",
                Err(Refusal::new(codes::NO_EPOCH, text).remedy("open a new epoch")),
            );
        }
        noted(path, "fresh", self.is_fresh(now_ms), |()| {
            "no revocation can have been missed".to_owned()
        })?;
        Ok(live.members.clone())
    }

    pub(in crate::participant) fn judge(
        &mut self,
        asked: &Asked<'_>,
        asking: Asking<'_>,
        path: &mut Path,
    ) -> Result<Judged, Refusal> {
        let Asked { request, now_ms, .. } = *asked;
        let s_min = asked.terms.s_min;
        let dataset = noted(path, "served", self.served(request), |dataset| {
            format!("`{}` is served here, and not paused", dataset.contract.name)
        })?;
        let cohort = self.cohort_allowed(asked, &dataset);
        noted(path, "cohort", cohort, |least| {
            format!("at least {s_min} contributions in a sum; {least} are asked for here")
        })?;
        // Whoever is not admitted makes nobody work: these rules need no plan.
        let grant = self.decide(request, &dataset, None, (s_min, now_ms), path)?;
        held(path, "limits", self.counted(request, &asking, now_ms))?;
        let budgeted = self.budgeted(&dataset.population, Payer { request, grant });
        held(path, "budget", budgeted)?;
        let planned = match &asking {
            Asking::Round { hash, .. } => self.planned(*hash, request, &dataset, asked.terms),
            Asking::Trial => self.derived(request, &dataset, asked.terms),
        };
        let planned = noted(path, "plan", planned, |planned| {
            let (rounds, numbers) = (planned.plan.rounds, planned.plan.dim);
            format!(
                "derived here: rounds {rounds}, numbers a round {numbers}, {}",
                planned.hash
            )
        })?;
        if let Asking::Round { start, .. } = &asking
            && planned.hash.0 != start.plan_hash
        {
            let text = "the plan is not the one that follows from the request";
            return Err(Refusal::new(codes::OTHER_PLAN, text).remedy(OTHER_VERSIONS));
        }
        let noise = self.noise_allowed(&planned, request, &dataset, &asking);
        noted(path, "noise", noise, |()| match planned.plan.variance {
            0 => "none: the owner allows it".to_owned(),
            _ => "drawn here, a share of its own".to_owned(),
        })?;
        if let Asking::Round { hash, start } = &asking {
            self.check_token(*hash, request, &planned, start)?;
        }
        held(path, "tick", self.in_time(asked.timeout_ms))?;
        let grant = self.decide(request, &dataset, Some(&planned), (s_min, now_ms), path)?;
        path.passed("consent", || match self.config.consent.terms(&request.dataset) {
            ConsentTerms::NotAsked => "not asked for this dataset".to_owned(),
            ConsentTerms::Required { publication: None } => {
                "required of every unit; nothing is published yet".to_owned()
            }
            ConsentTerms::Required { publication: Some(n) } => {
                format!("required of every unit, for this purpose; publication {n}")
            }
        });
        Ok(Judged {
            dataset,
            planned,
            grant,
        })
    }

    /// The fewest contributions that this agent lets a sum have.
    fn cohort_allowed(&self, asked: &Asked<'_>, dataset: &Dataset) -> Result<u32, Refusal> {
        let (s_min, n) = (asked.terms.s_min, asked.terms.n);
        let least = asked.threshold.max(self.roster.min_cohort).max(dataset.min_cohort);
        if s_min < least || s_min > n {
            let text = format!("smallest cohort: expected {least} to {n}, got {s_min}");
            return Err(Refusal::new(codes::COHORT_TOO_SMALL, text)
                .remedy("more participants have to be online: `sotto participant` shows who is missing"));
        }
        Ok(least)
    }

    /// Counts a request the first time that it is admitted; a trial only looks.
    fn counted(&mut self, request: &Request, asking: &Asking<'_>, now_ms: u64) -> Result<(), Refusal> {
        let analyst = self.roster.analyst(&request.analyst);
        let organisation = analyst.map_or("", |analyst| analyst.organisation.as_str());
        let (analyst, limits) = (request.analyst.as_str(), &self.config.limits);
        match asking {
            Asking::Trial => (self.asked.less_one(analyst, organisation, limits, now_ms)).map(drop),
            Asking::Round { hash, .. } => {
                let run = self.runs.entry(*hash).or_default();
                if !run.counted {
                    self.asked.take(analyst, organisation, limits, now_ms)?;
                    run.counted = true;
                }
                Ok(())
            }
        }
    }

    fn noise_allowed(
        &self,
        planned: &Planned,
        request: &Request,
        dataset: &Dataset,
        asking: &Asking<'_>,
    ) -> Result<(), Refusal> {
        if planned.plan.variance > 0 {
            return Ok(());
        }
        if dataset.without_noise.is_empty() {
            let text = format!("`{}` is not answered without noise here", request.dataset);
            return Err(Refusal::new(codes::WITHOUT_NOISE, text)
                .remedy("leave `non_private` out, or every owner sets `without_noise_approved_by`"));
        }
        // Two sums of one round without noise differ by just the parts of whoever is in one of them.
        if let Asking::Round { hash, start } = asking
            && start.round < self.runs.get(hash).map_or(0, |run| run.bare_round)
        {
            let text = format!("round {} was answered without noise before", start.round);
            return Err(
                Refusal::new(codes::WITHOUT_NOISE, text).remedy("ask anew: a round without noise is never repeated")
            );
        }
        Ok(())
    }

    /// The dataset under just the contract that the analyst named.
    pub(super) fn served(&self, request: &Request) -> Result<Dataset, Refusal> {
        let found = self
            .datasets
            .iter()
            .find(|(hash, dataset)| *hash == request.contract && dataset.contract.name == request.dataset);
        let Some((_, dataset)) = found else {
            let text = format!("`{}` is not served here under this contract", request.dataset);
            return Err(Refusal::new(codes::NOT_SERVED, text).remedy("fetch the current contract and ask again"));
        };
        // What acts suspended the rules refuse, and say who suspended it.
        if dataset.paused || self.books.is_paused(&request.dataset) {
            let text = format!("`{}` is paused by its owner", request.dataset);
            return Err(Refusal::new(codes::PAUSED, text).remedy("ask again later"));
        }
        Ok(dataset.clone())
    }

    /// A vector that waits for its tick must leave before the round ends: else every round would be charged for nothing.
    fn in_time(&self, timeout_ms: u64) -> Result<(), Refusal> {
        match self.config.limits.tick_ms {
            Some(tick_ms) if tick_ms.saturating_mul(2) >= timeout_ms => {
                let text = format!("a round of {timeout_ms} ms is too short for this owner's tick of {tick_ms} ms");
                Err(Refusal::new(codes::RULES, text).remedy("the owner lowers tick_ms below half of the round's time"))
            }
            _ => Ok(()),
        }
    }

    /// The plan as this agent derives it itself, once per request and terms.
    fn planned(
        &mut self,
        hash: ContentHash,
        request: &Request,
        dataset: &Dataset,
        terms: CohortTerms,
    ) -> Result<Planned, Refusal> {
        let known = self.runs.get(&hash).and_then(|run| run.planned.as_ref());
        if let Some(planned) = known.filter(|planned| planned.terms == terms) {
            return Ok(planned.clone());
        }
        let planned = self.derived(request, dataset, terms)?;
        self.runs.entry(hash).or_default().planned = Some(planned.clone());
        Ok(planned)
    }

    fn derived(&self, request: &Request, dataset: &Dataset, terms: CohortTerms) -> Result<Planned, Refusal> {
        let workload = self.config.workloads.get(&request.kind).ok_or_else(|| {
            let text = format!("unknown kind of request: `{}`", request.kind);
            Refusal::new(codes::UNKNOWN_KIND, text).remedy(OTHER_VERSIONS)
        })?;
        let plan = workload.plan(request, &dataset.contract, &terms)?;
        if plan.bounds.dim() != plan.dim || plan.rounds == 0 {
            return Err(Refusal::new(codes::OTHER_PLAN, "the plan contradicts itself").remedy(OTHER_VERSIONS));
        }
        Ok(Planned::new(plan, &dataset.contract, terms))
    }

    /// The owner's rules, and the grant that admits the analyst if the owner's list does not. Without a plan yet: only whether anything is.
    pub(super) fn decide(
        &self,
        request: &Request,
        dataset: &Dataset,
        planned: Option<&Planned>,
        (s_min, now_ms): (u32, u64),
        path: &mut Path,
    ) -> Result<Option<ContentHash>, Refusal> {
        let analyst = self.roster.analyst(&request.analyst).ok_or_else(|| {
            Refusal::new(codes::REQUEST_REFUSED, "the analyst is not in the roster")
                .remedy("`sotto doctor` says who is")
        })?;
        let (plan, unknown) = (planned.map(|planned| &planned.plan), ColumnsRead::default());
        let question = Question {
            request,
            contract: &dataset.contract,
            contract_hash: request.contract,
            organisation: &analyst.organisation,
            owner: self.organisation(),
            consortium: &self.roster.consortium,
            register: self.books.heard().register(),
            witnessed: self.books.log(),
            columns: planned.map_or(&unknown, |planned| &planned.columns),
            aggregates: plan.map_or(&[], |plan| &plan.aggregates),
            noise: plan.is_none_or(|plan| plan.variance != 0),
            s_min,
            now_ms,
        };
        let rules = &self.config.rules;
        let mut way = path.fork();
        let verdict = match plan {
            None => rules.walk_early(&question, &mut way),
            Some(_) => rules.walk(&question, &mut way),
        };
        // What the rules say without a plan they say again with it: only a no is worth telling twice.
        if plan.is_some() || matches!(verdict, Verdict::Deny { .. }) {
            path.join(way);
        }
        match verdict {
            Verdict::Allow { grant } => Ok(grant),
            Verdict::Deny { rule, reason, remedy } => {
                path.refused(rule, || reason.clone());
                let code = match rule.split_once('.') {
                    Some(("grant", "unwitnessed")) => codes::UNWITNESSED,
                    Some(("grant", "noise")) => codes::WITHOUT_NOISE,
                    Some(("grant", _)) => codes::NO_GRANT,
                    Some(("suspended", _)) => codes::SUSPENDED_HERE,
                    _ => codes::RULES,
                };
                Err(Refusal::new(code, format!("{reason} [{rule}]")).remedy(remedy))
            }
        }
    }
}

/// What a rule said: a refusal, or what is to be told of it if it said yes.
pub(in crate::participant) fn noted<T>(
    path: &mut Path,
    rule: &'static str,
    said: Result<T, Refusal>,
    detail: impl FnOnce(&T) -> String,
) -> Result<T, Refusal> {
    if let Ok(value) = &said {
        path.passed(rule, || detail(value));
    }
    held(path, rule, said)
}

/// What a rule said that is worth telling only if it refuses.
pub(in crate::participant) fn held<T>(
    path: &mut Path,
    rule: &'static str,
    said: Result<T, Refusal>,
) -> Result<T, Refusal> {
    if let Err(refusal) = &said {
        path.refused(rule, || refusal.message.clone());
    }
    said
}
