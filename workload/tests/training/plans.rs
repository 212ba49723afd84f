//! Plans: what they cost, what they refuse, what survives bytes.

use crate::common::{TERMS, data, points, real, request, rows, run};
use engine::{CohortTerms, Outcome, PlainSum, Ring, Workload};
use governance::Contract;
use privacy::cost::{cap_order, epsilon_at};
use proptest::prelude::*;
use workload::training::{
    Algorithm, Covers, FEATURE, KeyedCoins, LocalWork, ModelKind, State, TrainPlan, TrainTask, TrainWorkload,
    TrainingData, contribution,
};

fn task(rounds: u32) -> TrainTask {
    TrainTask::dp_sgd(&["a", "b", "c"], "label", ModelKind::Logistic, rounds)
}

fn plan(task: TrainTask, epsilon: f64) -> TrainPlan {
    TrainPlan::new(task, &points(), &TERMS, epsilon, 1e-5).unwrap()
}

fn fedavg(rounds: u32) -> TrainTask {
    let local = Some(LocalWork {
        steps: 5,
        batch: 0,
        learning_rate: real(0.1),
    });
    TrainTask {
        algorithm: Algorithm::FedAvg,
        local,
        ..task(rounds)
    }
}

#[test]
fn all_rounds_together_cost_just_what_was_asked() {
    for (task, epsilon) in [
        (task(15), 3.0),
        (task(15), 1.0),
        (
            TrainTask {
                sampling_rate: real(0.05),
                ..task(1000)
            },
            1.0,
        ),
        (
            TrainTask {
                sampling_rate: real(0.01),
                ..task(200)
            },
            8.0,
        ),
        (fedavg(20), 8.0),
    ] {
        let plan = plan(task, epsilon).to_plan().unwrap();
        let spent = epsilon_at(
            &plan.charge.times(u64::from(plan.rounds)),
            cap_order(epsilon, 1e-5),
            1e-5,
        );
        assert!(spent <= epsilon && spent > 0.99 * epsilon, "{spent} of {epsilon}");
        assert!(plan.variance >= 16);
    }
}

#[test]
fn a_replaced_site_moves_the_sum_twice_as_far_and_sampling_does_not_help() {
    let plan = plan(fedavg(10), 3.0);
    let bound = plan.lattice().unwrap().whole_squared() as f64;
    let unamplified = privacy::cost::distributed_gaussian(&privacy::GaussianTerms {
        shares: 2,
        variance: plan.noise.variance,
        l2_squared: 4 * bound as u128,
        l1: ((4.0 * bound * plan.dim() as f64).sqrt() as u128) + 1,
        dim: plan.dim() as u64,
    });
    let ten = privacy::cost::epsilon(&plan.charge().times(10), 1e-5);
    assert!((ten - privacy::cost::epsilon(&unamplified.times(10), 1e-5)).abs() < 1e-6);
}

#[test]
fn a_person_at_two_participants_costs_more_noise() {
    let twice = points()
        .canonical_json()
        .replace("\"participants\":1", "\"participants\":2");
    let twice = Contract::from_canonical_json(&twice).unwrap();
    for q in [1.0, 0.05] {
        let task = TrainTask {
            sampling_rate: real(q),
            ..task(20)
        };
        let one = TrainPlan::new(task.clone(), &points(), &TERMS, 2.0, 1e-5).unwrap();
        let two = TrainPlan::new(task, &twice, &TERMS, 2.0, 1e-5).unwrap();
        let sd = |p: &TrainPlan| (p.noise.variance as f64).sqrt() / p.radius as f64;
        assert!(sd(&two) > 1.99 * sd(&one), "{} {}", sd(&two), sd(&one));
    }
}

#[test]
fn an_impossible_budget_says_what_would_work() {
    let refusal = TrainPlan::new(task(1000), &points(), &TERMS, 0.002, 1e-5).unwrap_err();
    assert_eq!(refusal.code, "SOTTO-1002");
    let remedy = refusal.remedy.unwrap();
    let words: Vec<&str> = remedy.split([' ', ';']).collect();
    let at = words.iter().position(|w| *w == "epsilon").unwrap();
    let smallest: f64 = words[at + 1].parse().unwrap();
    let just = TrainPlan::new(task(1000), &points(), &TERMS, smallest, 1e-5);
    assert!(just.is_ok(), "{remedy}: {just:?}");
    assert!(TrainPlan::new(task(1000), &points(), &TERMS, 0.95 * smallest, 1e-5).is_err());
    let none = CohortTerms { n: 4, c: 3, s_min: 3 };
    assert!(TrainPlan::new(task(10), &points(), &none, 1.0, 1e-5).is_err());
}

#[test]
fn small_sums_take_32_bits_and_large_ones_64() {
    let small = TrainTask {
        sampling_rate: real(0.05),
        ..task(100)
    };
    let start = std::time::Instant::now();
    assert_eq!(plan(small, 3.0).ring, Ring::Z32);
    println!("a sampled plan took {:?}", start.elapsed());
    let large = points()
        .canonical_json()
        .replace("\"max_rows\":400", "\"max_rows\":4000000");
    let large = Contract::from_canonical_json(&large).unwrap();
    assert_eq!(
        TrainPlan::new(task(10), &large, &TERMS, 3.0, 1e-5).unwrap().ring,
        Ring::Z64
    );
}

#[test]
fn requests_and_states_that_do_not_belong_are_refused() {
    let contract = points();
    let mut wrong = request(&task(3), &contract, 1.0);
    wrong.kind = "query".into();
    assert!(TrainWorkload.plan(&wrong, &contract, &TERMS).is_err());
    let unknown = TrainTask {
        features: vec!["aa".into()],
        ..task(3)
    };
    let refusal = TrainWorkload
        .plan(&request(&unknown, &contract, 1.0), &contract, &TERMS)
        .err()
        .unwrap();
    assert_eq!(refusal.code, FEATURE);

    let plan = TrainWorkload
        .plan(&request(&task(3), &contract, 1.0), &contract, &TERMS)
        .unwrap();
    let own = TrainPlan::from_bytes(&plan.bytes).unwrap();
    assert_eq!(own.to_bytes(), *plan.bytes);
    let sum = |n: usize| PlainSum {
        values: vec![1 << 10; n],
        contributors: 4,
        variance: 4,
    };
    // Three weights, a bias, loss and count.
    assert!(TrainWorkload.absorb(&plan, 0, None, &sum(4)).is_err());
    assert!(TrainWorkload.absorb(&plan, 1, None, &sum(6)).is_err());
    let Outcome::Again { state, .. } = TrainWorkload.absorb(&plan, 0, None, &sum(6)).unwrap() else {
        panic!("three rounds");
    };
    let back = State::from_bytes(&state, &own).unwrap();
    assert_eq!((back.round, back.to_bytes()), (1, state.to_vec()));
    assert!(TrainWorkload.absorb(&plan, 0, Some(&state), &sum(6)).is_err());
    for length in 0..state.len() {
        assert!(State::from_bytes(&state[..length], &own).is_err());
    }
    for at in 0..24 {
        let mut other = state.to_vec();
        other[at] ^= 0x80;
        assert!(State::from_bytes(&other, &own).is_err(), "byte {at}");
    }
    let mut nan = state.to_vec();
    nan[24..32].copy_from_slice(&f64::NAN.to_le_bytes());
    assert!(State::from_bytes(&nan, &own).is_err());
    // The last number is the variance of the curve's one block.
    let mut below_zero = state.to_vec();
    let end = below_zero.len();
    below_zero[end - 8..].copy_from_slice(&(-1f64).to_le_bytes());
    assert!(State::from_bytes(&below_zero, &own).is_err());
    let longer = [&state[..], &[0; 24]].concat();
    assert!(State::from_bytes(&longer, &own).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever a site holds, its update lies in the ball: two of them are at most twice the radius apart, which is
    /// charged.
    #[test]
    fn a_replaced_site_moves_the_sum_no_further_than_is_charged(
        seed in any::<u64>(), scaffold in any::<bool>(), rate in -4i32..30,
    ) {
        let algorithm = if scaffold { Algorithm::Scaffold } else { Algorithm::FedAvg };
        let local = Some(LocalWork { steps: 3, batch: 4, learning_rate: real(2f64.powi(rate.min(19))) });
        let plan = plan(TrainTask { algorithm, local, ..fedavg(10) }, 3.0);
        let state = State { round: 1, ..State::initial(&plan) };
        let ends: Vec<Vec<i64>> = [seed, !seed]
            .map(|seed| {
                let (mut x, y) = rows(seed, 1, 12, "label").remove(0);
                x.mapv_inplace(|x| x * 2f32.powi(rate));
                let data = TrainingData::rows(&x, &y).unwrap();
                contribution(&plan, &state, &data, &mut KeyedCoins::new(&[1; 32])).unwrap().values
            })
            .into();
        let moved: i128 = ends[0].iter().zip(&ends[1]).map(|(a, b)| i128::from(a - b).pow(2)).sum();
        prop_assert!(moved as u128 <= 4 * plan.lattice().unwrap().whole_squared());
        // Loss and count of a site lie in [0, r] each.
        let weight = plan.lattice().unwrap().weight() as i64;
        for end in ends {
            let [.., loss, count] = end[..] else { panic!("no figures") };
            prop_assert!((0..=weight).contains(&loss) && (count == weight || end.iter().all(|x| *x == 0)));
        }
    }

    /// And one unit more or less, through sampling and grouping, stays within what `dp-sgd` charges.
    #[test]
    fn a_unit_moves_a_contribution_no_further_than_is_charged(
        seed in any::<u64>(), extra in 1usize..6, q in 0.05f64..1.0, spread in -3i32..14,
    ) {
        let task = TrainTask { sampling_rate: real(q), model: ModelKind::Mlp { hidden: vec![5] }, ..task(10) };
        let plan = plan(task, 3.0);
        let state = State::initial(&plan);
        let (mut x, y) = rows(seed, 1, 30 + extra, "label").remove(0);
        x.mapv_inplace(|x| x * 2f32.powi(spread));
        let count = |units: &[usize]| {
            let end = units[units.len() - 1];
            let x = x.select(ndarray::Axis(0), &(0..end).collect::<Vec<_>>());
            let data = TrainingData::new(&x, &y[..end], units, &vec![false; units.len() - 1]).unwrap();
            contribution(&plan, &state, &data, &mut KeyedCoins::new(&[2; 32])).unwrap().values
        };
        let mut units: Vec<usize> = (0..=20).collect();
        units.push(30);
        let without = count(&units);
        units.push(30 + extra);
        let with = count(&units);
        let moved: i128 = with.iter().zip(&without).map(|(a, b)| i128::from(a - b).pow(2)).sum();
        prop_assert!(moved as u128 <= plan.lattice().unwrap().whole_squared());
        let weight = plan.lattice().unwrap().weight() as i64;
        let [loss, one] = [2, 1].map(|back| with[with.len() - back] - without[without.len() - back]);
        prop_assert!((0..=weight).contains(&loss) && (one == weight || moved == 0));
    }
}

#[test]
fn a_private_average_of_sites_says_that_it_covers_a_site() {
    let sites = rows(9, 4, 100, "label");
    let task = TrainTask {
        learning_rate: real(1.0),
        ..fedavg(5)
    };
    let release = run(&task, &points(), 20.0, &data(&sites), 1);
    assert_eq!(release.privacy.covers, Covers::Site);
    let spent = release.privacy.epsilon.unwrap().get();
    assert!(spent <= 20.0 && spent > 15.0, "{spent}");
}
