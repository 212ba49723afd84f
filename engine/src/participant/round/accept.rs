//! Round step 1: is this the analyst's own request, asked under terms this owner allows, of data that is served, within budget, and
//! never answered before? Then Accept; else Refuse with the reason, none of which depends on data.

use std::sync::Arc;

use governance::decision::{Question, Verdict};
use governance::{ContentHash, Request};
use secagg::Message;

use super::{Part, Phase, Round};
use crate::codes;
use crate::context::{Planned, context_hash};
use crate::ids::JobId;
use crate::message::{RoundStart, ToCoordinator};
use crate::participant::payer::Payer;
use crate::participant::{Dataset, Participant, Turn};
use crate::refused::Refused;
use crate::step::ParticipantEvent;
use crate::workload::{CohortTerms, Plan, Refusal};

impl Participant {
    pub(in crate::participant) fn round_start(&mut self, start: RoundStart, turn: &mut Turn<'_>) {
        let at = start.at;
        if self.rounds.contains_key(&at) {
            return; // a duplicate: what was said stands
        }
        if let Err(refusal) = self.try_accept(start.clone(), turn) {
            let refused = Refused::from(refusal);
            self.log_deny(start.request.hash(), &refused, turn);
            turn.event(ParticipantEvent::Refused {
                job: start.job,
                at,
                refused: refused.clone(),
            });
            turn.send(ToCoordinator::Refuse { at, refused });
        }
    }

    fn try_accept(&mut self, start: RoundStart, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let RoundStart {
            at,
            job,
            round,
            attempt,
            s_min,
            ..
        } = start;
        let live = self
            .epochs
            .live(at.epoch)
            .ok_or_else(|| Refusal::new(codes::NO_EPOCH, format!("epoch {} is not live here", at.epoch)))?;
        self.log_current()?;
        // Threshold, colluders and members are the roster's: an epoch of an older one may still hold a member that governance removed.
        if live.members.roster_hash().0 != self.roster_hash.0 {
            let text = format!("epoch {} was made under an older roster", at.epoch);
            return Err(Refusal::new(codes::NO_EPOCH, text).remedy("open a new epoch"));
        }
        if !live.epoch.is_unused(at.slot) {
            return Err(Refusal::new(codes::OUT_OF_ORDER, format!("{at} was used before")));
        }
        let members = live.members.clone();
        let hash = start.request.hash();
        self.is_fresh(turn.now_ms)?;
        let request = self.verified(&start, hash, turn.now_ms)?;
        if job != JobId::of(&hash.0) {
            return Err(Refusal::new(
                codes::REQUEST_REFUSED,
                "the job is not that of the request",
            ));
        }
        let dataset = self.served(&request)?;
        let least = (members.threshold() as u32)
            .max(self.roster.min_cohort)
            .max(dataset.min_cohort);
        if s_min < least || s_min as usize > members.n() {
            let text = format!("smallest cohort: expected {least} to {}, got {s_min}", members.n());
            return Err(Refusal::new(codes::COHORT_TOO_SMALL, text));
        }
        let terms = CohortTerms {
            n: members.n() as u32,
            c: members.c() as u32,
            s_min,
        };
        // Whoever is not admitted makes nobody work: these rules need no plan.
        let grant = self.decide(&request, &dataset, None, s_min, turn.now_ms)?;
        self.counted(hash, &request, turn.now_ms)?;
        let payer = |grant| Payer {
            request: &request,
            grant,
        };
        self.budgeted(&dataset.population, payer(grant))?;
        let planned = self.planned(hash, &request, &dataset, terms)?;
        if planned.hash.0 != start.plan_hash {
            return Err(Refusal::new(
                codes::OTHER_PLAN,
                "the plan is not the one that follows from the request",
            ));
        }
        if planned.plan.variance == 0 && dataset.without_noise.is_empty() {
            let text = format!("`{}` is not answered without noise here", request.dataset);
            return Err(Refusal::new(codes::WITHOUT_NOISE, text)
                .remedy("leave `non_private` out, or every owner sets `without_noise_approved_by`"));
        }
        // Two sums of one round without noise differ by just the parts of whoever is in one of them.
        let bare_round = self.runs.get(&hash).map_or(0, |run| run.bare_round);
        if planned.plan.variance == 0 && round < bare_round {
            let text = format!("round {round} was answered without noise before");
            return Err(Refusal::new(codes::WITHOUT_NOISE, text));
        }
        self.check_token(hash, &request, &planned, &start)?;
        self.in_time(start.timeout_ms)?;
        let grant = self.decide(&request, &dataset, Some(&planned.plan), s_min, turn.now_ms)?;
        let link = self.linked(self.runs.get(&hash), &request, &dataset.contract, &planned, &start)?;
        self.reserve(hash, payer(grant), &dataset, &planned, (round, round + attempt), turn)?;
        self.log_allow(hash, payer(grant), turn);

        let context = context_hash(&start, &hash, &request.contract, &planned);
        let live = self
            .epochs
            .live_mut(at.epoch)
            .ok_or_else(|| Refusal::new(codes::NO_EPOCH, "the epoch is gone"))?;
        let accept = live
            .epoch
            .accept(at.slot, context)
            .map_err(|abort| Refusal::new(codes::ABORT, abort.to_string()))?;
        let Some(accept) = accept else { return Ok(()) };
        let run = self.runs.entry(hash).or_default();
        run.cursor = round + attempt + 1;
        let state = link.state();
        run.chain = Some(link);
        run.expires_at_ms = request.expires_at_ms;
        let patience_ms = start.timeout_ms.min(self.config.limits.round_timeout_ms);
        let part = Part {
            job,
            hash,
            grant,
            dataset: request.dataset.clone(),
            population: dataset.population,
            request,
            planned,
            round,
            attempt,
            state,
            receipt: None,
        };
        let deadline_ms = turn.now_ms.saturating_add(patience_ms);
        self.rounds.insert(
            at,
            Round {
                part: Some(part),
                phase: Phase::Accepted,
                deadline_ms,
            },
        );
        turn.event(ParticipantEvent::Accepted {
            job,
            round,
            attempt,
            at,
        });
        turn.send(ToCoordinator::Accept {
            at,
            accept: accept.encode().into(),
            grant,
        });
        Ok(())
    }

    /// The request, if its analyst signed it and it holds now. Verified once per request and roster.
    fn verified(&mut self, start: &RoundStart, hash: ContentHash, now_ms: u64) -> Result<Arc<Request>, Refusal> {
        let known = self.runs.get(&hash).and_then(|run| run.request.clone());
        if let Some(request) = known {
            if now_ms < request.expires_at_ms {
                return Ok(request);
            }
            return Err(Refusal::new(codes::REQUEST_REFUSED, "the request has expired"));
        }
        let request = start.request.verify(&self.roster, now_ms);
        let request = request.map_err(|error| Refusal::new(codes::REQUEST_REFUSED, error.to_string()))?;
        let request = Arc::new(request);
        let next = self.next_token(&hash);
        let run = self.runs.entry(hash).or_default();
        run.cursor = run.cursor.max(next);
        run.expires_at_ms = request.expires_at_ms;
        run.request = Some(request.clone());
        Ok(request)
    }

    /// Counts a request the first time that it is admitted.
    fn counted(&mut self, hash: ContentHash, request: &Request, now_ms: u64) -> Result<(), Refusal> {
        let run = self.runs.entry(hash).or_default();
        if !run.counted {
            let analyst = self.roster.analyst(&request.analyst);
            let organisation = analyst.map_or("", |analyst| analyst.organisation.as_str());
            self.asked
                .take(&request.analyst, organisation, &self.config.limits, now_ms)?;
            run.counted = true;
        }
        Ok(())
    }

    /// The lowest index that this agent may still answer.
    pub(super) fn next_token(&self, hash: &ContentHash) -> u32 {
        let ahead = self.runs.get(hash).and_then(|run| run.ahead.as_ref());
        ahead.map_or_else(|| self.books.tokens(hash).next, |token| token.index)
    }

    /// The dataset under just the contract that the analyst named.
    fn served(&self, request: &Request) -> Result<Dataset, Refusal> {
        let found = self
            .datasets
            .iter()
            .find(|(hash, dataset)| *hash == request.contract && dataset.contract.name == request.dataset);
        let Some((_, dataset)) = found else {
            let text = format!("`{}` is not served here under this contract", request.dataset);
            return Err(Refusal::new(codes::NOT_SERVED, text).remedy("fetch the current contract and ask again"));
        };
        if self.is_paused(dataset) {
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
        let run = self.runs.entry(hash).or_default();
        if let Some(planned) = run.planned.as_ref().filter(|planned| planned.terms == terms) {
            return Ok(planned.clone());
        }
        let workload = self.config.workloads.get(&request.kind).ok_or_else(|| {
            Refusal::new(
                codes::UNKNOWN_KIND,
                format!("unknown kind of request: `{}`", request.kind),
            )
        })?;
        let plan = workload.plan(request, &dataset.contract, &terms)?;
        if plan.bounds.dim() != plan.dim || plan.rounds == 0 {
            return Err(Refusal::new(codes::OTHER_PLAN, "the plan contradicts itself"));
        }
        Ok(run.planned.insert(Planned::new(plan, terms)).clone())
    }

    /// A token is answered once, and its index only rises: a replay can neither drain the budget nor average noise away.
    fn check_token(
        &self,
        hash: ContentHash,
        request: &Request,
        planned: &Planned,
        start: &RoundStart,
    ) -> Result<(), Refusal> {
        let (round, attempt) = (start.round, start.attempt);
        if self.books.tokens(&hash).closed {
            return Err(Refusal::new(codes::REPLAYED, "the request was closed here"));
        }
        if round >= planned.plan.rounds || attempt >= request.max_attempts {
            let (rounds, attempts) = (planned.plan.rounds, request.max_attempts);
            let text = format!("round {round} attempt {attempt}: expected below {rounds} and {attempts}");
            return Err(Refusal::new(codes::REPLAYED, text));
        }
        let cursor = self.runs.get(&hash).map_or(0, |run| run.cursor);
        if round + attempt < cursor {
            let text = format!(
                "round {round} attempt {attempt} was answered before, or set aside for by an agent that restarted"
            );
            return Err(Refusal::new(codes::TOKEN_USED, text));
        }
        if start.previous.is_some() != (round > 0) {
            return Err(Refusal::new(codes::OTHER_PLAN, "the state does not fit the round"));
        }
        Ok(())
    }

    /// The owner's rules, and the grant that admits the analyst if the owner's list does not. Without a plan yet: only whether anything is.
    pub(super) fn decide(
        &self,
        request: &Request,
        dataset: &Dataset,
        plan: Option<&Plan>,
        s_min: u32,
        now_ms: u64,
    ) -> Result<Option<ContentHash>, Refusal> {
        let analyst = self.roster.analyst(&request.analyst);
        let analyst =
            analyst.ok_or_else(|| Refusal::new(codes::REQUEST_REFUSED, "the analyst is not in the roster"))?;
        let question = Question {
            request,
            contract: &dataset.contract,
            contract_hash: request.contract,
            organisation: &analyst.organisation,
            owner: self.organisation(),
            consortium: &self.roster.consortium,
            register: self.books.heard().register(),
            witnessed: self.books.log(),
            columns: plan.map_or(&[], |plan| &plan.columns),
            aggregates: plan.map_or(&[], |plan| &plan.aggregates),
            s_min,
            now_ms,
        };
        let rules = &self.config.rules;
        let verdict = match plan {
            None => rules.decide_early(&question),
            Some(_) => rules.decide(&question),
        };
        match verdict {
            Verdict::Allow { grant } => Ok(grant),
            Verdict::Deny { rule, reason, remedy } => {
                let code = match rule.split_once('.') {
                    Some(("grant", "unwitnessed")) => codes::UNWITNESSED,
                    Some(("grant", _)) => codes::NO_GRANT,
                    Some(("suspended", _)) => codes::SUSPENDED_HERE,
                    _ => codes::RULES,
                };
                Err(Refusal::new(code, format!("{reason} [{rule}]")).remedy(remedy))
            }
        }
    }

    /// Asked again right before data is touched and before a vector leaves: a revocation never waits.
    pub(super) fn still_allowed(&self, part: &Part, now_ms: u64) -> Result<(), Refusal> {
        self.log_intact()?;
        self.is_fresh(now_ms)?;
        let dataset = self.served(&part.request)?;
        let payer = Payer {
            request: &part.request,
            grant: part.grant,
        };
        self.budgeted(&dataset.population, payer)?;
        self.permitted(part, now_ms)
    }

    /// Whether contract, rules and acts allow this part as it was admitted: what one grant paid for, no other covers.
    pub(in crate::participant) fn permitted(&self, part: &Part, now_ms: u64) -> Result<(), Refusal> {
        let found = self.datasets.iter().find(|(hash, _)| *hash == part.request.contract);
        let Some((_, dataset)) = found else {
            return Err(Refusal::new(codes::NOT_SERVED, "the dataset is not served any more"));
        };
        let (plan, s_min) = (&part.planned.plan, part.planned.terms.s_min);
        let grant = self.decide(&part.request, dataset, Some(plan), s_min, now_ms)?;
        if grant != part.grant {
            let text = "the grant that the round was accepted under no longer covers it";
            return Err(Refusal::new(codes::NO_GRANT, text).remedy("ask again"));
        }
        Ok(())
    }
}
