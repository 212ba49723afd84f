//! OpenDP as the second opinion (feature `opendp`): its sampler, its zCDP map and conversion and its consistent trees against ours.
//! Its sampler draws from the system, so the two-sample test has a threshold that chance passes once in millions of runs.
#![cfg(feature = "opendp")]

use opendp::combinators::make_zCDP_to_approxDP;
use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;
use opendp::transformations::make_consistent_b_ary_tree;
use privacy::cost::{GaussianTerms, distributed_gaussian, epsilon, rho_for, rho_to_epsilon};
use privacy::tree::TreeLayout;
use privacy::{ExactSampler, ORDERS, Sampler};
use std::collections::BTreeMap;

type Gaussian = Measurement<VectorDomain<AtomDomain<i32>>, L2Distance<f64>, ZeroConcentratedDivergence, Vec<i32>>;

fn opendp_gaussian(scale: f64) -> Gaussian {
    let domain = VectorDomain::new(AtomDomain::<i32>::default());
    make_gaussian(domain, L2Distance::<f64>::default(), scale, None).unwrap()
}

#[test]
fn both_samplers_draw_from_one_law() {
    for (variance, samples) in [(1u64, 50_000), (9, 100_000), (400, 100_000)] {
        let theirs = opendp_gaussian((variance as f64).sqrt())
            .invoke(&vec![0; samples])
            .unwrap();
        let mut ours = vec![0i64; samples];
        ExactSampler::new([77; 32]).fill(variance, &mut ours);
        let mut counts: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        ours.iter().for_each(|x| counts.entry(*x).or_default().0 += 1.0);
        theirs
            .iter()
            .for_each(|x| counts.entry(i64::from(*x)).or_default().1 += 1.0);
        let common: Vec<&(f64, f64)> = counts.values().filter(|(a, b)| a + b >= 20.0).collect();
        let chi: f64 = common.iter().map(|(a, b)| (a - b).powi(2) / (a + b)).sum();
        let bins = common.len() as f64;
        let surprise = (chi - bins) / (2.0 * bins).sqrt();
        assert!(surprise.abs() < 7.0, "variance {variance}: {surprise}");
    }
}

#[test]
fn a_single_share_costs_what_opendp_says() {
    for (sd, l2) in [(4.0f64, 1.0f64), (10.0, 3.0), (1000.0, 20.0)] {
        let rho = opendp_gaussian(sd).map(&l2).unwrap();
        let terms = GaussianTerms {
            shares: 1,
            variance: (sd * sd) as u64,
            l2_squared: (l2 * l2) as u128,
            l1: l2 as u128,
            dim: 1,
        };
        let charge = distributed_gaussian(&terms);
        for order in ORDERS {
            let ours = charge.curve.at(order) as f64 / 1e9;
            let theirs = rho * order.value();
            assert!(
                ours >= theirs * (1.0 - 1e-12) && ours <= theirs * (1.0 + 1e-9) + 2e-9,
                "{ours} against {theirs}"
            );
        }
    }
}

#[test]
fn conversions_agree() {
    for (sd, l2) in [(2.0, 1.0), (4.0, 1.0), (30.0, 1.0)] {
        for delta in [1e-9, 1e-6, 1e-4] {
            let measurement = opendp_gaussian(sd);
            let rho = measurement.map(&l2).unwrap();
            let theirs = make_zCDP_to_approxDP(measurement)
                .unwrap()
                .map(&l2)
                .unwrap()
                .epsilon(delta)
                .unwrap();
            let ours = rho_to_epsilon(rho, delta);
            assert!(
                (ours / theirs - 1.0).abs() < 1e-6,
                "rho {rho} delta {delta}: {ours} against {theirs}"
            );
            assert!((rho_for(theirs, delta) / rho - 1.0).abs() < 1e-5);
            let terms = GaussianTerms {
                shares: 1,
                variance: (sd * sd) as u64,
                l2_squared: 1,
                l1: 1,
                dim: 1,
            };
            let listed = epsilon(&distributed_gaussian(&terms), delta);
            assert!(
                listed >= theirs * (1.0 - 1e-9) && listed < 1.02 * theirs,
                "{listed} against {theirs}"
            );
        }
    }
}

#[test]
fn consistent_trees_are_the_same() {
    for (branching, levels) in [(2usize, 4u32), (3, 3), (4, 3), (16, 2)] {
        let layout = TreeLayout::new(branching, levels, 0, 1_000_000).unwrap();
        let mut noise = vec![0i64; layout.cells()];
        ExactSampler::new([branching as u8; 32]).fill(10_000, &mut noise);
        let cells: Vec<f64> = noise.iter().map(|x| *x as f64 + 50.0).collect();
        let ours = layout.consistent_leaves(&cells).unwrap();
        // Our tree has no root: it is `branching` trees side by side, each with its own.
        let theirs = make_consistent_b_ary_tree::<i32, f64>(branching as u32).unwrap();
        let leaves = ours.len() / branching;
        for part in 0..branching {
            let mut tree: Vec<i32> = Vec::new();
            let (mut start, mut width) = (0, 1);
            for level in 1..=levels {
                let here = start + part * width;
                tree.extend(cells[here..here + width].iter().map(|x| *x as i32));
                start += branching.pow(level);
                width *= branching;
            }
            let expected = theirs.eval(&tree).unwrap();
            for (a, b) in ours[part * leaves..][..leaves].iter().zip(&expected) {
                assert!(
                    (a - b).abs() < 1e-6,
                    "{branching}^{levels}, part {part}: {a} against {b}"
                );
            }
        }
    }
}
