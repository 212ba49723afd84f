//! The curve of losses: it says what the rows say, as far as the noise lets it, and no step reads it.

use crate::common::{TERMS, data, points, real, rows, run};
use engine::{CohortTerms, PlainSum};
use ndarray::Array2;
use workload::training::{
    Algorithm, KeyedCoins, LocalWork, ModelKind, State, Stepped, TrainPlan, TrainRelease, TrainTask, TrainingData,
    contribution, step,
};

fn logistic(rounds: u32) -> TrainTask {
    TrainTask {
        expected_units: Some(1600),
        learning_rate: real(1.0),
        momentum: real(0.8),
        ..TrainTask::dp_sgd(&["a", "b", "c"], "label", ModelKind::Logistic, rounds)
    }
}

fn fedavg(rounds: u32) -> TrainTask {
    let local = Some(LocalWork {
        steps: 5,
        batch: 0,
        learning_rate: real(0.5),
    });
    TrainTask {
        algorithm: Algorithm::FedAvg,
        momentum: real(0.0),
        local,
        ..logistic(rounds)
    }
}

#[test]
fn a_private_run_that_diverged_within_the_finite_numbers_shows_it_and_a_sound_one_shows_nothing() {
    let sites = rows(3, 4, 300, "label");
    let run_at = |rate: f64, target: &str, model| {
        let task = TrainTask {
            learning_rate: real(rate),
            target: target.to_owned(),
            model,
            ..logistic(15)
        };
        run(&task, &points(), 3.0, &data(&sites), 1)
    };
    let sound = run_at(1.0, "label", ModelKind::Logistic);
    assert_eq!(
        (sound.diverged, sound.loss_rose(), sound.overgrown()),
        (false, None, None)
    );
    // Not out of the finite numbers, and its loss, cut at its bound, need not have risen.
    let wild = run_at(1000.0, "label", ModelKind::Logistic);
    assert!(
        !wild.diverged && wild.overgrown().unwrap() > 50.0,
        "{:?}",
        wild.overgrown()
    );
    let losses = |release: &TrainRelease| {
        release
            .losses
            .iter()
            .map(|p| p.loss.map(|x| x.get()))
            .collect::<Vec<_>>()
    };
    println!("{:?}\n{:?} {:?}", losses(&sound), losses(&wild), wild.loss_rose());
}

#[test]
fn steps_that_are_far_too_long_make_the_loss_rise() {
    let sites = rows(3, 4, 300, "value");
    let task = |rate: f64| TrainTask {
        learning_rate: real(rate),
        momentum: real(0.0),
        target: "value".to_owned(),
        model: ModelKind::Linear,
        ..logistic(15)
    };
    let run_at = |rate| run(&task(rate), &points(), 8.0, &data(&sites), 1);
    assert_eq!(run_at(0.5).loss_rose(), None);
    let rose = run_at(50.0).loss_rose().unwrap();
    assert!(rose.end > rose.start + rose.margin, "{rose:?}");
}

#[test]
fn without_noise_the_curve_is_the_loss_of_the_model_before_each_round() {
    let sites = rows(2, 4, 100, "label");
    for task in [logistic(20), fedavg(20)] {
        let release = |rounds| {
            let task = TrainTask {
                non_private: true,
                rounds,
                ..task.clone()
            };
            run(&task, &points(), 1.0, &data(&sites), 1)
        };
        let whole = release(20);
        assert_eq!(whole.losses.len(), 20);
        for rounds in [1u32, 7, 19] {
            let model = release(rounds).model;
            let mut sum = 0.0;
            for (features, targets) in &sites {
                let p = model.predict(features).unwrap();
                sum += p
                    .iter()
                    .zip(targets)
                    .map(|(p, y)| -(1.0 - (p - f64::from(*y)).abs()).ln())
                    .sum::<f64>();
            }
            let point = &whole.losses[rounds as usize];
            assert_eq!((point.from_round, point.to_round), (rounds, rounds));
            let (found, expected) = (point.loss.unwrap().get(), sum / 400.0);
            assert!((found - expected).abs() < 1e-5, "{found} against {expected}");
            assert_eq!(point.deviation.unwrap().get(), 0.0);
        }
        let start = whole.losses[0].loss.unwrap().get();
        assert!((start - std::f64::consts::LN_2).abs() < 1e-6, "{start}");
        assert!(whole.losses[19].loss.unwrap().get() < 0.5 * start);
    }
}

#[test]
fn with_noise_the_curve_falls_and_errs_as_it_says() {
    let sites = rows(2, 4, 400, "label");
    let (mut errors, mut points_seen) = (0.0, 0);
    for seed in 0..10 {
        let release = run(&logistic(15), &points(), 10.0, &data(&sites), seed);
        let first = &release.losses[0];
        let (loss, deviation) = (first.loss.unwrap().get(), first.deviation.unwrap().get());
        assert!(deviation > 0.0 && deviation < 0.1, "{deviation}");
        // Every unit takes part at rate 1 and the first model knows nothing.
        errors += ((loss - std::f64::consts::LN_2) / deviation).powi(2);
        points_seen += release.losses.len();
        let late: f64 = release.losses[10..].iter().map(|p| p.loss.unwrap().get()).sum::<f64>() / 5.0;
        assert!(late < 0.5, "{late}");
    }
    assert_eq!(points_seen, 150);
    // Chi-squared with ten degrees: beyond these once in ten thousand each.
    assert!((0.8..35.6).contains(&errors), "{errors}");
}

#[test]
fn a_count_that_the_noise_hides_shows_no_loss() {
    let sites = rows(9, 4, 100, "label");
    let release = run(&fedavg(5), &points(), 20.0, &data(&sites), 1);
    assert_eq!(release.losses.len(), 5);
    assert!(release.losses.iter().all(|p| p.loss.is_none() && p.deviation.is_none()));
}

#[test]
fn a_long_run_keeps_at_most_256_points_that_cover_all_its_rounds() {
    let task = TrainTask {
        sampling_rate: real(0.02),
        ..logistic(600)
    };
    let release = run(&task, &points(), 8.0, &data(&rows(3, 4, 100, "label")), 1);
    assert_eq!(release.losses.len(), 150);
    let mut next = 0;
    for point in &release.losses {
        assert_eq!(point.from_round, next);
        next = point.to_round + 1;
    }
    assert_eq!(next, 600);
}

#[test]
fn no_step_reads_loss_or_count_and_every_state_keeps_them() {
    let plan = TrainPlan::new(logistic(3), &points(), &TERMS, 3.0, 1e-5).unwrap();
    let state = State::initial(&plan);
    let after = |figure: i64| {
        let mut values = vec![1 << 12; plan.dim()];
        values[4..].fill(figure);
        let (contributors, variance) = (4, 4 * plan.noise.variance);
        let sum = PlainSum {
            values,
            contributors,
            variance,
        };
        match step(&plan, &state, &sum).unwrap() {
            Stepped::Next(next) => next,
            Stepped::Diverged => panic!("a small step"),
        }
    };
    let (one, other) = (after(1 << 20), after(-1 << 30));
    assert_eq!((&one.parameters, &one.memory), (&other.parameters, &other.memory));
    assert!(one.hash() != other.hash());
}

/// Another attempt may be planned for another cohort, and so on another lattice.
#[test]
fn rounds_on_different_lattices_stand_on_one_curve() {
    let other = CohortTerms { n: 40, c: 1, s_min: 30 };
    let quiet = |terms| {
        let mut plan = TrainPlan::new(logistic(2), &points(), terms, 3.0, 1e-5).unwrap();
        plan.noise.variance = 0;
        plan
    };
    let plans = [quiet(&TERMS), quiet(&other)];
    assert!(plans[0].radius != plans[1].radius, "a case where lattices differ");
    let mut state = State::initial(&plans[0]);
    let data = data(&rows(2, 1, 100, "label")).remove(0);
    for plan in &plans {
        // The server does not move, so both rounds see the same model.
        let mut still = plan.clone();
        still.task.learning_rate = real(0.0);
        let values = contribution(plan, &state, &data, &mut KeyedCoins::new(&[1; 32]))
            .unwrap()
            .values;
        let sum = PlainSum {
            values,
            contributors: 1,
            variance: 0,
        };
        match step(&still, &state, &sum).unwrap() {
            Stepped::Next(next) => state = next,
            Stepped::Diverged => panic!("a step of zero"),
        }
    }
    let [first, second] = [0, 1].map(|i| state.curve.points(&plans[1], 2)[i].loss.unwrap().get());
    assert!((first - second).abs() < 1e-5, "{first} {second}");
}

#[test]
fn a_site_without_rows_and_a_row_that_is_no_number_weigh_nothing() {
    for task in [logistic(2), fedavg(2)] {
        let plan = TrainPlan::new(task, &points(), &TERMS, 3.0, 1e-5).unwrap();
        let state = State::initial(&plan);
        let none = TrainingData::rows(&Array2::zeros((0, 3)), &[]).unwrap();
        let broken = TrainingData::rows(&Array2::from_elem((1, 3), f32::NAN), &[1.0]).unwrap();
        for (data, dropped) in [(none, 0), (broken, 1)] {
            let found = contribution(&plan, &state, &data, &mut KeyedCoins::new(&[1; 32])).unwrap();
            assert_eq!((found.values, found.dropped), (vec![0; plan.dim()], dropped));
        }
    }
}

#[test]
fn a_release_of_an_earlier_version_has_no_curve_and_is_read() {
    let release = run(&logistic(2), &points(), 3.0, &data(&rows(3, 4, 20, "label")), 1);
    let mut json = serde_json::to_value(&release).unwrap();
    json.as_object_mut().unwrap().remove("losses").unwrap();
    let read = TrainRelease::from_json(json.to_string().as_bytes()).unwrap();
    assert!(read.losses.is_empty() && read.model == release.model);
}
