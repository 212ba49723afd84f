//! What the analysts who wait are told: the newest state of each open job, and how many of its attempts reached the point
//! at which participants charge. Watchers see the latest state, not every one: a slow reader of a fast job misses rounds,
//! never the end.

use std::collections::BTreeMap;

use engine::coordinator::{Coordinator, JobPhase};
use engine::record::CoordinatorRecord;
use engine::{AgentId, CoordinatorEvent, JobId, Refused, SlotId, ToAgent};
use tokio::sync::watch;

/// The newest state of an open job.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// queued, waiting, round, summed, retrying or witnessing.
    pub phase: &'static str,
    pub round: u32,
    /// 0: not known yet.
    pub rounds: u32,
    pub attempt: u32,
    pub contributors: u32,
    pub cohort: u32,
    /// The workload's own, of the sums so far: the loss of a training run.
    pub figure: Option<f64>,
    /// Why it waits, or why the last attempt failed.
    pub reason: Option<Refused>,
}

/// What a watcher gets.
pub enum Following {
    /// The job has ended: read its end.
    Ended,
    /// It goes on; the channel closes when it ends.
    Open(watch::Receiver<News>),
}

/// State that people watch. Lost in a crash but for the counts, which are rebuilt from the records.
#[derive(Default)]
pub struct Jobs {
    open: BTreeMap<JobId, watch::Sender<News>>,
    rounds: BTreeMap<SlotId, JobId>,
    charged: BTreeMap<JobId, u32>,
}

impl Jobs {
    /// Counts what earlier runs may have had charged: every attempt that agents may have seen.
    pub fn recovered<'a>(records: impl IntoIterator<Item = &'a CoordinatorRecord>) -> Self {
        let mut jobs = Self::default();
        for record in records {
            if let CoordinatorRecord::AttemptOpened { job, .. } | CoordinatorRecord::Advanced { job, .. } = record {
                *jobs.charged.entry(*job).or_default() += 1;
            }
        }
        jobs
    }

    /// Attempts of a job for which participants charged, or may have charged if they were made before the last restart.
    pub fn charged(&self, job: &JobId) -> u32 {
        self.charged.get(job).copied().unwrap_or_default()
    }

    /// Opens a view of the analyst's own job; of another's job there is none.
    pub fn follow(&mut self, engine: &Coordinator, job: JobId, analyst: &str) -> Option<Following> {
        let view = engine.job(&job, analyst)?;
        let (phase, reason) = match view.phase {
            JobPhase::Released | JobPhase::Failed(_) => return Some(Following::Ended),
            JobPhase::Round(_) => ("round", None),
            JobPhase::Queued(None) => ("queued", None),
            JobPhase::Queued(reason) => ("waiting", reason),
            JobPhase::Witnessing(reason) => ("witnessing", Some(reason)),
        };
        let news = News {
            phase,
            round: view.round,
            rounds: view.rounds.unwrap_or_default(),
            attempt: view.attempts.saturating_sub(1),
            contributors: 0,
            cohort: 0,
            figure: None,
            reason,
        };
        let sender = self.open.entry(job).or_insert_with(|| watch::channel(news).0);
        Some(Following::Open(sender.subscribe()))
    }

    /// Follows one step.
    pub fn note(&mut self, engine: &Coordinator, envelopes: &[(AgentId, ToAgent)], events: &[CoordinatorEvent]) {
        for event in events {
            self.event(engine, event);
        }
        // A cohort is told at once to all its members, in one step; whoever hears of it charges.
        let mut last = None;
        for (_, message) in envelopes {
            if let ToAgent::Cohort(cohort) = message
                && last != Some(cohort.at)
            {
                last = Some(cohort.at);
                if let Some(job) = self.rounds.get(&cohort.at) {
                    *self.charged.entry(*job).or_default() += 1;
                }
            }
        }
    }

    fn event(&mut self, engine: &Coordinator, event: &CoordinatorEvent) {
        match event {
            CoordinatorEvent::JobWaiting { job, refused } => self.update(job, |news| {
                news.phase = "waiting";
                news.reason = Some(refused.clone());
            }),
            CoordinatorEvent::RoundStarted {
                job,
                round,
                attempt,
                at,
            } => {
                self.rounds.insert(*at, *job);
                let rounds = rounds_of(engine, job);
                self.update(job, |news| {
                    news.phase = "round";
                    news.rounds = rounds.unwrap_or(news.rounds);
                    (news.round, news.attempt, news.reason) = (*round, *attempt, None);
                });
            }
            CoordinatorEvent::RoundSummed {
                job,
                round,
                at,
                contributors,
                cohort,
                figure,
            } => {
                self.rounds.remove(at);
                self.update(job, |news| {
                    news.phase = "summed";
                    news.figure = *figure;
                    (news.round, news.contributors, news.cohort) = (*round, *contributors, *cohort);
                });
            }
            CoordinatorEvent::RoundFailed { job, at, refused, .. } => {
                self.rounds.remove(at);
                self.update(job, |news| {
                    news.phase = "retrying";
                    news.reason = Some(refused.clone());
                });
            }
            CoordinatorEvent::Witnessing { job } => {
                let reason =
                    engine
                        .books()
                        .job(job)
                        .and_then(|entry| match engine.job(job, &entry.request.analyst)?.phase {
                            JobPhase::Witnessing(reason) => Some(reason),
                            _ => None,
                        });
                self.update(job, |news| (news.phase, news.reason) = ("witnessing", reason));
            }
            CoordinatorEvent::Released { job, .. } | CoordinatorEvent::JobFailed { job, .. } => {
                self.open.remove(job);
            }
            _ => {}
        }
    }

    fn update(&mut self, job: &JobId, change: impl FnOnce(&mut News)) {
        if let Some(sender) = self.open.get(job) {
            sender.send_modify(change);
        }
    }
}

fn rounds_of(engine: &Coordinator, job: &JobId) -> Option<u32> {
    let analyst = &engine.books().job(job)?.request.analyst;
    engine.job(job, analyst)?.rounds
}
