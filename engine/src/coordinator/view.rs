//! What others may read of the coordinator: job states for their analyst, releases, who is online. Reading changes nothing.

use governance::{ContentHash, Contract, Roster};
use std::sync::Arc;

use super::{Catalogue, Coordinator, Job, JobState};
use crate::codes;
use crate::ids::{EpochSeq, JobId};
use crate::refused::Refused;
use crate::release::SignedRelease;
use crate::workload::Refusal;

/// Where a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// In the queue, with the reason if there is one.
    Queued(Option<Refused>),
    /// In a round; the name is one of asking, collecting, agreeing, opening.
    Round(&'static str),
    /// Answered; the answer waits for witnesses of the log.
    Witnessing(Refused),
    Released,
    Failed(Refused),
}

/// One job as its analyst sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    pub job: JobId,
    pub phase: Phase,
    pub round: u32,
    /// None until the first plan.
    pub rounds: Option<u32>,
    /// Attempts that agents may have seen.
    pub attempts: u32,
    pub submitted_at_ms: u64,
}

/// The serving epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochView {
    pub epoch: EpochSeq,
    pub members: u32,
    /// Members that are connected and still hold the epoch's keys.
    pub present: u32,
    pub c: u32,
    pub threshold: u32,
    pub slots_left: u16,
}

impl Coordinator {
    /// The analyst's own job; others learn not even that it exists.
    pub fn job(&self, job: &JobId, analyst: &str) -> Option<JobView> {
        let entry = self.own_job(job, analyst)?;
        let round = self.jobs.slot(job).and_then(|at| self.rounds.get(&at));
        let (phase, round_number, attempts) = match &entry.state {
            JobState::Released { .. } if !self.books.log().is_witnessed(job) => {
                (Phase::Witnessing(self.unwitnessed()), 0, 0)
            }
            JobState::Released { .. } => (Phase::Released, 0, 0),
            JobState::Expired(_) => (Phase::Failed(expired(job).into()), 0, 0),
            JobState::Failed { refused, .. } => (Phase::Failed(refused.clone()), 0, 0),
            JobState::Open(progress) => {
                let phase = match round {
                    Some(round) => Phase::Round(round.phase_name()),
                    None => Phase::Queued(self.jobs.waiting(job).cloned()),
                };
                (phase, progress.round, progress.attempt.map_or(0, |attempt| attempt + 1))
            }
        };
        Some(JobView {
            job: *job,
            phase,
            round: round_number,
            rounds: round.map(|round| round.head().planned.plan.rounds),
            attempts,
            submitted_at_ms: entry.submitted_at_ms,
        })
    }

    /// The release of the analyst's own job, and when it was made; none before a quorum vouches for it.
    pub fn release(&self, job: &JobId, analyst: &str) -> Option<(&SignedRelease, u64)> {
        let own = self.own_job(job, analyst)?;
        match &own.state {
            JobState::Released { .. } if !self.books.log().is_witnessed(job) => None,
            JobState::Released { release, at_ms } => Some((release, *at_ms)),
            _ => None,
        }
    }

    /// Why there is no release of the analyst's own job any more.
    pub fn expired(&self, job: &JobId, analyst: &str) -> Option<Refusal> {
        let own = self.own_job(job, analyst)?;
        matches!(own.state, JobState::Expired(_)).then(|| expired(job))
    }

    /// The signed request behind the analyst's own job.
    pub fn request(&self, job: &JobId, analyst: &str) -> Option<Arc<governance::Request>> {
        Some(self.own_job(job, analyst)?.request.clone())
    }

    /// All of the analyst's jobs, newest first.
    pub fn jobs_of<'a>(&'a self, analyst: &'a str) -> impl Iterator<Item = JobId> + 'a {
        let jobs = self.books.jobs().rev().map(|(job, _)| *job);
        jobs.filter(move |job| self.books.job_of(job, analyst).is_some())
    }

    /// Agents online and what they offer.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// A contract that some agent offers, or that an open job names.
    pub fn contract(&self, hash: &ContentHash) -> Option<&Arc<Contract>> {
        self.catalogue.contract(hash)
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Rounds that are open now.
    pub fn open_rounds(&self) -> usize {
        self.rounds.len()
    }

    /// Durable state, for inspection.
    pub fn books(&self) -> &super::Books {
        &self.books
    }

    /// The epoch that new rounds use.
    pub fn epoch(&self) -> Option<EpochView> {
        let live = self.epochs.serving()?;
        Some(EpochView {
            epoch: live.seq,
            members: live.members.n() as u32,
            c: live.members.c() as u32,
            threshold: live.members.threshold() as u32,
            slots_left: live.slots_left(),
            present: self.epoch_holders(live).count() as u32,
        })
    }

    fn own_job(&self, job: &JobId, analyst: &str) -> Option<&Job> {
        self.books.job_of(job, analyst)
    }
}

fn expired(job: &JobId) -> Refusal {
    let text = format!("release {job} was deleted when its time here was over: its proof in the log stays");
    Refusal::new(codes::RELEASE_EXPIRED, text).remedy("your own copy still verifies; ask again for a new answer")
}
