//! Models as one family: dense ReLU layers, none for linear, logistic and softmax, below a head that gives loss and
//! output. A parameter vector is the layers in order; a layer is its weights row by row (`inputs` rows of `outputs`),
//! then its biases: an `(inputs + 1) x outputs` matrix that a row of inputs with a 1 at its end multiplies.

mod lattice;
mod network;
mod units;

pub use lattice::{FIGURES, MAX_RADIUS, UnitLattice};
pub use network::{Network, Pass};
pub use units::{clipped_float_sum, clipped_sum};

use serde::{Deserialize, Serialize};

/// What stands on top, with its loss on one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// `(z - y)^2 / 2`, one output.
    Squared,
    /// `ln(1 + e^z) - y z`, one output.
    Logistic,
    /// `ln sum e^z - z_y`, an output a class.
    Softmax,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub inputs: u32,
    /// Width of each hidden layer, from the inputs up.
    pub hidden: Vec<u32>,
    pub outputs: u32,
    pub head: Head,
}

/// Where a dense layer stands in the parameter vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    pub offset: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Layer {
    /// Weights, row by row.
    pub fn weights(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.inputs * self.outputs
    }

    pub fn biases(&self) -> std::ops::Range<usize> {
        self.weights().end..self.weights().end + self.outputs
    }
}

impl Shape {
    /// The dense layers from the inputs up.
    pub fn layers(&self) -> Vec<Layer> {
        let mut widths = vec![self.inputs as usize];
        widths.extend(self.hidden.iter().map(|w| *w as usize));
        widths.push(self.outputs as usize);
        let mut offset = 0;
        let place = |pair: &[usize]| {
            let layer = Layer {
                offset,
                inputs: pair[0],
                outputs: pair[1],
            };
            offset = layer.biases().end;
            layer
        };
        widths.windows(2).map(place).collect()
    }

    /// Numbers of a parameter vector.
    pub fn parameters(&self) -> usize {
        self.layers().last().map_or(0, |layer| layer.biases().end)
    }

    /// What the loss of a unit is cut at, so that it has a sensitivity. For classes twice the loss of a model that knows
    /// nothing (`ln k`): a curve shows where a run starts and a little of how it goes wrong. For numbers 1/2, the most
    /// that the midpoint, where a linear model starts, is ever wrong on targets in [-1, 1]: most targets are far closer,
    /// and a larger bound would only be more noise. Equal on every CPU.
    pub fn loss_bound(&self) -> f64 {
        match self.head {
            Head::Squared => 0.5,
            Head::Logistic => 2.0 * std::f64::consts::LN_2,
            Head::Softmax => 2.0 * natural_logarithm(self.outputs.max(2)),
        }
    }

    /// The same start everywhere: zeros where that is a fine place to start (no hidden layer), He's uniform weights
    /// [HZR+15] from a BLAKE3 stream otherwise. Only + - * / sqrt, so equal on every CPU.
    pub fn initial(&self, seed: u64) -> Vec<f64> {
        let mut parameters = vec![0.0; self.parameters()];
        if self.hidden.is_empty() {
            return parameters;
        }
        let mut hasher = blake3::Hasher::new_derive_key("sottovoce 1 initial weights");
        hasher.update(&seed.to_le_bytes());
        let mut stream = hasher.finalize_xof();
        for layer in self.layers() {
            let limit = (6.0 / layer.inputs as f64).sqrt();
            for weight in &mut parameters[layer.weights()] {
                let mut word = [0; 8];
                stream.fill(&mut word);
                let unit = (u64::from_le_bytes(word) >> 11) as f64 / 9_007_199_254_740_992.0;
                *weight = (2.0 * unit - 1.0) * limit;
            }
        }
        parameters
    }
}

/// ln n by its series: the platform's own may differ in the last bit from another platform's.
fn natural_logarithm(n: u32) -> f64 {
    // n = 2^e m with m in [1, 2), and ln m = 2 artanh((m - 1) / (m + 1)), where the argument is at most a third.
    let e = n.max(1).ilog2();
    let m = f64::from(n.max(1)) / f64::from(1u32 << e);
    let x = (m - 1.0) / (m + 1.0);
    let mut sum = 0.0;
    for k in (0..20).rev() {
        sum = 1.0 / f64::from(2 * k + 1) + x * x * sum;
    }
    f64::from(e) * std::f64::consts::LN_2 + 2.0 * x * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_a_logarithm() {
        for n in 1..=1000 {
            assert!((natural_logarithm(n) - f64::from(n).ln()).abs() < 4e-15, "{n}");
        }
    }

    #[test]
    fn layers_tile_the_parameter_vector() {
        let shape = Shape {
            inputs: 5,
            hidden: vec![4, 3],
            outputs: 2,
            head: Head::Softmax,
        };
        let layers = shape.layers();
        assert_eq!(layers.iter().map(|l| l.offset).collect::<Vec<_>>(), [0, 24, 39]);
        assert_eq!(shape.parameters(), 24 + 15 + 8);
        let (a, b) = (shape.initial(1), shape.initial(2));
        assert!(a != b && a == shape.initial(1));
        assert!(a[layers[1].biases()].iter().all(|x| *x == 0.0));
        let flat = Shape {
            hidden: vec![],
            ..shape
        };
        assert!(flat.initial(1).iter().all(|x| *x == 0.0));
    }
}
