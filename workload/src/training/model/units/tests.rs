//! What the sums claim, in integers: nothing is lost, what is no number adds nothing, one unit moves no further than charged.

use super::super::{FIGURES, Head, Shape};
use super::*;
use proptest::prelude::*;

fn shape(hidden: Vec<u32>) -> Shape {
    Shape {
        inputs: 5,
        hidden,
        outputs: 3,
        head: Head::Softmax,
    }
}

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let mut stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut word = [0; 4];
    let mut next = || {
        stream.fill(&mut word);
        i32::from_le_bytes(word) as f32 / 2_147_483_648.0
    };
    (0..n).map(|_| next()).collect()
}

fn batch(seed: u64, rows: usize, spread: f32) -> (Array2<f32>, Vec<f32>) {
    let mut inputs = Array2::from_shape_vec((rows, 6), noise(seed, rows * 6)).unwrap();
    inputs.mapv_inplace(|x| x * spread);
    inputs.column_mut(5).fill(1.0);
    let targets = (0..rows).map(|i| (i % 3) as f32).collect();
    (inputs, targets)
}

#[test]
fn integers_agree_with_floats() {
    let heads = [(Head::Softmax, 3), (Head::Logistic, 1), (Head::Squared, 1)];
    for (hidden, (head, outputs)) in [vec![], vec![1], vec![7], vec![7, 4]]
        .into_iter()
        .flat_map(|h| heads.map(|head| (h.clone(), head)))
    {
        let shape = Shape {
            head,
            outputs,
            ..shape(hidden)
        };
        let mut parameters = shape.initial(5);
        parameters
            .iter_mut()
            .zip(noise(3, shape.parameters()))
            .for_each(|(x, n)| *x += f64::from(n) / 2.0);
        let network = Network::new(&shape, &parameters).unwrap();
        let (inputs, mut targets) = batch(1, 150, 1.0);
        targets.iter_mut().for_each(|y| *y = y.min(2.0f32.min(outputs as f32)));
        let singles: Vec<_> = (0..150).map(|i| (i, i + 1)).collect();
        let several = [(0, 1), (1, 4), (4, 5), (5, 30), (30, 140), (140, 141), (141, 150)];
        for (units, clip) in [(&singles[..], 0.5), (&several[..], 0.5), (&singles[..], 50.0)] {
            let lattice = UnitLattice::new(1 << 22).unwrap();
            let dim = shape.parameters() + FIGURES;
            let (mut integers, mut floats) = (vec![0; dim], vec![0.0; dim]);
            let view = inputs.view();
            assert_eq!(
                clipped_sum(&network, view, &targets, units, clip, lattice, &mut integers),
                0
            );
            assert_eq!(
                clipped_float_sum(&network, view, &targets, units, clip, lattice, &mut floats),
                0
            );
            let tolerance = 2e-3 * lattice.radius() as f64 * units.len() as f64;
            for (i, f) in integers.iter().zip(&floats) {
                assert!((*i as f64 - f).abs() < tolerance, "{i} against {f}");
            }
            let (loss, weight) = (integers[dim - 2], lattice.weight() as i64);
            assert_eq!(integers[dim - 1], weight * units.len() as i64);
            // Each unit's mean loss, from the network's own sum over its rows.
            let mean = |(first, end): &(usize, usize)| {
                let rows = inputs.slice_axis(Axis(0), Slice::from(*first..*end));
                let sum = network.loss(rows, &targets[*first..*end]);
                (sum / (end - first) as f64 / shape.loss_bound()).min(1.0)
            };
            let expected: f64 = units.iter().map(mean).sum();
            assert!((loss as f64 / weight as f64 - expected).abs() < 1e-5 * units.len() as f64);
        }
    }
}

#[test]
fn a_gradient_that_is_not_a_number_adds_nothing_and_is_counted() {
    let shape = shape(vec![4]);
    let network = Network::new(&shape, &shape.initial(1)).unwrap();
    let (mut inputs, targets) = batch(2, 6, 1.0);
    let lattice = UnitLattice::new(1 << 20).unwrap();
    let mut expected = vec![0; shape.parameters() + FIGURES];
    let units = [(0, 1), (2, 3), (5, 6)];
    clipped_sum(&network, inputs.view(), &targets, &units, 1.0, lattice, &mut expected);
    inputs[(1, 2)] = f32::NAN;
    inputs[(3, 0)] = f32::INFINITY;
    inputs[(4, 1)] = f32::MAX;
    for units in [
        vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)],
        vec![(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)],
    ] {
        let mut found = vec![0; shape.parameters() + FIGURES];
        let dropped = clipped_sum(&network, inputs.view(), &targets, &units, 1.0, lattice, &mut found);
        assert!(dropped > 0 && found == expected);
    }
}

/// A class that the model does not have: the gradient is finite and the loss is not.
#[test]
fn a_loss_that_is_not_a_number_takes_its_gradient_along() {
    let shape = shape(vec![4]);
    let network = Network::new(&shape, &shape.initial(1)).unwrap();
    let (inputs, mut targets) = batch(2, 6, 1.0);
    targets[0] = 7.0;
    let lattice = UnitLattice::new(1 << 20).unwrap();
    for unit in [(0, 1), (0, 3)] {
        let (mut integers, mut floats) = (
            vec![0; shape.parameters() + FIGURES],
            vec![0.0; shape.parameters() + FIGURES],
        );
        let view = inputs.view();
        assert_eq!(
            clipped_sum(&network, view, &targets, &[unit], 1.0, lattice, &mut integers),
            1
        );
        assert_eq!(
            clipped_float_sum(&network, view, &targets, &[unit], 1.0, lattice, &mut floats),
            1
        );
        assert!(integers.iter().all(|x| *x == 0) && floats.iter().all(|x| *x == 0.0));
    }
}

proptest! {
    /// The claim itself, in integers: two data sets that differ by one unit are never further apart than the bound.
    #[test]
    fn one_unit_never_moves_the_sum_beyond_the_bound(
        seed in any::<u64>(), rows in 1usize..4, spread in -3i32..12,
        radius in 8u32..40, clip in -8i32..8, deep in any::<bool>(),
    ) {
        let shape = shape(if deep { vec![4] } else { vec![] });
        let mut parameters = shape.initial(seed);
        for (x, n) in parameters.iter_mut().zip(noise(seed ^ 7, shape.parameters())) {
            *x += f64::from(n) * 2f64.powi(spread / 2);
        }
        let network = Network::new(&shape, &parameters).unwrap();
        let (inputs, targets) = batch(seed, 12, 2f32.powi(spread));
        let lattice = UnitLattice::new(1 << radius).unwrap();
        let mut with: Vec<_> = (0..8).map(|i| (i, i + 1)).collect();
        let sum = |units: &[(usize, usize)]| {
            let mut out = vec![0i64; shape.parameters() + FIGURES];
            clipped_sum(&network, inputs.view(), &targets, units, 2f64.powi(clip), lattice, &mut out);
            out
        };
        let without = sum(&with);
        with.push((8, 8 + rows));
        let moved: i128 = sum(&with).iter().zip(&without).map(|(a, b)| i128::from(a - b).pow(2)).sum();
        prop_assert!(moved as u128 <= lattice.whole_squared());
    }
}
