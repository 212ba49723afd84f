//! The bars of the accuracy table, on four hospitals. `heart.csv` is the table of client/demo/heart.parquet as text.

use super::*;

fn hearts() -> (Bench, Encoded) {
    let bench = Bench::heart().unwrap();
    let table = Table::from_csv(include_str!("../../../workload/tests/training/heart.csv")).unwrap();
    let encoded = Encoded::new(&bench, &table).unwrap();
    assert_eq!((encoded.units(), encoded.sites.len()), (920, 4));
    (bench, encoded)
}

#[test]
fn four_hospitals_reach_the_bars() {
    let (bench, encoded) = hearts();
    let figures = compare(&bench, &encoded, &[1.0, 3.0, 8.0, f64::INFINITY], 5, &mut |figure| {
        let Summary { mean, min, max } = figure.summary;
        println!(
            "{:24} epsilon {:4} auc {mean:.4} ({min:.4}-{max:.4})",
            figure.setting.name(),
            figure.epsilon
        );
    })
    .unwrap();
    let mean = |setting: Setting, epsilon: f64| {
        let found = figures.iter().find(|f| f.setting == setting && f.epsilon == epsilon);
        found.unwrap().summary.mean
    };
    let open = mean(Setting::FederatedNonPrivate, f64::INFINITY);
    assert!((open - mean(Setting::Pooled, f64::INFINITY)).abs() <= 0.005);
    for (epsilon, most) in [(8.0, 0.005), (3.0, 0.010), (1.0, 0.030)] {
        let private = mean(Setting::FederatedDp, epsilon);
        assert!(open - private <= most, "epsilon {epsilon}: {private} against {open}");
        let central = mean(Setting::CentralDp, epsilon);
        assert!(
            (central - private).abs() <= most.max(0.01),
            "{private} against central {central}"
        );
    }
    for site in &encoded.sites {
        let alone = mean(Setting::Site(site.clone()), f64::INFINITY);
        assert!(mean(Setting::FederatedDp, 3.0) > alone, "{site}: {alone}");
    }
}

/// The same units, the same plan: what 200 federated and 200 central runs end at has one mean and one spread.
#[test]
fn the_federation_and_a_trusted_server_draw_from_one_distribution() {
    let (mut bench, encoded) = hearts();
    bench.task.rounds = 3;
    let plan = bench.plan(1.0).unwrap();
    let split = encoded.split(1);
    let sites: Vec<_> = split.sites.iter().map(|units| encoded.data(units).unwrap()).collect();
    let all = split.sites.concat();
    let runs = 200u64;
    let moments = |of: &dyn Fn(u64) -> Trained| -> Vec<(f64, f64)> {
        let ends: Vec<Vec<f64>> = (1..=runs).map(|seed| of(seed).model.weights().unwrap()).collect();
        let moment = |i: usize| {
            let mean = ends.iter().map(|end| end[i]).sum::<f64>() / runs as f64;
            (
                mean,
                ends.iter().map(|end| (end[i] - mean).powi(2)).sum::<f64>() / runs as f64,
            )
        };
        (0..ends[0].len()).map(moment).collect()
    };
    let distributed = moments(&|seed| federated(&plan, &sites, seed, 0.0).unwrap());
    let trusted = moments(&|seed| central(&plan, &encoded, &all, seed).unwrap());
    for ((a, v), (b, w)) in distributed.into_iter().zip(trusted) {
        // Five deviations of a difference of means, and of a ratio of variances.
        assert!((a - b).abs() < 5.0 * ((v + w) / runs as f64).sqrt(), "{a} against {b}");
        assert!((v / w).ln().abs() < 5.0 * (4.0 / runs as f64).sqrt(), "{v} against {w}");
    }
}

#[test]
fn sites_that_drop_out_cost_rounds_and_never_the_run() {
    let (bench, encoded) = hearts();
    let [none, some] = [0.0, 0.2].map(|rate| dropout(&bench, &encoded, 3.0, rate, 3).unwrap());
    assert_eq!(none.attempts_per_round, 1.0);
    assert!(some.attempts_per_round > 1.0 && some.epsilon > none.epsilon && none.epsilon <= 3.0);
    assert!(
        some.summary.mean > none.summary.mean - 0.03,
        "{:?} against {:?}",
        some.summary,
        none.summary
    );
    assert!(dropout(&bench, &encoded, 3.0, 1.0, 1).is_err());
}

#[test]
fn a_small_alpha_leaves_sites_with_one_class_and_a_large_one_does_not() {
    let (_, encoded) = hearts();
    let spread = |alpha: f64| {
        let dealt = dirichlet(&encoded, 10, alpha, 1);
        let sizes: Vec<usize> = dealt.split(1).sites.iter().map(Vec::len).collect();
        sizes.iter().max().unwrap() - sizes.iter().min().unwrap()
    };
    assert!(spread(0.1) > spread(100.0) + 50);
}

#[test]
fn every_algorithm_converges_on_hearts_and_its_curve_says_so() {
    let (bench, encoded) = hearts();
    for algorithm in algorithms().unwrap() {
        let found = convergence(&bench, &encoded, algorithm, 1.0, 40, 1).unwrap();
        let (first, last) = (found.curve[0], found.curve[found.curve.len() - 1]);
        println!("{:8} {first:?} to {last:?}", found.algorithm);
        assert!(first == (0, 0.5) && last.0 == 40 && last.1 > 0.85 && found.diverged == 0);
    }
}

/// Below the claim with noise, and far above any honest claim without: the attack has teeth.
#[test]
fn an_audit_refutes_a_run_without_noise_and_no_run_with_it() {
    let (bench, encoded) = hearts();
    for seed in 1..=3 {
        for epsilon in [1.0, 3.0, 8.0] {
            let found = audit(&bench, &encoded, epsilon, (200, 60), seed).unwrap();
            println!("{found:?}");
            assert!(found.epsilon_claimed <= epsilon && found.epsilon_lower_bound <= found.epsilon_claimed);
            assert!((0.4..0.6).contains(&found.attack_auc));
        }
        let open = audit(&bench, &encoded, f64::INFINITY, (60, 60), seed).unwrap();
        println!("{open:?}");
        assert!(open.epsilon_claimed.is_infinite() && open.epsilon_lower_bound > 2.0);
    }
}
