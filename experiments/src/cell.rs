//! One cell of a grid: what a round of n participants and d values costs each party. The median of wall time
//! and the means of CPU and bytes, over the rounds of a job but its first; what an epoch costs is in the means as it falls.

use serde_json::{Value, json};

use crate::consortium::Consortium;
use crate::measure::median_of;

/// Of an agent's noise share: its size does not change what drawing it costs.
pub const VARIANCE: u64 = 1_000_000;

pub struct Cell {
    pub n: usize,
    pub d: usize,
    rounds: usize,
    retries: u32,
    /// Wall, of a round.
    pub seconds: f64,
    /// CPU seconds of a round.
    pub coordinator_cpu: f64,
    pub agent_cpu: f64,
    /// Of one agent, a round: whatever it handed to TLS.
    pub bytes_up: f64,
    coordinator_mib: f64,
    agent_mib: f64,
}

impl Cell {
    /// One job of `rounds` rounds after one that is not counted.
    pub fn measured(consortium: &Consortium, n: usize, d: usize, rounds: u32, variance: u64) -> Self {
        consortium.reset_peaks();
        let watched = consortium.sum_vectors(d, rounds + 1, variance);
        let seconds = watched.round_seconds();
        let used = watched
            .used_per_round()
            .unwrap_or_else(|| panic!("no round of {n} x {d} was seen to begin: measure more rounds"));
        Self {
            n,
            d,
            rounds: seconds.len(),
            retries: watched.retries,
            seconds: median_of(&seconds),
            coordinator_cpu: used.coordinator_cpu,
            agent_cpu: used.participants_cpu / n as f64,
            bytes_up: used.bytes_up / n as f64,
            coordinator_mib: used.coordinator_peak_mib,
            agent_mib: used.agent_peak_mib,
        }
    }

    /// For people.
    pub fn line(&self) -> String {
        format!(
            "{:>4} x {:<9} {:>10.4} s   cpu: coordinator {:>8.4} s, one agent {:>8.4} s   up {:>11.0} B   peak {:>5.0} and \
             {:>4.0} MiB   {} rounds, {} repeated",
            self.n,
            self.d,
            self.seconds,
            self.coordinator_cpu,
            self.agent_cpu,
            self.bytes_up,
            self.coordinator_mib,
            self.agent_mib,
            self.rounds,
            self.retries,
        )
    }

    pub fn to_json(&self) -> Value {
        json!({
            "participants": self.n,
            "dim": self.d,
            "rounds": self.rounds,
            "attempts_repeated": self.retries,
            "seconds_per_round": self.seconds,
            "coordinator_cpu_seconds": self.coordinator_cpu,
            "agent_cpu_seconds": self.agent_cpu,
            "bytes_up_per_agent": self.bytes_up,
            "coordinator_peak_memory_mib": self.coordinator_mib,
            "agent_peak_memory_mib": self.agent_mib,
        })
    }
}
