//! Every algorithm and model learns a known problem; without noise a federation is one large site.

use crate::common::{accuracy, data, points, real, rows, run};
use ndarray::Array2;
use workload::training::{Algorithm, Covers, LocalWork, ModelKind, Schedule, TrainTask};

fn quiet(target: &str, model: ModelKind, rounds: u32) -> TrainTask {
    TrainTask {
        non_private: true,
        expected_units: Some(400),
        clip_norm: real(100.0),
        ..TrainTask::dp_sgd(&["a", "b", "c"], target, model, rounds)
    }
}

#[test]
fn every_algorithm_learns_a_line_that_divides() {
    let sites = rows(1, 4, 100, "label");
    let (mu, beta1, beta2, tau) = (real(0.1), real(0.9), real(0.99), real(0.01));
    for (algorithm, rate) in [
        (Algorithm::DpSgd, 2.0),
        (Algorithm::FedAvg, 1.0),
        (Algorithm::FedProx { mu }, 1.0),
        (Algorithm::FedAvgM { momentum: real(0.5) }, 0.5),
        (Algorithm::FedAdam { beta1, beta2, tau }, 0.2),
        (Algorithm::FedYogi { beta1, beta2, tau }, 0.2),
        (Algorithm::Scaffold, 1.0),
    ] {
        let local = LocalWork {
            steps: 10,
            batch: 20,
            learning_rate: real(0.5),
        };
        let task = TrainTask {
            algorithm,
            learning_rate: real(rate),
            momentum: real(if algorithm == Algorithm::DpSgd { 0.5 } else { 0.0 }),
            local: (algorithm != Algorithm::DpSgd).then_some(local),
            ..quiet("label", ModelKind::Logistic, 40)
        };
        let release = run(&task, &points(), 1.0, &data(&sites), 1);
        let found = accuracy(&release, &sites);
        assert!(found > 0.95, "{algorithm:?}: {found}");
        assert_eq!((release.privacy.covers, release.rounds), (Covers::Nothing, 40));
    }
}

#[test]
fn every_model_learns_its_problem_with_noise_at_a_large_epsilon() {
    let hidden = vec![16, 8];
    for (target, column, model, rounds, least) in [
        ("label", "label", ModelKind::Logistic, 30, 0.9),
        ("class", "class", ModelKind::Softmax, 60, 0.75),
        ("ring", "label", ModelKind::Mlp { hidden }, 150, 0.85),
    ] {
        let sites = rows(2, 4, 400, target);
        let task = TrainTask {
            non_private: false,
            expected_units: Some(1600),
            clip_norm: real(1.0),
            learning_rate: real(1.0),
            momentum: real(0.8),
            sampling_rate: real(0.5),
            schedule: Schedule::Cosine,
            ..quiet(column, model, rounds)
        };
        let release = run(&task, &points(), 50.0, &data(&sites), 3);
        let found = accuracy(&release, &sites);
        assert!(found > least, "{target}: {found}");
        assert_eq!(release.privacy.covers, Covers::Unit);
        let spent = release.privacy.epsilon.unwrap().get();
        assert!(spent <= 50.0 && spent > 30.0, "{spent}");
    }
}

#[test]
fn without_noise_a_federation_is_one_large_site() {
    let sites = rows(5, 4, 60, "value");
    let task = TrainTask {
        expected_units: Some(240),
        learning_rate: real(0.3),
        momentum: real(0.7),
        weight_decay: real(0.01),
        schedule: Schedule::Step {
            every: 10,
            factor: real(0.5),
        },
        ..quiet("value", ModelKind::Linear, 25)
    };
    let release = run(&task, &points(), 1.0, &data(&sites), 1);
    // Plain gradient descent on the pooled rows, written out.
    let (mut x, mut velocity) = ([0.0f64; 4], [0.0f64; 4]);
    for round in 0..25 {
        let mut gradient = [0.0; 4];
        for (features, targets) in &sites {
            for (row, y) in features.rows().into_iter().zip(targets) {
                let a = [f64::from(row[0]), f64::from(row[1]), f64::from(row[2]), 1.0];
                let error = a.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>() - f64::from(*y);
                a.iter().zip(&mut gradient).for_each(|(a, g)| *g += a * error / 240.0);
            }
        }
        let rate = 0.3 * 0.5f64.powi(round / 10);
        for i in 0..4 {
            let decay = if i < 3 { 0.01 * x[i] } else { 0.0 };
            velocity[i] = 0.7 * velocity[i] + gradient[i] + decay;
            x[i] -= rate * velocity[i];
        }
    }
    for (found, expected) in release.model.weights().unwrap().iter().zip(x) {
        assert!((found - expected).abs() < 1e-6, "{found} against {expected}");
    }
}

#[test]
fn scaffold_forgives_sites_that_differ() {
    // Each site sees one class alone: local steps drift apart, and control variates take the drift out.
    let mut sites = rows(7, 2, 200, "label");
    for (site, (features, targets)) in sites.iter_mut().enumerate() {
        let keep: Vec<usize> = (0..200).filter(|i| targets[*i] as usize == site).collect();
        *features = features.select(ndarray::Axis(0), &keep);
        *targets = vec![site as f32; keep.len()];
    }
    let local = Some(LocalWork {
        steps: 50,
        batch: 0,
        learning_rate: real(0.5),
    });
    let loss = |algorithm| {
        let task = TrainTask {
            algorithm,
            local,
            learning_rate: real(1.0),
            ..quiet("label", ModelKind::Logistic, 20)
        };
        let release = run(&task, &points(), 1.0, &data(&sites), 1);
        let one = |(features, targets): &(Array2<f32>, Vec<f32>)| {
            let p = release.model.predict(features).unwrap();
            p.iter()
                .zip(targets)
                .map(|(p, y)| -(1.0 - (p - f64::from(*y)).abs()).max(1e-12).ln())
                .sum::<f64>()
        };
        sites.iter().map(one).sum::<f64>()
    };
    let (averaged, controlled) = (loss(Algorithm::FedAvg), loss(Algorithm::Scaffold));
    assert!(controlled < averaged, "{controlled} against {averaged}");
}

#[test]
fn an_exploding_run_ends_with_its_last_good_model_and_says_so() {
    let sites = rows(3, 4, 50, "value");
    let task = TrainTask {
        learning_rate: real(1e6),
        clip_norm: real(1e6),
        ..quiet("value", ModelKind::Linear, 30)
    };
    let release = run(&task, &points(), 1.0, &data(&sites), 1);
    assert!(release.diverged && release.rounds + 1 == release.rounds_charged);
    assert!(release.model.weights().unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn a_site_without_rows_and_one_with_three_are_no_hindrance() {
    let mut sites = rows(4, 4, 100, "label");
    sites[1] = (Array2::zeros((0, 3)), Vec::new());
    sites[2].0 = sites[2].0.select(ndarray::Axis(0), &[0, 1, 2]);
    sites[2].1.truncate(3);
    for algorithm in [Algorithm::DpSgd, Algorithm::Scaffold] {
        let local = LocalWork {
            steps: 5,
            batch: 8,
            learning_rate: real(0.5),
        };
        let task = TrainTask {
            algorithm,
            local: (algorithm != Algorithm::DpSgd).then_some(local),
            learning_rate: real(1.0),
            ..quiet("label", ModelKind::Logistic, 30)
        };
        let release = run(&task, &points(), 1.0, &data(&sites), 1);
        assert!(accuracy(&release, &sites) > 0.9);
    }
}
