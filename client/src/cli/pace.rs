//! The bar of a run: rounds a second, loss, epsilon so far, who took part and the time left, said at most five times a second; and what a
//! run had spent that ended without a release. Both follow from the run's plan and cost nothing.

use std::time::{Duration, Instant};

use proto::{printable, v1};
use workload::training::TrainPlan;

use super::wait::{Noun, describe, wait_telling};
use crate::output::plain;
use crate::train::Trained;
use crate::{Client, Problem};

const BAR: usize = 24;
const PAUSE: Duration = Duration::from_millis(200);

/// Follows a run to its end, with the bar if its plan is known.
pub async fn watch(
    client: &mut Client,
    job: &str,
    plan: Option<&TrainPlan>,
    patience: Option<Duration>,
) -> Result<Trained, Problem> {
    let mut pace = plan.map(Pace::new);
    let mut words = |progress: &v1::Progress| match &mut pace {
        Some(pace) => pace.tell(progress),
        None => Some(describe(progress)),
    };
    let released = wait_telling(client, Noun::Run, job, patience, &mut words).await;
    Trained::of(*released.map_err(|problem| priced(problem, plan))?)
}

/// A failed run's problem with what it spent.
fn priced(mut problem: Problem, plan: Option<&TrainPlan>) -> Problem {
    if let Some(plan) = plan.filter(|_| problem.charged > 0) {
        problem.message += &format!(": {}", spent(plan, problem.charged));
    }
    problem
}

/// What so many attempts cost.
pub fn spent(plan: &TrainPlan, attempts: u32) -> String {
    match (attempts, plan.noise.variance) {
        (0, _) => "nothing was spent".to_owned(),
        (_, 0) => "no noise was in them, and nothing bounds what they showed".to_owned(),
        _ => format!(
            "epsilon {} for {}, at most {} in any ledger, as participants pay for the next round ahead",
            plain(plan.epsilon_after(attempts)),
            plan.unit_words(),
            plain(charged_at_most(plan, attempts)),
        ),
    }
}

/// What so many attempts cost in any ledger: participants pay for the next round ahead.
pub fn charged_at_most(plan: &TrainPlan, attempts: u32) -> f64 {
    match attempts {
        0 => 0.0,
        _ => plan.epsilon_after(attempts.saturating_add(1)),
    }
}

struct Pace<'a> {
    plan: &'a TrainPlan,
    began: Option<(Instant, u32)>,
    said: Option<Instant>,
}

impl<'a> Pace<'a> {
    fn new(plan: &'a TrainPlan) -> Self {
        Self {
            plan,
            began: None,
            said: None,
        }
    }

    fn tell(&mut self, progress: &v1::Progress) -> Option<String> {
        let now = Instant::now();
        let (began, first) = *self.began.get_or_insert((now, progress.round));
        // What a run waits for may be the last that is heard for long: it is always said.
        if progress.reason.is_none() && self.said.is_some_and(|said| now - said < PAUSE) {
            return None;
        }
        self.said = Some(now);
        let rounds = self.plan.task.rounds.max(1);
        let done = progress.round.min(rounds);
        let filled = BAR * done as usize / rounds as usize;
        let pace = f64::from(done.saturating_sub(first)) / (now - began).as_secs_f64().max(1e-3);
        let left = match pace > 0.0 {
            true => format!("{:.0} s left", f64::from(rounds - done) / pace),
            false => progress.phase.clone(),
        };
        let cost = match self.plan.noise.variance {
            0 => "no noise".to_owned(),
            _ => format!("epsilon {} so far", plain(self.plan.epsilon_after(done))),
        };
        let loss = progress
            .figure
            .map(|loss| format!("  loss {loss:.2}"))
            .unwrap_or_default();
        let cohort = match progress.cohort {
            0 => String::new(),
            cohort => format!("  {} of {cohort} participants", progress.contributors),
        };
        let reason = progress.reason.as_ref();
        let reason = reason.map(|reason| format!(" ({})", printable(reason.message.clone())));
        Some(format!(
            "[{}{}] {done}/{rounds}{loss}  {pace:.1} rounds/s  {cost}{cohort}  {left}{}",
            "=".repeat(filled),
            " ".repeat(BAR - filled),
            reason.unwrap_or_default(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;
    use engine::CohortTerms;
    use governance::Contract;
    use workload::training::{ModelKind, TrainTask};

    fn plan() -> TrainPlan {
        let contract = Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap();
        let mut task = TrainTask::dp_sgd(&["age"], "num", ModelKind::Softmax, 12);
        task.expected_units = Some(900);
        let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
        TrainPlan::new(task, &contract, &terms, 3.0, 1e-5).unwrap()
    }

    #[test]
    fn the_bar_tells_the_loss_once_there_is_one_and_what_a_run_waits_for() {
        let plan = plan();
        let sixth = v1::Progress {
            round: 6,
            rounds: 12,
            contributors: 4,
            cohort: 4,
            ..Default::default()
        };
        let told = |progress: v1::Progress| Pace::new(&plan).tell(&progress).unwrap();
        let with_loss = told(v1::Progress {
            figure: Some(0.5349),
            ..sixth.clone()
        });
        assert!(with_loss.contains("6/12  loss 0.53  "), "{with_loss}");
        assert!(with_loss.contains(" so far  4 of 4 participants"), "{with_loss}");
        let first = told(v1::Progress {
            cohort: 0,
            ..sixth.clone()
        });
        assert!(!first.contains("loss") && !first.contains("participants"), "{first}");
        let mut pace = Pace::new(&plan);
        assert!(
            pace.tell(&sixth).is_some() && pace.tell(&sixth).is_none(),
            "at once again"
        );
        let waiting = v1::Progress {
            phase: "waiting".into(),
            reason: Some(v1::Refused {
                message: "2 of 3 are online".into(),
                ..Default::default()
            }),
            ..sixth
        };
        assert!(pace.tell(&waiting).unwrap().ends_with("(2 of 3 are online)"));
    }

    #[test]
    fn a_run_that_ended_early_says_its_epsilon() {
        let plan = plan();
        let stopped = |attempts| {
            priced(
                Problem::new(Exit::Failed, "SOTTO-2009", "stopped").charged(attempts),
                Some(&plan),
            )
        };
        let words = stopped(5).message;
        let epsilon = format!("epsilon {} for one row", plain(plan.epsilon_after(5)));
        assert!(words.contains(&epsilon) && plan.epsilon_after(5) < 3.0, "{words}");
        assert!(
            words.contains(&format!("at most {} in any", plain(plan.epsilon_after(6)))),
            "{words}"
        );
        assert_eq!(stopped(0).message, "stopped");
        let bare = TrainPlan {
            noise: workload::training::TrainNoise {
                variance: 0,
                ..plan.noise
            },
            ..plan.clone()
        };
        assert!(spent(&bare, 5).contains("no noise"));
    }
}
