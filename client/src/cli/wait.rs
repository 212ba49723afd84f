//! Waiting for a job with a person looking on: a spinner after one second, a clear end on timeout and Ctrl-C.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use proto::printable;
use proto::v1;

use crate::client::Event;
use crate::released::Released;
use crate::{Client, Exit, Problem, output};

/// Nothing is drawn before this: most answers are faster.
const QUIET: Duration = Duration::from_secs(1);
const RECONNECT: Duration = Duration::from_millis(500);

/// What is waited for, as its own commands call it.
#[derive(Clone, Copy)]
pub enum Noun<'a> {
    Job,
    Run,
    /// Of the model of this run.
    EvaluationOf(&'a str),
}

impl Noun<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Run => "run",
            Self::EvaluationOf(_) => "evaluation",
        }
    }

    /// How to get the answer later.
    fn coming_back(self, job: &str) -> String {
        match self {
            Self::Job => format!("sotto job watch {job}"),
            Self::Run => format!("sotto run watch {job}"),
            Self::EvaluationOf(run) => format!("sotto run watch {run} shows its figures once they are there"),
        }
    }

    fn ending(self, job: &str) -> String {
        match self {
            Self::Job | Self::EvaluationOf(_) => format!("sotto job cancel {job}"),
            Self::Run => format!("sotto run stop {job}"),
        }
    }
}

/// Follows `job` to its end. The job goes on when the waiting ends.
pub async fn wait(
    client: &mut Client,
    noun: Noun<'_>,
    job: &str,
    patience: Option<Duration>,
) -> Result<Box<Released>, Problem> {
    wait_telling(client, noun, job, patience, &mut |progress| Some(describe(progress))).await
}

/// The same in the caller's words, where none leaves the last ones.
pub async fn wait_telling(
    client: &mut Client,
    noun: Noun<'_>,
    job: &str,
    patience: Option<Duration>,
    words: Words<'_>,
) -> Result<Box<Released>, Problem> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let word = noun.word();
    let mut spinner = Spinner::new();
    let end = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = follow(client, job, &mut spinner, words) => outcome,
        () = end => Err(Problem::new(Exit::TimedOut, "SOTTO-7303", format!("no answer yet to {word} {job}; it goes on"))
            .remedy(noun.coming_back(job))),
        _ = tokio::signal::ctrl_c() => Err(super::interrupted(format!("stopped waiting; {word} {job} goes on"))
            .remedy(format!("{}, or {}", noun.coming_back(job), noun.ending(job)))),
    };
    spinner.clear();
    outcome
}

/// Progress as people read it.
type Words<'a> = &'a mut dyn FnMut(&v1::Progress) -> Option<String>;

async fn follow(
    client: &mut Client,
    job: &str,
    spinner: &mut Spinner,
    words: Words<'_>,
) -> Result<Box<Released>, Problem> {
    let mut lost = 0;
    loop {
        match stream(client, job, spinner, words).await {
            Ok(Some(released)) => return Ok(released),
            // The stream may break and the job goes on: a coordinator that restarts answers again within seconds.
            Err(problem) if problem.exit != Exit::Unreachable || lost >= 60 => return Err(problem),
            Ok(None) | Err(_) => {
                lost += 1;
                spinner.say("connection lost, trying again");
                tokio::time::sleep(RECONNECT).await; // a coordinator that restarts needs a moment
                let _ = client.dial_again().await; // what stays away is told by the next call
            }
        }
    }
}

async fn stream(
    client: &mut Client,
    job: &str,
    spinner: &mut Spinner,
    words: Words<'_>,
) -> Result<Option<Box<Released>>, Problem> {
    let mut events = client.watch(job).await?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            event = events.next() => match event? {
                Some(Event::Progress(progress)) => if let Some(text) = words(&progress) {
                    spinner.say(&text);
                },
                Some(Event::Released(released)) => return Ok(Some(released)),
                Some(Event::Failed(problem)) => return Err(problem),
                None => return Ok(None),
            },
            _ = tick.tick() => spinner.tick(),
        }
    }
}

pub(super) fn describe(progress: &v1::Progress) -> String {
    let round = match progress.rounds {
        0 | 1 => String::new(),
        rounds => format!(" {} of {rounds}", progress.round + 1),
    };
    let attempt = match progress.attempt {
        0 => String::new(),
        attempt => format!(", attempt {}", attempt + 1),
    };
    let cohort = match (progress.contributors, progress.cohort) {
        (0, 0) => String::new(),
        (0, cohort) => format!(", {cohort} participants"),
        (contributors, cohort) => format!(", {contributors} of {cohort} participants"),
    };
    let reason = progress
        .reason
        .as_ref()
        .map(|reason| format!(" ({})", printable(reason.message.clone())))
        .unwrap_or_default();
    format!("{}{round}{cohort}{attempt}{reason}", progress.phase)
}

/// Appears after a second, on a terminal only.
pub struct Spinner {
    began: Instant,
    text: String,
    bar: Option<ProgressBar>,
}

impl Spinner {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            text: "waiting".to_owned(),
            bar: None,
        }
    }

    pub fn say(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        if let Some(bar) = &self.bar {
            bar.set_message(self.text.clone());
        }
        self.tick();
    }

    pub fn tick(&mut self) {
        if self.bar.is_none() && output::watched() && self.began.elapsed() > QUIET {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.set_message(self.text.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            self.bar = Some(bar);
        }
    }

    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_waiting_for_an_evaluation_hears_how_to_get_it_and_how_to_end_it() {
        let evaluation = Noun::EvaluationOf("3f9c");
        assert!(evaluation.coming_back("aa55").starts_with("sotto run watch 3f9c "));
        assert_eq!(evaluation.ending("aa55"), "sotto job cancel aa55");
        assert_eq!(Noun::Run.coming_back("3f9c"), "sotto run watch 3f9c");
    }

    #[test]
    fn progress_is_told_in_words() {
        let progress = v1::Progress {
            phase: "round".into(),
            cohort: 4,
            attempt: 1,
            ..Default::default()
        };
        assert_eq!(describe(&progress), "round, 4 participants, attempt 2");
        let progress = v1::Progress {
            phase: "summed".into(),
            rounds: 20,
            round: 4,
            contributors: 3,
            cohort: 4,
            ..Default::default()
        };
        assert_eq!(describe(&progress), "summed 5 of 20, 3 of 4 participants");
    }
}
