//! `scale`: what a round costs against the number of participants and of values, over real mutual TLS, exact noise included,
//! with a cost model fitted to the cells. All parties share this machine's cores, so wall time here has every agent's CPU in
//! it; the model of one agent and of the coordinator says what a round takes where each has a core of its own.
//!
//! One consortium for each number of participants, dimensions in rising order, 3 to 200 rounds a cell: about three minutes on two
//! cores, under a minute with `--quick`.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cell::{Cell, VARIANCE};
use crate::consortium::Consortium;
use crate::cost_model::{Fit, PARTY, Point, SHARED};
use crate::measure::{keep, median_of};

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, value_delimiter = ',', default_value = "3,4,8,16,32,64,128")]
    participants: Vec<usize>,
    /// Values of a contribution, 32 bits each
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000,10000000")]
    dims: Vec<usize>,
    /// 3, 8 and 16 participants, up to a million values
    #[arg(long)]
    quick: bool,
    /// Cells whose vectors would take more than so many GiB are left out
    #[arg(long, default_value_t = 8.0)]
    memory: f64,
    /// Aimed at in each cell
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Secure aggregation alone: agents draw no noise
    #[arg(long)]
    without_noise: bool,
    /// Where the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

/// Of memory for each participant and value, as measured: 24 at the agent (the clipped and the noised integers, the masked
/// copy), 8 to 12 at the coordinator.
const BYTES: usize = 36;
const GIB: f64 = (1u64 << 30) as f64;
/// Fewest and most. With 3, the cells of 128 participants fit into one epoch of 32 slots: the next one's setup, in which all pairs
/// agree on keys, would fall into one cell and be taken for its size.
const ROUNDS: (f64, f64) = (3.0, 200.0);
const QUICK: ([usize; 3], [usize; 4]) = ([3, 8, 16], [1_000, 10_000, 100_000, 1_000_000]);
/// What is predicted: Flower's figures for secure aggregation are known at this size.
const PREDICTED: (usize, usize) = (65, 100_000);

pub fn run(arguments: &Arguments) -> Value {
    let (mut participants, mut dims) = match arguments.quick {
        true => (QUICK.0.to_vec(), QUICK.1.to_vec()),
        false => (arguments.participants.clone(), arguments.dims.clone()),
    };
    participants.sort_unstable();
    dims.sort_unstable();
    let grid: Vec<(usize, usize)> = participants
        .iter()
        .flat_map(|n| dims.iter().map(|d| (*n, *d)))
        .collect();
    let (fits, left_out): (Vec<_>, Vec<_>) = grid.into_iter().partition(|(n, d)| gib(*n, *d) <= arguments.memory);
    for (n, d) in &left_out {
        println!(
            "left out: {n} participants x {d} values, about {:.1} GiB; --memory allows {} GiB",
            gib(*n, *d),
            arguments.memory
        );
    }
    let mut progress = Progress::over(&fits);
    let mut cells: Vec<Cell> = Vec::new();
    for n in participants {
        let dims: Vec<usize> = fits.iter().filter(|cell| cell.0 == n).map(|cell| cell.1).collect();
        let Some(mut before) = dims.first().copied() else {
            continue;
        };
        let consortium = Consortium::plain(n, 1, 0);
        // Connections, caches and the epoch are warm after these.
        let mut expected = warm_up(&consortium, before, arguments);
        for d in dims {
            let rounds = (arguments.seconds / (expected * d as f64 / before as f64)).clamp(ROUNDS.0, ROUNDS.1);
            let cell = Cell::measured(&consortium, n, d, rounds as u32, variance(arguments));
            (expected, before) = (cell.seconds, d);
            println!("{}", cell.line());
            cells.push(cell);
            progress.done(n, d);
        }
        consortium.stop();
    }
    let figures = figures(&cells, &left_out, arguments);
    keep(&arguments.results, "scale", &figures).unwrap_or_else(|error| panic!("{error}"));
    figures
}

/// GiB that the vectors of a cell take, over all parties.
fn gib(n: usize, d: usize) -> f64 {
    (n * BYTES) as f64 * d as f64 / GIB
}

fn variance(arguments: &Arguments) -> u64 {
    if arguments.without_noise { 0 } else { VARIANCE }
}

/// Seconds of a warm round.
fn warm_up(consortium: &Consortium, dim: usize, arguments: &Arguments) -> f64 {
    let seconds = consortium.sum_vectors(dim, 4, variance(arguments)).round_seconds();
    median_of(&seconds).max(1e-3)
}

/// The cells, the models and what they predict.
fn figures(cells: &[Cell], left_out: &[(usize, usize)], arguments: &Arguments) -> Value {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let left_out: Vec<Value> = left_out
        .iter()
        .map(|(n, d)| json!({ "participants": n, "dim": d, "estimated_gib": gib(*n, *d) }))
        .collect();
    let mut figures = json!({
        "cores": cores,
        "noise": !arguments.without_noise,
        "memory_limit_gib": arguments.memory,
        "cells": cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
        "left_out": left_out,
    });
    let points = |cost: fn(&Cell) -> f64| -> Vec<Point> {
        cells
            .iter()
            .map(|cell| Point {
                n: cell.n as f64,
                d: cell.d as f64,
                seconds: cost(cell),
            })
            .collect()
    };
    let wall = Fit::of(SHARED, &points(|cell| cell.seconds));
    let coordinator = Fit::of(PARTY, &points(|cell| cell.coordinator_cpu));
    let agent = Fit::of(PARTY, &points(|cell| cell.agent_cpu));
    let (Some(wall), Some(coordinator), Some(agent)) = (wall, coordinator, agent) else {
        println!(
            "no cost model: the cells are too few to tell its terms apart, or a party's CPU was below the clock's 10 ms"
        );
        return figures;
    };
    let of = [
        (format!("wall here, {cores} cores for all"), &wall),
        ("CPU of the coordinator".to_owned(), &coordinator),
        ("CPU of one agent".to_owned(), &agent),
    ];
    println!("seconds of a round of n participants and d values:");
    for (name, fit) in of {
        let (formula, error, r2) = (fit.formula(), fit.median_relative_error * 100.0, fit.r2);
        println!("  {name} = {formula}   (median relative error {error:.1} %, R2 {r2:.4})");
    }
    let (n, d) = PREDICTED;
    let alone = own_cores(&wall, &coordinator, &agent, n as f64, d as f64);
    let here = wall.seconds(n as f64, d as f64);
    println!(
        "a round of {n} agents x {d} values would take {alone:.3} s where every agent has its own core and the network \
         costs nothing; {here:.3} s here"
    );
    figures["models"] = json!({
        "wall": wall.to_json(),
        "coordinator_cpu": coordinator.to_json(),
        "agent_cpu": agent.to_json(),
    });
    figures["predicted"] = json!({
        "participants": n,
        "dim": d,
        "seconds_with_own_cores": alone,
        "seconds_here": here,
        "agent_cpu_seconds": agent.seconds(n as f64, d as f64),
        "coordinator_cpu_seconds": coordinator.seconds(n as f64, d as f64),
    });
    figures
}

/// Wall seconds where every party has a core of its own: what waits whatever the size (messages and durable writes), one
/// agent, then the coordinator on one core, as if it did not begin before the last agent ended. Latency and bandwidth of a
/// network come on top.
fn own_cores(wall: &Fit, coordinator: &Fit, agent: &Fit, n: f64, d: f64) -> f64 {
    wall.seconds(0.0, 0.0) + agent.seconds(n, d) + coordinator.seconds(n, d)
}

/// Cells done and time left, on standard error. Cells are weighed by the kind of cost that they have, and the weights are
/// scaled by what the cells so far took.
struct Progress {
    began: Instant,
    cells: (usize, usize),
    weight: (f64, f64),
}

impl Progress {
    fn over(cells: &[(usize, usize)]) -> Self {
        Self {
            began: Instant::now(),
            cells: (0, cells.len()),
            weight: (0.0, cells.iter().map(|(n, d)| Self::weight(*n, *d)).sum()),
        }
    }

    /// A floor for the rounds that fill the time aimed at, then work in proportion to n d and n^2 d.
    fn weight(n: usize, d: usize) -> f64 {
        let (n, d) = (n as f64, d as f64);
        3.0 + 0.04 * n + 6.0 * (2e-8 * n * d + 1.3e-10 * n * n * d)
    }

    fn done(&mut self, n: usize, d: usize) {
        self.cells.0 += 1;
        self.weight.0 += Self::weight(n, d);
        let left = self.began.elapsed().as_secs_f64() * (self.weight.1 / self.weight.0 - 1.0);
        eprintln!(
            "cells done: {} of {}, about {left:.0} s left",
            self.cells.0, self.cells.1
        );
    }
}
