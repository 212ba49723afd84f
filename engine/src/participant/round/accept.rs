//! Round step 1: is this the analyst's own request, asked under terms this owner allows, of data that is served, within budget, and
//! never answered before? Then Accept; else Refuse with the reason, none of which depends on data.

use std::sync::Arc;

use governance::decision::Path;
use governance::{ContentHash, Request};
use secagg::Message;

use super::judge::{Asked, Asking, Judged, OTHER_VERSIONS};
use super::{Part, Phase, Round, Run};
use crate::codes;
use crate::context::{Planned, context_hash};
use crate::ids::JobId;
use crate::message::{RoundStart, ToCoordinator};
use crate::participant::payer::Payer;
use crate::participant::{Participant, Turn};
use crate::refused::Refused;
use crate::step::ParticipantEvent;
use crate::workload::{CohortTerms, Refusal};

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
        let (members, now_ms) = (self.ready(at.epoch, &mut Path::silent(), turn.now_ms)?, turn.now_ms);
        let live = self.epochs.live(at.epoch);
        if !live.is_some_and(|live| live.epoch.is_unused(at.slot)) {
            return Err(Refusal::new(codes::OUT_OF_ORDER, format!("{at} was used before"))
                .remedy("nothing: the next attempt has a slot of its own"));
        }
        let hash = start.request.hash();
        let request = self.verified(&start, hash, now_ms)?;
        if job != JobId::of(&hash.0) {
            return Err(
                Refusal::new(codes::REQUEST_REFUSED, "the job is not that of the request").remedy(OTHER_VERSIONS),
            );
        }
        let asked = Asked {
            request: &request,
            terms: CohortTerms {
                n: members.n() as u32,
                c: members.c() as u32,
                s_min,
            },
            threshold: members.threshold() as u32,
            timeout_ms: start.timeout_ms,
            now_ms,
        };
        let Judged {
            dataset,
            planned,
            grant,
        } = self.judge(&asked, Asking::Round { hash, start: &start }, &mut Path::silent())?;
        let payer = |grant| Payer {
            request: &request,
            grant,
        };
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
            roster: self.roster_hash,
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
        // A process that did not see how the tokens were used takes every round of theirs as answered.
        let bare_round = self.books.tokens(&hash).next;
        let run = self.runs.entry(hash).or_insert_with(|| Run {
            bare_round,
            ..Run::default()
        });
        run.cursor = run.cursor.max(next);
        run.expires_at_ms = request.expires_at_ms;
        run.request = Some(request.clone());
        Ok(request)
    }

    /// The lowest index that this agent may still answer.
    pub(super) fn next_token(&self, hash: &ContentHash) -> u32 {
        let ahead = self.runs.get(hash).and_then(|run| run.ahead.as_ref());
        ahead.map_or_else(|| self.books.tokens(hash).next, |token| token.index)
    }

    /// A token is answered once, and its index only rises: a replay can neither drain the budget nor average noise away.
    pub(super) fn check_token(
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

    /// Asked again right before data is touched and before a vector leaves: a revocation never waits.
    pub(super) fn still_allowed(&self, part: &Part, now_ms: u64) -> Result<(), Refusal> {
        self.log_intact()?;
        self.is_fresh(now_ms)?;
        // Its analyst's key, or a member of its epoch, may have been removed since.
        if part.roster != self.roster_hash {
            let text = "the roster changed since the round was accepted";
            return Err(Refusal::new(codes::NO_EPOCH, text).remedy("open a new epoch"));
        }
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
        let s_min = part.planned.terms.s_min;
        let grant = self.decide(
            &part.request,
            dataset,
            Some(&part.planned),
            (s_min, now_ms),
            &mut Path::silent(),
        )?;
        if grant != part.grant {
            let text = "the grant that the round was accepted under no longer covers it";
            return Err(Refusal::new(codes::NO_GRANT, text).remedy("ask again"));
        }
        Ok(())
    }
}
