//! `round`: secure rounds over real mutual TLS, every party its own process with its own database, charge made durable
//! before each contribution. One job of many rounds is submitted, as a training run is; the clock runs from submission to
//! the release. Bytes up are all messages that agents handed to TLS, divided by the values contributed.

use serde_json::json;

use crate::consortium::Consortium;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 10)]
    participants: usize,
    /// Colluders tolerated
    #[arg(long, default_value_t = 1)]
    colluders: u32,
    /// Values of a contribution, 32 bits each
    #[arg(long, default_value_t = 7850)]
    dim: usize,
    #[arg(long, default_value_t = 500)]
    rounds: u32,
    /// Draw exact noise for every round, inside the clock
    #[arg(long)]
    noise: bool,
    /// Agents that drop out of every round after they accepted
    #[arg(long, default_value_t = 0)]
    drop: usize,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    let consortium = Consortium::plain(arguments.participants, arguments.colluders, arguments.drop);
    let variance = if arguments.noise { 1_000_000 } else { 0 };
    // A short run first: connections, caches and the first epoch are warm.
    job(&consortium, arguments.dim, 3, variance);
    let before = consortium.counters();
    let seconds = job(&consortium, arguments.dim, arguments.rounds, variance);
    let after = consortium.counters();
    consortium.stop();
    let rounds = f64::from(arguments.rounds);
    let values = arguments.dim as f64 * (arguments.participants - arguments.drop) as f64 * rounds;
    json!({
        "participants": arguments.participants,
        "dim": arguments.dim,
        "rounds": arguments.rounds,
        "dropped": arguments.drop,
        "noise": arguments.noise,
        "rounds_per_second": 1.0 / seconds,
        "seconds_per_round": seconds,
        "coordinator_cpu_seconds_per_round": (after.coordinator_cpu - before.coordinator_cpu) / rounds,
        "participant_cpu_seconds_per_round":
            (after.participants_cpu - before.participants_cpu) / rounds / arguments.participants as f64,
        "bytes_up_per_value": (after.bytes_up - before.bytes_up) / values,
        "coordinator_peak_memory_mib": after.coordinator_peak_mib,
    })
}

/// Seconds per round of one job.
fn job(consortium: &Consortium, dim: usize, rounds: u32, variance: u64) -> f64 {
    consortium.sum_vectors(dim, rounds, variance).seconds / f64::from(rounds)
}
