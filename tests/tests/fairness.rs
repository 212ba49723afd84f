//! Stories of two organisations at one coordinator: whoever asks without end keeps nobody else waiting. The queue is the coordinator's own.

use engine::JobId;
use engine::coordinator::Limits;
use governance::log::{Kind, SignedEvent};
use governance::{ContentHash, Request};
use tests::sim::{Options, Story};

/// The second analyst, of another organisation than the first.
const OTHER: &str = "bert";

/// Two analysts of two organisations, and four owners who answer both.
fn two() -> Story {
    let mut w = Story::with(Options {
        slots: 64,
        ..Options::quiet(4, 1)
    });
    w.world.joins(OTHER, "institute");
    w.wait(5_000);
    w
}

/// A question that was not asked before.
fn another(w: &mut Story, rounds: u32) -> Request {
    let mut question = w.world.question(rounds);
    let noise = 1_000 + w.world.requests.len();
    question.task = question.task.replace("1000", &noise.to_string());
    question
}

/// The first analyst asks so many questions at once.
fn flood(w: &mut Story, questions: usize, rounds: u32) -> Vec<JobId> {
    let ask = |_| {
        let question = another(w, rounds);
        w.submit(question)
    };
    (0..questions).map(ask).collect()
}

/// The second asks one.
fn asks_once(w: &mut Story) -> JobId {
    let question = Request {
        analyst: OTHER.to_owned(),
        ..another(w, 1)
    };
    w.submit(question)
}

/// Questions that were asked and answers that were given, as the log has them.
struct Told(Vec<(Kind, ContentHash)>);

impl Told {
    fn of(w: &Story) -> Self {
        let coordinator = w.world.coordinator.engine.as_ref().expect("it is up");
        let leaves = coordinator.books().log().leaves(0..u64::MAX);
        let events = leaves.map(|leaf| SignedEvent::parse(leaf.as_bytes()).unwrap());
        let told = events.filter_map(|event| {
            let event = event.event();
            let request = event.references.get("request")?;
            matches!(event.kind, Kind::Request | Kind::Release).then_some((event.kind, *request))
        });
        Self(told.collect())
    }

    fn place(&self, w: &Story, kind: Kind, job: JobId) -> usize {
        let request = w.world.requests[&job].hash();
        let found = self.0.iter().position(|told| *told == (kind, request));
        found.unwrap_or_else(|| panic!("no {kind} of {job}"))
    }

    /// Answers to others from one place on, and up to another.
    fn answers(&self, from: usize, to: usize) -> usize {
        self.0[from..to]
            .iter()
            .filter(|(kind, _)| *kind == Kind::Release)
            .count()
    }
}

#[test]
fn one_question_is_answered_within_a_few_of_the_flood_that_came_before_it() {
    let mut w = two();
    let flood = flood(&mut w, 40, 1);
    w.until("Released"); // it is under way
    let job = asks_once(&mut w);
    w.run();
    w.expect_released(job);
    for job in &flood {
        w.expect_released(*job); // fair to the loud one, too
    }
    let told = Told::of(&w);
    let (asked, answered) = (told.place(&w, Kind::Request, job), told.place(&w, Kind::Release, job));
    let before = told.answers(asked, answered);
    // A place is free when one of the rounds under way ends; those beside it may end, and be followed by others, while its own goes on.
    let places = Limits::default().open_jobs;
    assert!(before <= 2 * places, "{before} answers before it, with {places} places");
    let after = told.answers(answered + 1, told.0.len());
    assert!(after >= 20, "the flood was still there: {after} answers after it");
}

#[test]
fn one_question_is_answered_between_the_rounds_of_runs_that_hold_every_place() {
    let mut w = two();
    let places = Limits::default().open_jobs;
    let runs = flood(&mut w, 2 * places, 12);
    w.until("RoundSummed");
    let job = asks_once(&mut w);
    w.run();
    w.expect_released(job);
    for run in &runs {
        w.expect_released(*run);
    }
    let told = Told::of(&w);
    let (asked, answered) = (told.place(&w, Kind::Request, job), told.place(&w, Kind::Release, job));
    assert_eq!(told.answers(asked, answered), 0, "no run had to end for it");
    assert_eq!(told.answers(0, asked), 0, "none had ended before");
}

/// Each of the two asks as much as the other, one of them all at once and long before: they end together.
#[test]
fn two_that_ask_alike_are_served_in_turn() {
    let mut w = two();
    let loud = flood(&mut w, 24, 1);
    w.until("Released");
    let quiet: Vec<JobId> = (0..10).map(|_| asks_once(&mut w)).collect();
    w.run();
    let told = Told::of(&w);
    let last = quiet
        .iter()
        .map(|job| told.place(&w, Kind::Release, *job))
        .max()
        .unwrap();
    let first = quiet
        .iter()
        .map(|job| told.place(&w, Kind::Request, *job))
        .min()
        .unwrap();
    let of_loud = |job: &&JobId| (first..last).contains(&told.place(&w, Kind::Release, **job));
    let meanwhile = loud.iter().filter(of_loud).count();
    let places = Limits::default().open_jobs;
    assert!(
        (10 - places..=10 + 2 * places).contains(&meanwhile),
        "{meanwhile} of the one's while ten of the other's"
    );
}
