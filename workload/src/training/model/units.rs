//! The sum of clipped unit gradients, as integers whose sensitivity holds by construction; `proofs/clipped-sums.md`.
//!
//! In a dense layer the gradient of one row is the outer product of its input a and its delta d. For a unit of one row
//! both factors are rounded to integers *before* they are multiplied: the unit's vector is then exactly the integer
//! outer products `alpha (x) d`, its squared norm exactly `sum_l |alpha_l|^2 |d_l|^2`, and the sum over units one
//! matrix product in f64, exact because every partial sum is an integer below 2^53, in whatever order it is added. So
//! no gradient of one row is ever written out ("ghost norms") and still no float enters the claim. A unit of several
//! rows is written out: summed, clipped, rounded and measured, one pass over its vector. Costs 1.5 to 1.8 times the
//! plain gradient for units of one row, 2.5 times for a model of 31 parameters (`tests/src/learn/step.rs` measures it).

use super::Layer;
use super::network::{Network, Pass};
use ndarray::{Array2, ArrayView2, Axis, Slice, linalg::general_mat_mul};

/// Adding it and taking it away again rounds a double below 2^51 in size to the nearest integer, ties to even, without
/// a call. A larger one may come out as a half: its square is then beyond `EXACT`, and the unit is dropped.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Integers in doubles are exact up to here.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Rows of one pass: what it leaves behind stays in the cache.
const CHUNK: usize = 64;
/// The largest radius of a lattice: sums of thousands of units stay below 2^53.
pub const MAX_RADIUS: u64 = 1 << 40;

/// The integers that a clipped vector is rounded to: clip norm C, C s = `radius` lattice units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitLattice {
    radius: u64,
}

impl UnitLattice {
    /// `None` beyond `MAX_RADIUS`, where sums would not be exact, or at zero.
    pub fn new(radius: u64) -> Option<Self> {
        (1..=MAX_RADIUS).contains(&radius).then_some(Self { radius })
    }

    pub fn radius(&self) -> u64 {
        self.radius
    }

    /// `floor(radius^2 (1 + 2^-10)^2)`: no unit's vector is longer, squared.
    pub fn bound_squared(&self) -> u128 {
        (u128::from(self.radius) * 1025).pow(2) >> 20
    }

    /// The largest component a unit's vector can have.
    pub fn reach(&self) -> u64 {
        self.bound_squared().isqrt() as u64
    }

    /// Rounds `vector * (C s / C)`, clipped, into `out`; `false` and untouched if it is not finite or came out too
    /// long.
    pub fn round(&self, vector: &[f64], clip_norm: f64, out: &mut [i64]) -> bool {
        let norm = sum_squares(vector).sqrt();
        let scale = self.radius as f64 / norm.max(clip_norm);
        if !(norm.is_finite() && scale.is_finite()) {
            return false;
        }
        let integer = |x: &f64| ((x * scale + ROUND) - ROUND) as i64;
        let squared: u128 = vector
            .iter()
            .map(|x| u128::from(integer(x).unsigned_abs()).pow(2))
            .sum();
        if squared > self.bound_squared() {
            return false;
        }
        out.iter_mut().zip(vector).for_each(|(out, x)| *out += integer(x));
        true
    }
}

/// Adds the clipped, rounded gradients of `units` (rows first..end of `inputs`) to `out`. Answers how many units were
/// dropped because their gradient was not a finite number: never to be told to anybody else.
pub fn clipped_sum(
    network: &Network,
    inputs: ArrayView2<'_, f32>,
    targets: &[f32],
    units: &[(usize, usize)],
    clip_norm: f64,
    lattice: UnitLattice,
    out: &mut [i64],
) -> u64 {
    let mut dropped = 0;
    let mut scratch = Vec::new();
    let mut factored = Factored::new(network.layers(), clip_norm, lattice, units.len());
    let mut start = 0;
    while start < units.len() {
        let chunk = chunk_of(units, start);
        start += chunk.len();
        let (first, end) = (chunk[0].0, chunk[chunk.len() - 1].1);
        let inputs = inputs.slice_axis(Axis(0), Slice::from(first..end));
        let pass = network.pass(inputs, &targets[first..end]);
        let local: Vec<(usize, usize)> = chunk.iter().map(|(a, b)| (a - first, b - first)).collect();
        let singles: Vec<usize> = local.iter().filter(|(a, b)| b - a == 1).map(|(a, _)| *a).collect();
        dropped += factored.add(inputs, &pass, &singles, out);
        for (a, b) in local.into_iter().filter(|(a, b)| b - a > 1) {
            scratch.resize(out.len(), 0.0);
            written_out(network, inputs, &pass, (a, b), &mut scratch);
            dropped += u64::from(!lattice.round(&scratch, clip_norm, out));
        }
    }
    factored.flush(out);
    dropped
}

/// The same without rounding and without any claim, for "secure aggregation only": clipped in floats, added in f64.
pub fn clipped_float_sum(
    network: &Network,
    inputs: ArrayView2<'_, f32>,
    targets: &[f32],
    units: &[(usize, usize)],
    clip_norm: f64,
    out: &mut [f64],
) -> u64 {
    let mut dropped = 0;
    let mut one = vec![0.0; out.len()];
    let mut start = 0;
    while start < units.len() {
        let chunk = chunk_of(units, start);
        start += chunk.len();
        let (first, end) = (chunk[0].0, chunk[chunk.len() - 1].1);
        let inputs = inputs.slice_axis(Axis(0), Slice::from(first..end));
        let pass = network.pass(inputs, &targets[first..end]);
        for (a, b) in chunk {
            written_out(network, inputs, &pass, (a - first, b - first), &mut one);
            let norm = sum_squares(&one).sqrt();
            let scale = clip_norm / norm.max(clip_norm);
            if norm.is_finite() {
                out.iter_mut().zip(&one).for_each(|(out, g)| *out += g * scale);
            } else {
                dropped += 1;
            }
        }
    }
    dropped
}

/// Consecutive units from `start` on of at most `CHUNK` rows together, at least one unit.
fn chunk_of(units: &[(usize, usize)], start: usize) -> &[(usize, usize)] {
    let rows = units[start].0;
    let fits = units[start..].partition_point(|(_, end)| end - rows <= CHUNK).max(1);
    &units[start..start + fits]
}

/// The summed gradient of one unit's rows, in parameter order.
fn written_out(
    network: &Network,
    inputs: ArrayView2<'_, f32>,
    pass: &Pass,
    (first, end): (usize, usize),
    out: &mut [f64],
) {
    for (l, layer) in network.layers().iter().enumerate() {
        let below = below(inputs, pass, l);
        let below = below.slice_axis(Axis(0), Slice::from(first..end));
        let delta = pass.deltas[l].slice_axis(Axis(0), Slice::from(first..end));
        let to = &mut out[layer.offset..layer.biases().end];
        if end - first == 1 {
            for (i, a) in below.row(0).iter().enumerate() {
                let row = &mut to[i * layer.outputs..(i + 1) * layer.outputs];
                row.iter_mut()
                    .zip(delta.row(0))
                    .for_each(|(g, d)| *g = f64::from(*a) * f64::from(*d));
            }
        } else {
            let (below, delta) = (below.mapv(f64::from), delta.mapv(f64::from));
            to.iter_mut()
                .zip(below.t().dot(&delta).iter())
                .for_each(|(to, g)| *to = *g);
        }
    }
}

fn below<'a>(inputs: ArrayView2<'a, f32>, pass: &'a Pass, layer: usize) -> ArrayView2<'a, f32> {
    if layer == 0 {
        inputs
    } else {
        pass.activations[layer - 1].view()
    }
}

/// The running sum over units of one row each, by rounded factors. It stays in doubles while that is exact.
struct Factored<'a> {
    layers: &'a [Layer],
    clip_norm: f64,
    lattice: UnitLattice,
    alphas: Vec<Array2<f64>>,
    factors: Vec<Array2<f64>>,
    sums: Vec<Array2<f64>>,
    /// Units in `sums`.
    units: u64,
}

impl<'a> Factored<'a> {
    fn new(layers: &'a [Layer], clip_norm: f64, lattice: UnitLattice, units: usize) -> Self {
        let rows = units.min(CHUNK);
        let zeros = |rows: usize, columns: fn(&Layer) -> usize| {
            layers.iter().map(|l| Array2::zeros((rows, columns(l)))).collect()
        };
        Self {
            layers,
            clip_norm,
            lattice,
            alphas: zeros(rows, |l| l.inputs + 1),
            factors: zeros(rows, |l| l.outputs),
            sums: layers
                .iter()
                .map(|l| Array2::zeros((l.inputs + 1, l.outputs)))
                .collect(),
            units: 0,
        }
    }

    /// Adds `rows` of a pass, at most `CHUNK`; answers how many were dropped.
    fn add(&mut self, inputs: ArrayView2<'_, f32>, pass: &Pass, rows: &[usize], out: &mut [i64]) -> u64 {
        if (self.units + rows.len() as u64).saturating_mul(self.lattice.reach()) >= EXACT as u64 {
            self.flush(out);
        }
        self.units += rows.len() as u64;
        let mut dropped = 0;
        for (to, from) in rows.iter().enumerate() {
            if self.quantise(inputs, pass, *from, to).is_none() {
                // Nothing not finite may stay in a matrix: 0 times it is NaN.
                dropped += 1;
                self.alphas.iter_mut().for_each(|a| a.row_mut(to).fill(0.0));
                self.factors.iter_mut().for_each(|f| f.row_mut(to).fill(0.0));
            }
        }
        let used = Slice::from(..rows.len());
        for ((alpha, factor), sum) in self.alphas.iter().zip(&self.factors).zip(&mut self.sums) {
            let (alpha, factor) = (alpha.slice_axis(Axis(0), used), factor.slice_axis(Axis(0), used));
            general_mat_mul(1.0, &alpha.t(), &factor, 1.0, sum);
        }
        dropped
    }

    /// Both factors of every layer of one row; `None` if they came out too long, or as no numbers.
    fn quantise(&mut self, inputs: ArrayView2<'_, f32>, pass: &Pass, from: usize, to: usize) -> Option<()> {
        let radius = self.lattice.radius as f64;
        // Input vectors of about sqrt(radius) leave as much to the deltas: both are then rounded about equally finely.
        let target = radius.sqrt();
        let (mut length, mut slack) = (0.0, 0.0);
        // Three hidden layers at most, so four in all.
        let mut ghost = [(0.0, 0.0); 4];
        if self.layers.len() > ghost.len() {
            return None;
        }
        for ((l, layer), ghost) in self.layers.iter().enumerate().zip(&mut ghost) {
            let below = below(inputs, pass, l);
            let a = below.row(from).to_slice()?;
            let mut alpha = self.alphas[l].row_mut(to);
            let alpha = alpha.as_slice_mut()?;
            let scale = power_of_two(target / sum_squares_f32(a).sqrt());
            for (alpha, a) in alpha.iter_mut().zip(a) {
                *alpha = (f64::from(*a) * scale + ROUND) - ROUND;
            }
            let squared = sum_squares(alpha);
            let unit = radius / (self.clip_norm * scale);
            let delta = sum_squares_wide(pass.deltas[l].row(from).to_slice()?);
            length += squared * delta * unit * unit;
            slack += squared * layer.outputs as f64 / 4.0;
            *ghost = (squared, unit);
        }
        // |alpha| (w |delta| R / (C A) + sqrt(k) / 2), layer by layer, stays within the bound by Minkowski.
        let room = (radius * (1.0 + 1.0 / 1024.0) * (1.0 - 1e-9) - slack.sqrt())
            .min(radius)
            .max(0.0);
        let weight = (room / length.sqrt()).min(1.0);
        let mut norm = 0u128;
        for (l, (squared, unit)) in (0..self.layers.len()).zip(ghost) {
            let mut factor = self.factors[l].row_mut(to);
            let factor = factor.as_slice_mut()?;
            for (f, d) in factor.iter_mut().zip(pass.deltas[l].row(from).to_slice()?) {
                *f = (f64::from(*d) * (weight * unit) + ROUND) - ROUND;
            }
            let own = sum_squares(factor);
            // NaN compares false, so it ends here too.
            if !(squared < EXACT && own < EXACT) {
                return None;
            }
            norm += squared as u128 * own as u128;
        }
        (norm <= self.lattice.bound_squared()).then_some(())
    }

    /// Moves the sum into integers.
    fn flush(&mut self, out: &mut [i64]) {
        for (layer, sum) in self.layers.iter().zip(&mut self.sums) {
            let to = &mut out[layer.offset..layer.biases().end];
            to.iter_mut().zip(sum.iter()).for_each(|(to, x)| *to += *x as i64);
            sum.fill(0.0);
        }
        self.units = 0;
    }
}

/// The greatest power of two that is not above x > 0; what it makes of anything else is no number or none, and seen
/// later.
fn power_of_two(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0x7ff0_0000_0000_0000)
}

/// Eight running sums, so that the compiler may use its vectors. Exact for integers while it is below 2^53; and never
/// below 2^53 if the truth is not, as rounding is monotone.
fn sum_squares(values: &[f64]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| x * x).sum::<f64>()
}

fn sum_squares_wide(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

fn sum_squares_f32(values: &[f32]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for eight in eights {
        for (sum, x) in sums.iter_mut().zip(eight) {
            *sum += x * x;
        }
    }
    f64::from(sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>())
}

#[cfg(test)]
mod tests {
    use super::super::{Head, Shape};
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
                let (mut integers, mut floats) = (vec![0; shape.parameters()], vec![0.0; shape.parameters()]);
                let view = inputs.view();
                assert_eq!(
                    clipped_sum(&network, view, &targets, units, clip, lattice, &mut integers),
                    0
                );
                assert_eq!(clipped_float_sum(&network, view, &targets, units, clip, &mut floats), 0);
                for (i, f) in integers.iter().zip(&floats) {
                    let real = *i as f64 * clip / lattice.radius as f64;
                    assert!(
                        (real - f).abs() < 2e-3 * clip * units.len() as f64,
                        "{real} against {f}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_a_number_adds_nothing_and_is_counted() {
        let shape = shape(vec![4]);
        let network = Network::new(&shape, &shape.initial(1)).unwrap();
        let (mut inputs, targets) = batch(2, 6, 1.0);
        let lattice = UnitLattice::new(1 << 20).unwrap();
        let mut expected = vec![0; shape.parameters()];
        let units = [(0, 1), (2, 3), (5, 6)];
        clipped_sum(&network, inputs.view(), &targets, &units, 1.0, lattice, &mut expected);
        inputs[(1, 2)] = f32::NAN;
        inputs[(3, 0)] = f32::INFINITY;
        inputs[(4, 1)] = f32::MAX;
        for units in [
            vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)],
            vec![(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)],
        ] {
            let mut found = vec![0; shape.parameters()];
            let dropped = clipped_sum(&network, inputs.view(), &targets, &units, 1.0, lattice, &mut found);
            assert!(dropped > 0 && found == expected);
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
                let mut out = vec![0i64; shape.parameters()];
                clipped_sum(&network, inputs.view(), &targets, units, 2f64.powi(clip), lattice, &mut out);
                out
            };
            let without = sum(&with);
            with.push((8, 8 + rows));
            let moved: i128 = sum(&with).iter().zip(&without).map(|(a, b)| i128::from(a - b).pow(2)).sum();
            prop_assert!(moved as u128 <= lattice.bound_squared());
        }
    }
}
