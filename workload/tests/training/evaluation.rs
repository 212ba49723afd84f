//! Evaluation as a round: exact without noise, close with it, and never moved further by a unit than the plan says.

use crate::common::{Rows, TERMS, accuracy, data, points, real, request, rows, run};
use engine::{Outcome, PlainSum, Workload};
use governance::Request;
use privacy::clip::{Clipped, NoiseBatch};
use privacy::sampler::ExactSampler;
use proptest::prelude::*;
use workload::training::{
    EVALUATE_KIND, EvaluatePlan, EvaluateTask, EvaluateWorkload, Evaluation, ModelKind, Part, TrainRelease, TrainTask,
    TrainingData, counts,
};

fn trained(target: &str, model: ModelKind) -> (TrainRelease, Vec<Rows>) {
    let sites = rows(11, 4, 300, target);
    let task = TrainTask {
        non_private: true,
        expected_units: Some(1200),
        learning_rate: real(1.0),
        momentum: real(0.5),
        clip_norm: real(10.0),
        ..TrainTask::dp_sgd(&["a", "b", "c"], target, model, 30)
    };
    (run(&task, &points(), 1.0, &data(&sites), 1), sites)
}

fn task(release: &TrainRelease, group: Option<&str>) -> EvaluateTask {
    EvaluateTask {
        model: release.model.clone(),
        part: Part::All,
        holdout: None,
        group: group.map(str::to_owned),
        bins: 40,
    }
}

fn ask(task: &EvaluateTask, epsilon: f64) -> Request {
    let base = request(
        &TrainTask::dp_sgd(&["a"], "label", ModelKind::Logistic, 1),
        &points(),
        epsilon,
    );
    Request {
        kind: EVALUATE_KIND.into(),
        task: task.to_task(),
        ..base
    }
}

/// The whole round; `epsilon` infinite leaves the noise out.
fn evaluate(task: &EvaluateTask, sites: &[Rows], groups: &[Vec<Option<u32>>], epsilon: f64) -> Evaluation {
    let plan = EvaluateWorkload
        .plan(&ask(task, epsilon.min(20.0)), &points(), &TERMS)
        .unwrap();
    let own = EvaluatePlan::from_bytes(&plan.bytes).unwrap();
    let mut values = vec![0i64; plan.dim];
    for (site, (x, y)) in sites.iter().enumerate() {
        let counted = counts(
            &own,
            &TrainingData::rows(x, y).unwrap(),
            groups.get(site).map_or(&[], |g| g),
        )
        .unwrap();
        let noise = match epsilon.is_finite() {
            true => NoiseBatch::draw(plan.dim, plan.variance, &mut ExactSampler::new([site as u8; 32])).unwrap(),
            false => NoiseBatch::none(plan.dim),
        };
        let noised = Clipped::clamp(counted, &plan.bounds).unwrap().add(noise).unwrap();
        values
            .iter_mut()
            .zip(noised.into_values())
            .for_each(|(sum, v)| *sum += v);
    }
    let sum = PlainSum {
        values,
        contributors: 4,
        variance: if epsilon.is_finite() { 4 * plan.variance } else { 0 },
    };
    match EvaluateWorkload.absorb(&plan, 0, None, &sum).unwrap() {
        Outcome::Done { release } => serde_json::from_slice(&release).unwrap(),
        Outcome::Again { .. } => panic!("one round"),
    }
}

fn value(estimate: Option<workload::training::Estimate>) -> f64 {
    estimate.map_or(f64::NAN, |e| e.value.get())
}

#[test]
fn without_noise_the_figures_are_those_of_the_rows() {
    let (release, sites) = trained("label", ModelKind::Logistic);
    let groups: Vec<Vec<Option<u32>>> = sites
        .iter()
        .map(|(x, _)| x.column(2).iter().map(|c| Some(u32::from(*c > 0.0))).collect())
        .collect();
    let report = evaluate(&task(&release, Some("class")), &sites, &groups, f64::INFINITY);
    let exact = accuracy(&release, &sites);
    assert!((value(report.overall.accuracy) - exact).abs() < 1e-9);
    assert_eq!(value(report.overall.rows), 1200.0);
    assert!(value(report.overall.auc) > 0.98 && value(report.overall.log_loss) < 0.5);
    assert_eq!((report.groups.len(), value(report.groups[2].rows)), (3, 0.0));
    assert!(report.accuracy_gap.unwrap() < real(0.1) && report.calibration.len() == 40);
    let confusion: f64 = report.confusion.iter().flatten().map(|x| x.get()).sum();
    assert_eq!(confusion, 1200.0);
}

#[test]
fn with_noise_the_intervals_hold_the_truth() {
    for (target, model) in [("label", ModelKind::Logistic), ("class", ModelKind::Softmax)] {
        let (release, sites) = trained(target, model);
        let (open, noisy) = (
            evaluate(&task(&release, None), &sites, &[], f64::INFINITY),
            evaluate(&task(&release, None), &sites, &[], 1.0),
        );
        for (truth, found) in [
            (open.overall.accuracy, noisy.overall.accuracy),
            (open.overall.rows, noisy.overall.rows),
        ] {
            let (truth, found) = (truth.unwrap().value, found.unwrap());
            let half = found.high.get() - found.value.get();
            assert!(
                (truth.get() - found.value.get()).abs() <= 2.0 * half.max(1e-3),
                "{target}: {truth} in {found:?}"
            );
        }
        assert!((value(open.overall.accuracy) - value(noisy.overall.accuracy)).abs() < 0.1);
    }
    let (release, sites) = trained("value", ModelKind::Linear);
    let open = evaluate(&task(&release, None), &sites, &[], f64::INFINITY);
    assert!(open.overall.rmse.unwrap() < real(1.0), "{:?}", open.overall);
}

#[test]
fn a_gap_is_between_groups_whose_share_the_noise_left() {
    let (release, sites) = trained("label", ModelKind::Logistic);
    // Nearly everybody is of the second class; of the first is one row, and nobody of the third.
    let few: Vec<Vec<Option<u32>>> = sites
        .iter()
        .enumerate()
        .map(|(site, (x, _))| (0..x.nrows()).map(|row| Some(u32::from(site + row > 0))).collect())
        .collect();
    let many: Vec<Vec<Option<u32>>> = sites
        .iter()
        .map(|(x, _)| x.column(2).iter().map(|c| Some(u32::from(*c > 0.0))).collect())
        .collect();
    let gap = |groups| evaluate(&task(&release, Some("class")), &sites, groups, 1.0);
    let lost = gap(&few);
    let known = |found: Option<workload::training::Estimate>| found.is_some_and(|share| !share.is_lost_share());
    let left = lost.groups.iter().filter(|group| known(group.accuracy)).count();
    assert_eq!((left, lost.accuracy_gap), (1, None), "{:?}", lost.groups);
    let found = gap(&many);
    assert!(found.accuracy_gap.is_some_and(|gap| gap < real(0.2)), "{found:?}");
}

#[test]
fn a_model_of_another_contract_is_refused() {
    let (release, _) = trained("label", ModelKind::Logistic);
    let mut other = task(&release, None);
    other.model.encoder.columns[0].coding = workload::training::Coding::Number {
        low: real(-5.0),
        high: real(1.0),
    };
    let refusal = EvaluateWorkload
        .plan(&ask(&other, 1.0), &points(), &TERMS)
        .err()
        .unwrap();
    assert_eq!(refusal.code, "SOTTO-1006");
    let mut short = task(&release, None);
    short.model.parameters.clear();
    assert!(EvaluateWorkload.plan(&ask(&short, 1.0), &points(), &TERMS).is_err());
    let odd = EvaluateTask {
        bins: 7,
        ..task(&release, None)
    };
    assert!(EvaluateWorkload.plan(&ask(&odd, 1.0), &points(), &TERMS).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_unit_moves_the_counts_no_further_than_is_charged(seed in any::<u64>(), extra in 1usize..9) {
        let text = points().canonical_json()
            .replace("\"max_rows\":1,", "\"max_rows\":3,")
            .replace("\"privacy_unit\":null", "\"privacy_unit\":\"class\"");
        let contract = governance::Contract::from_canonical_json(&text).unwrap();
        let model = trained_once();
        let task = EvaluateTask { model, part: Part::All, holdout: None, group: None, bins: 4 };
        let plan = EvaluatePlan::new(task, &contract, &TERMS, 1.0, 1e-5).unwrap();
        prop_assert_eq!(plan.rows_per_unit, 3);
        let (x, y) = rows(seed, 1, 20 + extra, "label").remove(0);
        let count = |units: &[usize]| {
            let end = *units.last().unwrap();
            let keep: Vec<usize> = (0..end).collect();
            let x = x.select(ndarray::Axis(0), &keep);
            let held = vec![false; units.len() - 1];
            counts(&plan, &TrainingData::new(&x, &y[..end], units, &held).unwrap(), &[]).unwrap()
        };
        let (without, with) = (count(&[0, 10, 20]), count(&[0, 10, 20, 20 + extra]));
        let moved: i128 = with.iter().zip(&without).map(|(a, b)| i128::from(a - b).pow(2)).sum();
        prop_assert!(moved <= i128::from(3 * plan.weight as i64).pow(2));
    }
}

fn trained_once() -> workload::training::TrainedModel {
    static MODEL: std::sync::OnceLock<workload::training::TrainedModel> = std::sync::OnceLock::new();
    MODEL
        .get_or_init(|| trained("label", ModelKind::Logistic).0.model)
        .clone()
}
