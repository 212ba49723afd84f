//! How much dearer a private gradient is than a plain one of the same model on the same batch: clipping per unit,
//! rounding to the lattice and summing in integers against one mini-batch gradient.

use super::Result;
use ndarray::Array2;
use std::time::Instant;
use workload::training::model::{FIGURES, UnitLattice, clipped_sum};
use workload::training::{Head, Network, Shape};

/// A model and a batch of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    pub inputs: u32,
    pub hidden: &'static [u32],
    pub outputs: u32,
    pub batch: usize,
}

const fn case(name: &'static str, inputs: u32, hidden: &'static [u32], outputs: u32, batch: usize) -> Case {
    Case {
        name,
        inputs,
        hidden,
        outputs,
        batch,
    }
}

/// What the bar is measured on: MNIST's shapes at the batch of one of ten agents and at a common one.
pub const CASES: [Case; 6] = [
    case("logistic", 30, &[], 1, 256),
    case("softmax", 784, &[], 10, 50),
    case("softmax", 784, &[], 10, 256),
    case("mlp", 784, &[128], 10, 50),
    case("mlp", 784, &[128], 10, 256),
    case("mlp", 784, &[128, 64], 10, 256),
];

#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub parameters: usize,
    pub plain_seconds: f64,
    pub private_seconds: f64,
}

impl Cost {
    pub fn ratio(&self) -> f64 {
        self.private_seconds / self.plain_seconds
    }
}

/// Interleaved, the best of `runs` each: the machine is shared, and whatever disturbs a run only adds to it.
pub fn measure(case: &Case, runs: usize) -> Result<Cost> {
    let shape = Shape {
        inputs: case.inputs,
        hidden: case.hidden.to_vec(),
        outputs: case.outputs,
        head: if case.outputs == 1 {
            Head::Logistic
        } else {
            Head::Softmax
        },
    };
    // Small weights everywhere, so that no layer starts at zero.
    let filler = Shape {
        hidden: vec![1],
        ..shape.clone()
    }
    .initial(1);
    let mut parameters = shape.initial(1);
    parameters
        .iter_mut()
        .zip(filler.iter().cycle())
        .for_each(|(x, w)| *x += w / 10.0);
    let network = Network::new(&shape, &parameters).ok_or("a model of another shape")?;
    let width = case.inputs as usize + 1;
    let data = Array2::from_shape_fn((case.batch, width), |(i, j)| match j + 1 == width {
        true => 1.0,
        false => ((i * 7919 + j * 104_729) % 1000) as f32 / 500.0 - 1.0,
    });
    let classes = case.outputs.max(2) as usize;
    let targets: Vec<f32> = (0..case.batch).map(|i| (i % classes) as f32).collect();
    let units: Vec<(usize, usize)> = (0..case.batch).map(|i| (i, i + 1)).collect();
    let lattice = UnitLattice::new(1 << 20).ok_or("a lattice out of range")?;
    let mut out = vec![0i64; shape.parameters() + FIGURES];
    let (mut plain, mut private) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..runs {
        let began = Instant::now();
        std::hint::black_box(network.gradient(data.view(), &targets));
        plain = plain.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        std::hint::black_box(clipped_sum(
            &network,
            data.view(),
            &targets,
            &units,
            1.0,
            lattice,
            &mut out,
        ));
        private = private.min(began.elapsed().as_secs_f64());
    }
    Ok(Cost {
        parameters: shape.parameters(),
        plain_seconds: plain,
        private_seconds: private,
    })
}
