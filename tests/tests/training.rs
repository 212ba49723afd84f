//! Training as a consortium lives it, told in virtual time: the real plan, contributions, noise and steps, while owners leave and
//! come back, machines die and data are not what they should be. What a run releases is recomputed outside, to the last bit.

use engine::JobId;
use engine::coordinator::JobState;
use governance::canonical::Real;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tests::sim::training::{Rows, Sites, Vectors, recompute, rows};
use tests::sim::world::START_MS;
use tests::sim::{Options, Story, World};
use workload::training::{Algorithm, KIND, LocalWork, ModelKind, TrainRelease, TrainTask};

/// Attempts beyond the rounds of a run, the first included.
const ATTEMPTS: u32 = 5;

struct Run {
    story: Story,
    vectors: Vectors,
    job: JobId,
    rounds: u32,
}

fn real(x: f64) -> Real {
    Real::new(x).unwrap()
}

fn logistic(rounds: u32) -> TrainTask {
    TrainTask {
        expected_units: Some(200),
        sampling_rate: real(0.5),
        momentum: real(0.5),
        ..TrainTask::dp_sgd(&["a", "b"], "label", ModelKind::Logistic, rounds)
    }
}

fn scaffold(rounds: u32) -> TrainTask {
    let local = Some(LocalWork {
        steps: 3,
        batch: 8,
        learning_rate: real(0.1),
    });
    TrainTask {
        algorithm: Algorithm::Scaffold,
        sampling_rate: real(1.0),
        momentum: real(0.0),
        local,
        ..logistic(rounds)
    }
}

fn tables(sites: usize) -> Vec<Rows> {
    (0..sites as u64).map(|site| rows(site, 40)).collect()
}

impl Run {
    /// A consortium with a live epoch that was just asked to train.
    fn of(tables: &[Rows], task: &TrainTask, seed: u64, options: Options) -> Self {
        let sites = Sites::new(tables, seed);
        let vectors = sites.vectors();
        let mut story = Story::told(World::of(seed, options, Box::new(sites)));
        let request = story.world.request(KIND, task.to_task(), 20.0);
        assert_eq!(request.max_attempts, ATTEMPTS);
        let job = story.submit(request);
        let rounds = task.rounds;
        Self {
            story,
            vectors,
            job,
            rounds,
        }
    }

    /// Its release, after everything that can be said against it was looked for.
    fn checked(&mut self) -> TrainRelease {
        let release = self.story.expect_released(self.job);
        let run = TrainRelease::from_json(release.body.as_bytes()).unwrap();
        let records = self.story.world.coordinator.records();
        let (recomputed, plan) = recompute(&release, &records, &self.vectors).unwrap_or_else(|what| panic!("{what}"));
        let weights: Vec<u64> = run.model.weights().unwrap().iter().map(|x| x.to_bits()).collect();
        let expected: Vec<u64> = recomputed.state.parameters.iter().map(|x| x.to_bits()).collect();
        assert_eq!(weights, expected);
        assert_eq!(
            (run.rounds, run.diverged),
            (recomputed.state.round, recomputed.diverged)
        );
        assert_eq!(run.losses, recomputed.state.curve.points(&plan, run.rounds));
        self.no_ledger_paid_more_than_was_said();
        run
    }

    fn no_ledger_paid_more_than_was_said(&mut self) {
        let checks = &mut self.story.world.checks;
        checks.no_request_costs_more_than_it_says(self.rounds, ATTEMPTS);
        assert_eq!(checks.broken, None);
    }

    fn is_open(&self) -> bool {
        !self.story.world.every_job_ended()
    }

    /// How often a round was tried again if it released and is sound; none if it failed with a reason that says something.
    fn released_or_clearly_failed(&mut self) -> Option<u32> {
        self.no_ledger_paid_more_than_was_said();
        let engine = self
            .story
            .world
            .coordinator
            .engine
            .as_ref()
            .expect("the coordinator is up");
        match &engine.books().job(&self.job).expect("the request arrived").state {
            JobState::Failed { refused, .. } => {
                assert!(
                    refused.code.starts_with("SOTTO-") && !refused.message.is_empty(),
                    "{refused:?}"
                );
                None
            }
            _ => {
                assert_eq!(self.checked().rounds, self.rounds);
                Some(self.story.expect_released(self.job).receipt.attempts - 1)
            }
        }
    }
}

#[test]
fn a_released_model_is_what_the_recorded_sums_make() {
    for (seed, task) in [(1, logistic(8)), (2, scaffold(6))] {
        let mut run = Run::of(&tables(5), &task, seed, Options::quiet(5, 1));
        run.story.run();
        let release = run.checked();
        assert_eq!((release.rounds, release.contributors_last_round), (task.rounds, 5));
        assert!((0..5).all(|place| run.story.tokens(place, run.job) == task.rounds));
    }
}

#[test]
fn owners_that_leave_and_restart_and_a_coordinator_that_dies_change_nothing_about_that() {
    for (seed, task) in [(3, logistic(16)), (4, scaffold(16))] {
        let options = Options {
            slots: 64,
            delay_ms: 400,
            in_order: false,
            ..Options::quiet(5, 1)
        };
        let mut run = Run::of(&tables(5), &task, seed, options);
        for _ in 0..3 {
            run.story.until("RoundSummed");
        }
        run.story.participant(4).restart();
        run.story.until("RoundSummed");
        run.story.until("Charged");
        run.story.participant(2).blink(3_000);
        for _ in 0..2 {
            run.story.until("RoundSummed");
        }
        run.story.world.crash_coordinator(Some(500));
        run.story.run();
        assert_eq!(run.checked().rounds, 16);
    }
}

#[test]
fn a_crash_at_any_moment_ends_in_a_release_or_a_clear_failure() {
    let (mut hit, mut ends) = (0, Vec::new());
    for seed in 0..20 {
        let mut run = Run::of(&tables(4), &logistic(8), seed, Options::quiet(4, 1));
        let mut dice = ChaCha20Rng::seed_from_u64(seed);
        run.story.wait(dice.random_range(0..2_000));
        hit += u32::from(run.is_open());
        match dice.random_range(0..6) {
            place @ 0..4 => run.story.participant(place).restart(),
            4 => run.story.participant(3).crash(),
            _ => run.story.world.crash_coordinator(Some(dice.random_range(10..20_000))),
        }
        run.story.run();
        ends.push(run.released_or_clearly_failed());
    }
    println!("{hit} of 20 hit; tried again: {ends:?}");
    assert!(hit >= 18, "moments within a run: {hit}");
    let released = ends.iter().flatten().count();
    assert!(released >= 15, "one crash is survived as a rule: {released}");
    assert!(
        ends.iter().flatten().any(|again| *again > 0),
        "a crash costs an attempt now and then"
    );
}

#[test]
fn under_drops_duplicates_partitions_and_crashes_a_run_ends_well_or_says_why() {
    let mut ends = Vec::new();
    for seed in 0..12 {
        let options = Options {
            delay_ms: 300,
            in_order: false,
            drop: 5,
            duplicate: 50,
            partition: 2,
            crash: 2,
            slow: 1,
            ..Options::quiet(5, 1)
        };
        let mut run = Run::of(&tables(5), &logistic(8), seed, options);
        run.story.world.faults = true;
        let until_ms = run.story.world.now_ms + 30_000;
        run.story
            .world
            .run_until(until_ms, |_| false)
            .unwrap_or_else(|broken| panic!("{broken}"));
        run.story.world.heal();
        run.story.run();
        ends.push(run.released_or_clearly_failed());
    }
    println!("tried again: {ends:?}");
    assert!(
        ends.iter().flatten().any(|again| *again > 0),
        "faults that nobody notices"
    );
}

#[test]
fn a_learning_rate_that_diverges_ends_with_the_last_good_model() {
    let task = TrainTask {
        learning_rate: real(1e6),
        momentum: real(0.9),
        ..logistic(30)
    };
    let mut run = Run::of(&tables(4), &task, 5, Options::quiet(4, 1));
    run.story.run();
    let release = run.checked();
    assert!(release.diverged && release.rounds < 30, "{} rounds", release.rounds);
    assert_eq!(release.rounds_charged, release.rounds + 1);
    // A run that ends before its last round leaves one token set aside in vain.
    let most = release.rounds_charged + 1;
    assert!((0..4).all(|place| (release.rounds_charged..=most).contains(&run.story.tokens(place, run.job))));
    assert!(release.model.weights().unwrap().iter().all(|x| x.is_finite()));
}

/// What a site holds shows in no message, no event and no clock but in its vector: with noise, so in the model and its loss.
#[test]
fn data_that_are_not_what_they_should_be_end_no_run_and_show_nowhere() {
    let told = |tables: &[Rows], task: &TrainTask| {
        let mut run = Run::of(tables, task, 6, Options::quiet(4, 1));
        run.story.run();
        let release = run.checked();
        assert_eq!((release.rounds, release.contributors_last_round), (6, 4));
        assert!(release.model.weights().unwrap().iter().all(|x| x.is_finite()));
        // The one thing that may differ: a public figure of the noisy sum.
        let line = |line: &String| match line.split_once("figure:") {
            Some((before, _)) => before.to_owned(),
            None => line.clone(),
        };
        let ended_ms = run.story.world.now_ms - START_MS;
        (run.story.world.trace.iter().map(line).collect::<Vec<_>>(), ended_ms)
    };
    let (x, y) = rows(9, 40);
    let with = |value: f32| {
        let mut x = x.clone();
        x.column_mut(0).iter_mut().step_by(2).for_each(|x| *x = value);
        (x, y.clone())
    };
    let single = (x.select(ndarray::Axis(0), &[0]), vec![1.0]);
    let ones: Vec<usize> = (0..40).filter(|row| y[*row] == 1.0).collect();
    let one_class = (x.select(ndarray::Axis(0), &ones), vec![1.0; ones.len()]);
    let broken = [
        with(f32::NAN),
        with(f32::INFINITY),
        with(f32::NEG_INFINITY),
        single,
        one_class,
        (Array2::zeros((0, 2)), Vec::new()),
        (x.clone(), vec![f32::NAN; 40]),
    ];
    for task in [logistic(6), scaffold(6)] {
        let sound = told(&tables(4), &task);
        for site in &broken {
            let mut tables = tables(4);
            tables[2] = site.clone();
            assert!(told(&tables, &task) == sound, "what was said depends on data");
        }
    }
}
