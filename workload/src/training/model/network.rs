//! Forward and backward through a model in f32, a batch at a time; also the plain mini-batch gradient that the private
//! one is measured against. About `6 x rows x parameters` operations for both ways.

use super::{Head, Layer, Shape};
use ndarray::{Array2, ArrayView2, Axis, Slice, linalg::general_mat_mul};

/// A parameter vector unfolded into matrices. Local work only: nothing that parties compare is computed with it.
pub struct Network {
    head: Head,
    loss_bound: f64,
    layers: Vec<Layer>,
    /// `(inputs + 1) x outputs` each.
    weights: Vec<Array2<f32>>,
}

/// What a batch left behind, a row each. No `Debug`: it is data.
pub struct Pass {
    /// Inputs of the second and later layers, with the 1 at the end.
    pub activations: Vec<Array2<f32>>,
    /// Derivative of the row's own loss in the output of each layer before its ReLU.
    pub deltas: Vec<Array2<f32>>,
    pub losses: Vec<f64>,
}

impl Network {
    /// `None` if the number of parameters is not the shape's.
    pub fn new(shape: &Shape, parameters: &[f64]) -> Option<Self> {
        if parameters.len() != shape.parameters() {
            return None;
        }
        let layers = shape.layers();
        let unfold = |layer: &Layer| {
            let from = &parameters[layer.offset..layer.biases().end];
            Array2::from_shape_fn((layer.inputs + 1, layer.outputs), |(i, j)| {
                from[i * layer.outputs + j] as f32
            })
        };
        Some(Self {
            head: shape.head,
            loss_bound: shape.loss_bound(),
            weights: layers.iter().map(unfold).collect(),
            layers,
        })
    }

    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Numbers of a parameter vector.
    pub fn parameters(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.biases().end)
    }

    /// What the loss of a unit is cut at; see [`Shape::loss_bound`].
    pub fn loss_bound(&self) -> f64 {
        self.loss_bound
    }

    /// Inputs of the later layers, and the scores z on top.
    fn forward(&self, inputs: ArrayView2<'_, f32>) -> (Vec<Array2<f32>>, Array2<f32>) {
        let rows = inputs.nrows();
        let mut activations: Vec<Array2<f32>> = Vec::new();
        for (weights, layer) in self.weights.iter().zip(&self.layers) {
            let below = activations.last().map_or(inputs, |a| a.view());
            if activations.len() + 1 == self.weights.len() {
                let scores = product(&below, &weights.view());
                return (activations, scores);
            }
            let mut above = Array2::ones((rows, layer.outputs + 1));
            let mut body = above.slice_axis_mut(Axis(1), Slice::from(..layer.outputs));
            general_mat_mul(1.0, &below, weights, 0.0, &mut body);
            body.mapv_inplace(|z| z.max(0.0));
            activations.push(above);
        }
        (activations, Array2::zeros((rows, 0)))
    }

    /// Scores z of rows with the 1 at their end.
    pub fn scores(&self, inputs: ArrayView2<'_, f32>) -> Array2<f32> {
        self.forward(inputs).1
    }

    /// What the model says of each row: the number, the probability of class 1, or of each class.
    pub fn outputs(&self, inputs: ArrayView2<'_, f32>) -> Array2<f64> {
        let mut z = self.scores(inputs).mapv(f64::from);
        match self.head {
            Head::Squared => {}
            Head::Logistic => z.mapv_inplace(sigmoid),
            Head::Softmax => {
                for mut row in z.rows_mut() {
                    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    row.mapv_inplace(|z| (z - top).exp());
                    let sum = row.sum();
                    row.mapv_inplace(|e| e / sum);
                }
            }
        }
        z
    }

    /// Losses and derivatives of each row on its own: nothing is averaged.
    pub fn pass(&self, inputs: ArrayView2<'_, f32>, targets: &[f32]) -> Pass {
        let (activations, mut delta) = self.forward(inputs);
        let losses = self.tops(&mut delta, targets);
        let mut deltas = vec![delta];
        for (above, at) in (1..self.layers.len()).rev().zip(0..) {
            let weights = self.weights[above].slice_axis(Axis(0), Slice::from(..self.layers[above].inputs));
            let mut below = product(&deltas[at].view(), &weights.t());
            let active = activations[above - 1].slice_axis(Axis(1), Slice::from(..self.layers[above].inputs));
            below.zip_mut_with(&active, |d, a| {
                if *a <= 0.0 {
                    *d = 0.0;
                }
            });
            deltas.push(below);
        }
        deltas.reverse();
        Pass {
            activations,
            deltas,
            losses,
        }
    }

    /// Turns scores into derivatives, and says the loss of each row.
    fn tops(&self, scores: &mut Array2<f32>, targets: &[f32]) -> Vec<f64> {
        let rows = scores.rows_mut().into_iter().zip(targets);
        rows.map(|(mut row, y)| self.top(row.as_slice_mut().unwrap_or_default(), *y))
            .collect()
    }

    /// The same for one row.
    fn top(&self, z: &mut [f32], y: f32) -> f64 {
        match self.head {
            Head::Squared => {
                let error = z[0] - y;
                z[0] = error;
                f64::from(error) * f64::from(error) / 2.0
            }
            Head::Logistic => {
                let (x, y) = (f64::from(z[0]), f64::from(y));
                z[0] = (sigmoid(x) - y) as f32;
                x.max(0.0) - y * x + (-x.abs()).exp().ln_1p()
            }
            Head::Softmax => {
                let class = y as usize;
                let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let own = z.get(class).map_or(f32::NAN, |z| *z - top);
                let sum: f32 = z.iter().map(|z| (*z - top).exp()).sum();
                for z in z.iter_mut() {
                    *z = (*z - top).exp() / sum;
                }
                if let Some(p) = z.get_mut(class) {
                    *p -= 1.0;
                }
                f64::from(sum.ln()) - f64::from(own)
            }
        }
    }

    /// The sum of the rows' gradients without clipping, and the sum of their losses: what is not private.
    pub fn gradient(&self, inputs: ArrayView2<'_, f32>, targets: &[f32]) -> (Vec<f32>, f64) {
        let pass = self.pass(inputs, targets);
        let mut out = Vec::with_capacity(self.parameters());
        for (layer, delta) in pass.deltas.iter().enumerate() {
            let below = if layer == 0 {
                inputs
            } else {
                pass.activations[layer - 1].view()
            };
            out.extend(below.t().dot(delta).iter());
        }
        (out, pass.losses.iter().sum())
    }

    /// Sum of losses over rows, forward only.
    pub fn loss(&self, inputs: ArrayView2<'_, f32>, targets: &[f32]) -> f64 {
        self.tops(&mut self.scores(inputs), targets).iter().sum()
    }
}

/// Row-major whatever the strides of its factors: `dot` would choose.
fn product(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>) -> Array2<f32> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    general_mat_mul(1.0, a, b, 0.0, &mut out);
    out
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gradient_agrees_with_finite_differences() {
        for (head, outputs, target) in [
            (Head::Squared, 1, 0.3),
            (Head::Logistic, 1, 1.0),
            (Head::Softmax, 3, 2.0),
        ] {
            for hidden in [vec![], vec![6], vec![6, 5], vec![6, 5, 4]] {
                let shape = Shape {
                    inputs: 4,
                    hidden,
                    outputs,
                    head,
                };
                let mut at = shape.initial(3);
                for (i, x) in at.iter_mut().enumerate() {
                    *x += ((i * 37 % 11) as f64 - 5.0) / 40.0;
                }
                let inputs = ndarray::arr2(&[[0.9, -0.4, 0.7, -0.8, 1.0], [0.2, 0.6, -0.5, 1.0, 1.0]]);
                let targets = [target, 0.0];
                let loss = |at: &[f64]| Network::new(&shape, at).unwrap().loss(inputs.view(), &targets);
                let (gradient, _) = Network::new(&shape, &at).unwrap().gradient(inputs.view(), &targets);
                let h = 1.0 / 256.0;
                for (i, g) in gradient.iter().enumerate() {
                    let (mut up, mut down) = (at.clone(), at.clone());
                    up[i] += h;
                    down[i] -= h;
                    let slope = (loss(&up) - loss(&down)) / (2.0 * h);
                    assert!(
                        (slope - f64::from(*g)).abs() < 2e-3,
                        "{shape:?} {i}: {slope} against {g}"
                    );
                }
            }
        }
    }

    /// The claim of `proofs/clipped-sums.md` stands on this: bits, not tolerances.
    #[test]
    fn a_row_is_computed_alike_in_any_company() {
        for (inputs, hidden, outputs) in [
            (3, vec![], 1),
            (30, vec![], 1),
            (785, vec![], 10),
            (600, vec![40, 9], 5),
        ] {
            let shape = Shape {
                inputs,
                hidden,
                outputs,
                head: if outputs == 1 { Head::Logistic } else { Head::Softmax },
            };
            let mut at = shape.initial(2);
            at.iter_mut()
                .enumerate()
                .for_each(|(i, x)| *x += ((i * 7919 % 1009) as f64 - 504.0) / 5e3);
            let network = Network::new(&shape, &at).unwrap();
            let width = inputs as usize + 1;
            let all = Array2::from_shape_fn((70, width), |(i, j)| {
                if j + 1 == width {
                    1.0
                } else {
                    ((i * 104_729 + j * 1299) % 997) as f32 / 498.0 - 1.0
                }
            });
            let targets: Vec<f32> = (0..70).map(|i| (i % 2) as f32).collect();
            let whole = network.pass(all.view(), &targets);
            for first in 0..70 {
                for rows in [1, 2, 3, 7, 8, 9, 31].into_iter().filter(|rows| first + rows <= 70) {
                    let part = all.slice_axis(Axis(0), Slice::from(first..first + rows));
                    let pass = network.pass(part, &targets[first..first + rows]);
                    let pairs = pass.deltas.iter().zip(&whole.deltas);
                    for (part, whole) in pairs.chain(pass.activations.iter().zip(&whole.activations)) {
                        let same = whole.slice_axis(Axis(0), Slice::from(first..first + rows));
                        assert!(
                            part.iter().zip(same).all(|(a, b)| a.to_bits() == b.to_bits()),
                            "{shape:?} {first} {rows}"
                        );
                    }
                    let pairs = pass.losses.iter().zip(&whole.losses[first..]);
                    assert!(pairs.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()));
                }
            }
        }
    }
}
