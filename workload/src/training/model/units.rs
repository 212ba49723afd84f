//! The sum of clipped unit gradients, as integers whose sensitivity holds by construction; `proofs/clipped-sums.md`.
//!
//! In a dense layer the gradient of one row is the outer product of its input a and its delta d. For a unit of one row
//! both factors are rounded to integers *before* they are multiplied: the unit's vector is then exactly the integer
//! outer products `alpha (x) d`, its squared norm exactly `sum_l |alpha_l|^2 |d_l|^2`, and the sum over units one
//! matrix product in f64, exact because every partial sum is an integer below 2^53, in whatever order it is added. So
//! no gradient of one row is ever written out ("ghost norms") and still no float enters the claim. A unit of several
//! rows is written out: summed, clipped, rounded and measured, one pass over its vector. The losses fall off the forward
//! pass. Costs 1.4 to 1.8 times the plain gradient for units of one row, 2.6 times for a model of 31 parameters, of which
//! the losses are a twentieth (`tests/src/learn/step.rs` measures it).

use super::Layer;
use super::lattice::{EXACT, ROUND, UnitLattice, split, sum_squares};
use super::network::{Network, Pass};
use ndarray::{Array2, ArrayView2, Axis, Slice, linalg::general_mat_mul};

/// Rows of one pass: what it leaves behind stays in the cache.
const CHUNK: usize = 64;

/// Adds the clipped, rounded gradients of `units` (rows first..end of `inputs`) to `out`, and each unit's mean loss and
/// the unit itself to its last two components. Answers how many units were dropped, with their loss and count, because
/// gradient or loss was not a finite number: never to be told to anybody else.
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
    let mut factored = Factored::new(network, clip_norm, lattice, units.len());
    in_chunks(network, inputs, targets, units, |inputs, pass, local| {
        let singles: Vec<usize> = local.iter().filter(|(a, b)| b - a == 1).map(|(a, _)| *a).collect();
        dropped += factored.add(inputs, pass, &singles, out);
        for unit in local.iter().filter(|(a, b)| b - a > 1) {
            scratch.resize(network.parameters(), 0.0);
            written_out(network, inputs, pass, *unit, &mut scratch);
            let loss = loss_share(network, pass, *unit);
            dropped += u64::from(!lattice.add(&scratch, clip_norm, loss, out));
        }
    });
    factored.flush(out);
    dropped
}

/// The same in lattice units without rounding and without any claim, for "secure aggregation only": clipped in floats,
/// added in f64.
pub fn clipped_float_sum(
    network: &Network,
    inputs: ArrayView2<'_, f32>,
    targets: &[f32],
    units: &[(usize, usize)],
    clip_norm: f64,
    lattice: UnitLattice,
    out: &mut [f64],
) -> u64 {
    let mut dropped = 0;
    let mut one = vec![0.0; network.parameters()];
    let (own, figures) = split(out);
    let weight = lattice.weight() as f64;
    in_chunks(network, inputs, targets, units, |inputs, pass, local| {
        for unit in local {
            written_out(network, inputs, pass, *unit, &mut one);
            let norm = sum_squares(&one).sqrt();
            let loss = loss_share(network, pass, *unit);
            if norm.is_finite() && loss.is_finite() {
                let scale = lattice.radius() as f64 / norm.max(clip_norm);
                own.iter_mut().zip(&one).for_each(|(own, g)| *own += g * scale);
                figures[0] += loss.clamp(0.0, 1.0) * weight;
                figures[1] += weight;
            } else {
                dropped += 1;
            }
        }
    });
    dropped
}

/// Walks units a pass at a time: the rows of the pass, what it left, and the units' places in it.
fn in_chunks(
    network: &Network,
    inputs: ArrayView2<'_, f32>,
    targets: &[f32],
    units: &[(usize, usize)],
    mut each: impl FnMut(ArrayView2<'_, f32>, &Pass, &[(usize, usize)]),
) {
    let mut start = 0;
    while start < units.len() {
        let chunk = chunk_of(units, start);
        start += chunk.len();
        let (first, end) = (chunk[0].0, chunk[chunk.len() - 1].1);
        let inputs = inputs.slice_axis(Axis(0), Slice::from(first..end));
        let pass = network.pass(inputs, &targets[first..end]);
        let local: Vec<(usize, usize)> = chunk.iter().map(|(a, b)| (a - first, b - first)).collect();
        each(inputs, &pass, &local);
    }
}

/// The mean loss of one unit's rows, as a share of the bound.
fn loss_share(network: &Network, pass: &Pass, (first, end): (usize, usize)) -> f64 {
    pass.losses[first..end].iter().sum::<f64>() / ((end - first) as f64 * network.loss_bound())
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
    network: &'a Network,
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
    fn new(network: &'a Network, clip_norm: f64, lattice: UnitLattice, units: usize) -> Self {
        let (layers, rows) = (network.layers(), units.min(CHUNK));
        let zeros = |rows: usize, columns: fn(&Layer) -> usize| {
            layers.iter().map(|l| Array2::zeros((rows, columns(l)))).collect()
        };
        Self {
            network,
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
            let loss = self.lattice.loss(loss_share(self.network, pass, (*from, from + 1)));
            if let (Some(loss), Some(())) = (loss, self.quantise(inputs, pass, *from, to)) {
                let (_, figures) = split(out);
                figures[0] += loss;
                figures[1] += self.lattice.weight() as i64;
            } else {
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
        let radius = self.lattice.radius() as f64;
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
mod tests;
