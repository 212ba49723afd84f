//! A trial: an analyst asks how this owner would decide a question. The judgement is a round's own (`round/judge.rs`), and so is what the
//! ledger says; nothing is kept, charged, logged or computed, and no slot is used.
//!
//! It tells its analyst what a request would have told, and which rules let it pass. Costs a signature, a plan and a decision; so many of
//! one analyst are answered in a minute.

use std::collections::BTreeMap;

use governance::decision::Path;

use super::payer::Payer;
use super::round::judge::{Asked, Asking, Judged};
use super::{Participant, Turn};
use crate::codes;
use crate::ids::JobId;
use crate::message::{ToCoordinator, Trial, TrialAnswer};
use crate::refused::Refused;
use crate::workload::{CohortTerms, Refusal};

const MINUTE_MS: u64 = 60_000;

/// How many trials of each analyst were judged in this minute. In memory: a restart forgets them.
#[derive(Default)]
pub(super) struct Trials {
    minute: u64,
    judged: BTreeMap<String, u32>,
}

impl Trials {
    /// Counts one more, if the minute has room for it.
    fn count(&mut self, analyst: &str, now_ms: u64, most: u32) -> Result<(), Refusal> {
        let minute = now_ms / MINUTE_MS;
        // A clock that was set back does not open a minute again.
        if minute > self.minute {
            (self.minute, self.judged) = (minute, BTreeMap::new());
        }
        let judged = self.judged.entry(analyst.to_owned()).or_default();
        if *judged >= most {
            let text = format!("`{analyst}` tried {most} questions in this minute, and no more are answered here");
            return Err(Refusal::new(codes::TRIALS, text).remedy("try again in a minute"));
        }
        *judged += 1;
        Ok(())
    }
}

impl Participant {
    pub(super) fn trial(&mut self, trial: &Trial, turn: &mut Turn<'_>) {
        let mut path = Path::kept();
        let tried = self.tried(trial, &mut path, turn.now_ms);
        let answer = TrialAnswer {
            steps: path.into_steps(),
            refused: tried.err().map(Refused::from),
        };
        turn.send(ToCoordinator::TrialAnswer { id: trial.id, answer });
    }

    fn tried(&mut self, trial: &Trial, path: &mut Path, now_ms: u64) -> Result<(), Refusal> {
        // Whoever is not an analyst of the roster learns nothing but that.
        let request = trial.trial.verify(&self.roster, now_ms).map_err(|error| {
            Refusal::new(codes::REQUEST_REFUSED, error.to_string()).remedy("`sotto doctor` compares keys and clocks")
        })?;
        let hash = trial.trial.hash();
        if trial.id != JobId::of(&hash.0) {
            let text = "the name of the trial is not that of its words";
            return Err(Refusal::new(codes::REQUEST_REFUSED, text).remedy("ask the coordinator's operator"));
        }
        let most = self.config.limits.trials_per_minute;
        self.trials.count(&request.analyst, now_ms, most)?;
        path.passed("signature", || format!("`{}` of the roster signed it", request.analyst));
        let members = self.ready(trial.epoch, path, now_ms)?;
        let asked = Asked {
            request: &request,
            terms: CohortTerms {
                n: members.n() as u32,
                c: members.c() as u32,
                s_min: trial.s_min,
            },
            threshold: members.threshold() as u32,
            timeout_ms: trial.timeout_ms,
            now_ms,
        };
        let Judged {
            dataset,
            planned,
            grant,
        } = self.judge(&asked, Asking::Trial, path)?;
        let payer = Payer {
            request: &request,
            grant,
        };
        self.affordable(&hash, payer, &dataset, &planned, (path, now_ms))
    }
}
