//! The queue: which job may start a round now, which must wait, which can never be answered.
//!
//! A job is its signed request. It keeps its place in the queue over retries and restarts; up to `open_jobs` of them have a
//! round open at a time, each on a slot of its own. Looking costs one plan per attempt, and nothing for jobs that wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use governance::{ContentHash, Request, SignedRequest};
use secagg::adder::Gather;

use super::books::Link;
use super::pace::Pace;
use super::round::{Head, Round};
use super::{Coordinator, Turn};
use crate::codes;
use crate::context::{Planned, context_hash};
use crate::ids::{AgentId, JobId, SlotId};
use crate::message::{Carried, RoundStart, ToAgent};
use crate::record::CoordinatorRecord;
use crate::refused::Refused;
use crate::release::SignedRelease;
use crate::step::CoordinatorEvent;
use crate::workload::Refusal;

/// What is known about open jobs beside the books. Lost in a crash, and may be.
#[derive(Default)]
pub(crate) struct Runtime {
    jobs: BTreeMap<JobId, Run>,
    active: BTreeMap<JobId, SlotId>,
    /// Agents that hold no state of any run: they were started a moment ago.
    fresh: BTreeSet<AgentId>,
    /// When each organisation had a round opened last, in rounds.
    served: BTreeMap<String, u64>,
    opened: u64,
}

#[derive(Default)]
struct Run {
    waiting: Option<Waiting>,
    /// The attempt in the books was implied by the round before, and nobody has seen it yet.
    unseen: bool,
    /// No new attempt before this: what made the last one fail may pass.
    retry_at_ms: u64,
    /// Why the newest attempt failed.
    last: Option<Refused>,
    planned: Option<Planned>,
    /// The cohort of the newest sum: whoever can absorb it. Unknown after a restart, and then everybody who was there is tried.
    holders: Option<BTreeSet<AgentId>>,
    /// Grants that owners admitted the analyst by since the start, and the owners; those of summed rounds are in the books, too.
    grants: BTreeSet<(ContentHash, String)>,
    pace: Pace,
}

struct Waiting {
    since_ms: u64,
    refused: Refused,
}

/// What a look at a job finds.
pub(crate) enum Prepared {
    Go(Box<Head>, Box<Gather>),
    Wait(Refusal),
    Fail(Refused),
    Repeat(Box<SignedRelease>),
}

impl Runtime {
    pub(crate) fn ended(&mut self, job: &JobId) {
        self.jobs.remove(job);
        self.active.remove(job);
    }

    /// The round of this job ended without a sum.
    pub(crate) fn attempt_failed(&mut self, job: &JobId, refused: Refused, retry_at_ms: u64) {
        self.active.remove(job);
        let run = self.jobs.entry(*job).or_default();
        run.last = Some(refused);
        run.retry_at_ms = retry_at_ms;
    }

    /// Enough vectors of a round had come after this long.
    pub(crate) fn paced(&mut self, job: &JobId, took_ms: u64) {
        self.jobs.entry(*job).or_default().pace.seen(took_ms);
    }

    /// Whether a job has no open round and may have one.
    fn is_due(&self, job: &JobId, now_ms: u64) -> bool {
        !self.active.contains_key(job) && self.jobs.get(job).is_none_or(|run| run.retry_at_ms <= now_ms)
    }

    /// The round of this job was absorbed; its next round has an attempt that nobody has seen.
    pub(crate) fn advanced(&mut self, job: &JobId, cohort: BTreeSet<AgentId>) {
        self.active.remove(job);
        cohort.iter().for_each(|agent| {
            self.fresh.remove(agent);
        });
        let run = self.jobs.entry(*job).or_default();
        run.unseen = true;
        run.holders = Some(cohort);
    }

    /// This agent has nothing to continue any run from: it is sent whole states until it was in a cohort.
    pub(crate) fn is_fresh(&mut self, agent: &AgentId) {
        self.fresh.insert(agent.clone());
    }

    /// What an agent said it can or cannot continue from.
    pub(crate) fn refused_state(&mut self, agent: &AgentId, code: &str) {
        match code {
            codes::NO_STATE => self.is_fresh(agent),
            codes::SUM_WANTED => {
                self.fresh.remove(agent);
                let holders = self.jobs.values_mut().filter_map(|run| run.holders.as_mut());
                holders.for_each(|holders| {
                    holders.insert(agent.clone());
                });
            }
            _ => {}
        }
    }

    /// An owner admitted the job's analyst by a grant.
    pub(crate) fn admitted(&mut self, job: &JobId, grant: (ContentHash, String)) {
        self.jobs.entry(*job).or_default().grants.insert(grant);
    }

    pub(crate) fn slot(&self, job: &JobId) -> Option<SlotId> {
        self.active.get(job).copied()
    }

    pub(crate) fn waiting(&self, job: &JobId) -> Option<&Refused> {
        Some(&self.jobs.get(job)?.waiting.as_ref()?.refused)
    }
}

impl Coordinator {
    /// Grants that a job runs under: of its rounds that were summed, whoever summed them, and of the one under way.
    pub(crate) fn runs_under(&self, job: &JobId) -> BTreeSet<(ContentHash, String)> {
        let summed = self.books.open(job).map(|progress| &progress.grants);
        let heard = self.jobs.jobs.get(job).map(|run| &run.grants);
        summed.into_iter().chain(heard).flatten().cloned().collect()
    }

    /// Takes a request in, or says why not. The same request twice is the same job.
    pub(super) fn submit(&mut self, signed: SignedRequest, turn: &mut Turn) -> Result<JobId, Refusal> {
        let job = JobId::of(&signed.hash().0);
        if self.books.job(&job).is_some_and(|known| known.hash == signed.hash()) {
            return Ok(job);
        }
        let request = signed
            .verify(&self.roster, turn.now_ms)
            .map_err(|error| Refusal::new(codes::BAD_REQUEST, error.to_string()))?;
        self.is_known_kind(&request)?;
        self.may_name(&request)?;
        if let Some(refusal) = self.suspended(&request).or_else(|| self.held_up(&request)) {
            return Err(refusal);
        }
        let limit = self.config.limits.organisation_jobs;
        let organisation = self.asking(&request.analyst).unwrap_or_default();
        if self.open_jobs_of(organisation) >= limit {
            let text = format!("your organisation may have {limit} jobs open, and has them");
            return Err(Refusal::new(codes::TOO_MANY_JOBS, text).remedy("wait for one, or end one: `sotto job cancel`"));
        }
        if self.queue_is_full(organisation) {
            return Err(Refusal::new(codes::QUEUE_FULL, "the queue is full").remedy("ask again later"));
        }
        let event = self.request_event(&signed, &request)?;
        turn.leaves.push(event);
        let at_ms = turn.now_ms;
        self.record(
            CoordinatorRecord::JobSubmitted {
                job,
                request: signed,
                at_ms,
            },
            turn,
        );
        turn.event(CoordinatorEvent::JobQueued { job });
        Ok(job)
    }

    pub(super) fn is_known_kind(&self, request: &Request) -> Result<(), Refusal> {
        if self.config.workloads.contains_key(&request.kind) {
            return Ok(());
        }
        let text = format!("unknown kind of request: `{}`", request.kind);
        Err(Refusal::new(codes::UNKNOWN_KIND, text).remedy("`sotto doctor` compares versions"))
    }

    /// Ends a job at its analyst's wish. What was charged stays charged.
    pub(super) fn cancel(&mut self, job: JobId, analyst: &str, turn: &mut Turn) -> Result<JobId, Refusal> {
        if self.books.job_of(&job, analyst).is_none() {
            return Err(Refusal::new(codes::UNKNOWN_JOB, format!("no job {job} of yours")));
        }
        if self.books.open(&job).is_none() {
            let text = format!("job {job} has ended: there is nothing to cancel");
            return Err(Refusal::new(codes::JOB_ENDED, text).remedy("`sotto job` shows how it ended"));
        }
        if let Some(at) = self.jobs.slot(&job) {
            self.abandon_round(at, turn);
        }
        self.fail_job(job, Refusal::new(codes::CANCELLED, "cancelled by its analyst"), turn);
        Ok(job)
    }

    /// Starts whatever can start: of the organisation with the fewest open rounds, of those of the one that was served longest ago, the
    /// oldest job first. So no organisation waits for another's queue.
    pub(super) fn schedule(&mut self, turn: &mut Turn) {
        if self.places() == 0 {
            return;
        }
        let mut queues: BTreeMap<String, VecDeque<JobId>> = BTreeMap::new();
        for job in self.books.open_jobs() {
            if self.jobs.is_due(job, turn.now_ms) {
                queues.entry(self.asked_by(job)).or_default().push_back(*job);
            }
        }
        while self.places() > 0 {
            let open = self.open_by_organisation();
            let next = queues.iter_mut().min_by_key(|(organisation, _)| {
                let open = open.get(*organisation).copied().unwrap_or_default();
                (open, self.jobs.served.get(*organisation).copied().unwrap_or_default())
            });
            let Some((organisation, queue)) = next else { return };
            let (organisation, job) = (organisation.clone(), queue.pop_front());
            match job {
                Some(job) => self.start_or_wait(job, turn),
                None => drop(queues.remove(&organisation)),
            }
        }
    }

    /// Whether a run that just ended a round leaves its place to an organisation that has no more of them and waits.
    pub(super) fn gives_way(&self, job: &JobId, now_ms: u64) -> bool {
        if self.places() > 1 {
            return false;
        }
        let (own, open) = (self.asked_by(job), self.open_by_organisation());
        let rounds = |organisation: &str| open.get(organisation).copied().unwrap_or_default();
        let waits = |other: &JobId| {
            let organisation = self.asked_by(other);
            organisation != own && rounds(&organisation) <= rounds(&own) && self.jobs.is_due(other, now_ms)
        };
        self.books.open_jobs().iter().any(waits)
    }

    /// Rounds that could be opened now.
    fn places(&self) -> usize {
        self.config.limits.open_jobs.max(1).saturating_sub(self.rounds.len())
    }

    fn open_by_organisation(&self) -> BTreeMap<String, usize> {
        let mut open = BTreeMap::new();
        for job in self.jobs.active.keys() {
            *open.entry(self.asked_by(job)).or_default() += 1;
        }
        open
    }

    /// The organisation of a job's analyst; of one that left the roster, nobody's.
    fn asked_by(&self, job: &JobId) -> String {
        let analyst = self.books.job(job).map(|entry| &entry.request.analyst);
        let organisation = analyst.and_then(|analyst| self.asking(analyst));
        organisation.unwrap_or_default().to_owned()
    }

    /// Whether no more jobs of an organisation may wait: the queue is full, and of it this organisation has its share. Whoever has less is let
    /// in all the same, so that nobody's queue keeps anybody else out; the queue and everybody's share again is the most that there ever is.
    fn queue_is_full(&self, organisation: &str) -> bool {
        let most = self.config.limits.queued_jobs;
        if self.books.open_jobs().len() < most {
            return false;
        }
        let asking = self.roster.analysts.iter().map(|analyst| &analyst.organisation);
        let asking: BTreeSet<&String> = asking.collect();
        self.open_jobs_of(organisation) >= (most / asking.len().max(1)).max(1)
    }

    pub(super) fn asking(&self, analyst: &str) -> Option<&str> {
        Some(self.roster.analyst(analyst)?.organisation.as_str())
    }

    /// How many jobs of an organisation have not ended.
    pub fn open_jobs_of(&self, organisation: &str) -> usize {
        let open = self.books.open_jobs().iter();
        open.filter(|job| self.asked_by(job) == organisation).count()
    }

    fn start_or_wait(&mut self, job: JobId, turn: &mut Turn) {
        match self.prepare(job, turn.now_ms) {
            Prepared::Go(head, gather) => {
                let launched = self.launch(*head, *gather, turn);
                self.send_start(&launched, turn);
            }
            Prepared::Fail(refused) => self.fail_job(job, refused, turn),
            Prepared::Repeat(earlier) => self.repeat(job, &earlier, turn),
            Prepared::Wait(refusal) => {
                let refused = Refused::from(refusal);
                let run = self.jobs.jobs.entry(job).or_default();
                let since_ms = run.waiting.as_ref().map_or(turn.now_ms, |waiting| waiting.since_ms);
                if turn.now_ms >= since_ms + self.config.limits.patience_ms {
                    return self.fail_job(job, refused, turn);
                }
                if run.waiting.as_ref().is_none_or(|waiting| waiting.refused != refused) {
                    turn.event(CoordinatorEvent::JobWaiting {
                        job,
                        refused: refused.clone(),
                    });
                    run.waiting = Some(Waiting { since_ms, refused });
                }
            }
        }
    }

    /// Looks whether a job can start its next attempt, and with whom.
    pub(super) fn prepare(&mut self, job: JobId, now_ms: u64) -> Prepared {
        let Some((entry, progress)) = self.books.job(&job).zip(self.books.open(&job)) else {
            return Prepared::Fail(Refusal::new(codes::UNKNOWN_JOB, "the job has ended").into());
        };
        let (request, signed) = (entry.request.clone(), entry.signed.clone());
        // A notice ends by the clock, also for a job that waits and for a run between two rounds.
        if let Err(refusal) = self.may_name(&request)
            && refusal.code == codes::NOT_ACTIVE
        {
            return Prepared::Fail(refusal.into());
        }
        if let Some(refusal) = self.suspended(&request) {
            return Prepared::Fail(refusal.into());
        }
        if now_ms >= request.expires_at_ms {
            return Prepared::Fail(Refusal::new(codes::EXPIRED, "the request expired before it was answered").into());
        }
        let run = self.jobs.jobs.get(&job);
        let attempt = match progress.attempt {
            None => 0,
            Some(attempt) if run.is_some_and(|run| run.unseen) => attempt,
            Some(attempt) => attempt + 1,
        };
        if attempt >= request.max_attempts {
            return Prepared::Fail(attempts_spent(
                attempt,
                request.epsilon,
                run.and_then(|run| run.last.as_ref()),
            ));
        }
        let (terms, owners) = match self.terms_of(&request) {
            Ok(found) => found,
            // To wait for somebody who was stopped is to wait for nothing.
            Err(refusal) => match self.held_up(&request) {
                Some(held) => return Prepared::Fail(held.into()),
                None => return Prepared::Wait(refusal),
            },
        };
        let Some((live, contract)) = self.epochs.serving().zip(self.catalogue.contract(&request.contract)) else {
            return Prepared::Wait(Refusal::new(codes::TOO_FEW, "no epoch is ready"));
        };
        let run = self.jobs.jobs.entry(job).or_default();
        let planned = match &run.planned {
            Some(planned) if planned.terms == terms => planned.clone(),
            _ => {
                let Some(workload) = self.config.workloads.get(&request.kind) else {
                    let text = format!("unknown kind of request: `{}`", request.kind);
                    return Prepared::Fail(Refusal::new(codes::UNKNOWN_KIND, text).into());
                };
                match workload.plan(&request, contract, &terms) {
                    Ok(plan) => run.planned.insert(Planned::new(plan, contract, terms)).clone(),
                    Err(refusal) => return Prepared::Fail(refusal.into()),
                }
            }
        };
        let collect_ms = run.pace.collect_ms(&self.config.limits);
        let identity = super::round::identity(&planned, &request, &owners);
        if planned.plan.rounds == 1
            && let Some(earlier) = self.books.answer(&identity)
            && self.may_repeat(&earlier.release.id, &request, &owners, now_ms)
        {
            return Prepared::Repeat(Box::new(earlier.clone()));
        }
        let start = RoundStart {
            at: SlotId {
                epoch: live.seq,
                slot: live.next_slot,
            },
            job,
            request: signed,
            round: progress.round,
            attempt,
            plan_hash: planned.hash.0,
            s_min: terms.s_min,
            previous: progress.previous.as_ref().map(Link::whole),
            timeout_ms: self.config.limits.round_ms(),
        };
        let context = context_hash(&start, &start.request.hash(), &request.contract, &planned);
        let gather = match Gather::open(live.book.clone(), start.at.slot, context, terms.s_min as usize) {
            Ok(gather) => gather,
            Err(abort) => return Prepared::Wait(Refusal::new(codes::TOO_FEW, abort.to_string())),
        };
        let head = Head {
            collect_ms,
            request,
            planned,
            owners,
            members: live.members.clone(),
            start,
        };
        Prepared::Go(Box::new(head), Box::new(gather))
    }

    /// Takes the slot and opens the round; the caller sends what is returned.
    pub(super) fn launch(&mut self, head: Head, gather: Gather, turn: &mut Turn) -> Launched {
        let RoundStart {
            job,
            round,
            attempt,
            at,
            ..
        } = head.start;
        let run = self.jobs.jobs.entry(job).or_default();
        run.waiting = None;
        if !std::mem::take(&mut run.unseen) {
            self.record(CoordinatorRecord::AttemptOpened { job, round, attempt }, turn);
        }
        if let Some(live) = self.epochs.serving_mut() {
            live.next_slot = at.slot + 1;
        }
        turn.event(CoordinatorEvent::RoundStarted {
            job,
            round,
            attempt,
            at,
        });
        let run = self.jobs.jobs.get(&job);
        let known = run.and_then(|run| run.holders.as_ref());
        let owners: BTreeSet<AgentId> = head.owners.iter().map(|(agent, _)| agent.clone()).collect();
        let holds = |agent: &&AgentId| {
            known.is_none_or(|holders| holders.contains(*agent)) && !self.jobs.fresh.contains(*agent)
        };
        let holders = owners.iter().filter(holds).cloned().collect();
        let link = self.books.open(&job).and_then(|progress| progress.previous.as_ref());
        let launched = Launched {
            start: head.start.clone(),
            owners,
            holders,
            sum: link.map(Link::sum),
        };
        self.jobs.active.insert(job, at);
        self.jobs.opened += 1;
        let (organisation, opened) = (self.asked_by(&job), self.jobs.opened);
        self.jobs.served.insert(organisation, opened);
        let round = Round::open(head, gather, &self.config.limits, turn.now_ms);
        self.rounds.insert(at, round);
        launched
    }

    /// The owners alone are told: others learn of a round when it needs their shares.
    pub(super) fn send_start(&self, launched: &Launched, turn: &mut Turn) {
        for owner in &launched.owners {
            turn.send(owner, ToAgent::RoundStart(launched.start_for(owner)));
        }
    }

    /// When patience with a waiting job ends, or a failed one may try again. One whose time is up already waits for a free place, which wakes us anyway.
    pub(super) fn jobs_wake(&self, now_ms: u64) -> Option<u64> {
        let patience_ms = self.config.limits.patience_ms;
        let runs = self.jobs.jobs.values();
        let times = runs.flat_map(|run| {
            [
                run.waiting.as_ref().map(|waiting| waiting.since_ms + patience_ms),
                Some(run.retry_at_ms),
            ]
        });
        times.flatten().filter(|at| *at > now_ms).min()
    }
}

/// A round that was opened, and whom to tell.
pub(crate) struct Launched {
    start: RoundStart,
    pub owners: BTreeSet<AgentId>,
    /// Owners that derive the state themselves, and what from.
    holders: BTreeSet<AgentId>,
    sum: Option<Carried>,
}

impl Launched {
    /// The same start for all, but that whoever can continue by itself gets the sum and not the state.
    pub(crate) fn start_for(&self, agent: &AgentId) -> RoundStart {
        let mut start = self.start.clone();
        if let (Some(sum), Some(previous)) = (&self.sum, &mut start.previous)
            && self.holders.contains(agent)
        {
            previous.carried = sum.clone();
        }
        start
    }
}

fn attempts_spent(attempts: u32, epsilon: f64, last: Option<&Refused>) -> Refused {
    let last = last.map_or_else(
        || "the coordinator was restarted".to_owned(),
        |refused| refused.message.clone(),
    );
    let text = format!(
        "all {attempts} attempts failed, at most {attempts} x epsilon {epsilon} were charged by each participant; the last one: {last}"
    );
    Refusal::new(codes::ATTEMPTS_SPENT, text)
        .remedy("`sotto doctor` shows who dropped out; ask again with a new request")
        .into()
}
