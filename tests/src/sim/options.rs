//! What a run is made of: drawn from the seed for the swarm, set by hand for stories. Probabilities are per mille.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The swarm's dice. A recorded trace carries them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub agents: usize,
    /// Colluders tolerated.
    pub c: u32,
    /// Colluders present: they follow the protocol and hand the coordinator everything they know.
    pub colluders: usize,
    pub jobs: usize,
    pub rounds: u32,
    /// Slots of an epoch.
    pub slots: u16,
    /// Longest delay of a message.
    pub delay_ms: u64,
    /// Messages keep their order per connection, as a stream does.
    pub in_order: bool,
    pub drop: u32,
    pub duplicate: u32,
    /// Chance of a partition, per message.
    pub partition: u32,
    /// Chance that a party crashes at a step, per step.
    pub crash: u32,
    /// Of those crashes, how many lose the step's own records (a torn write) instead of its messages.
    pub torn: u32,
    /// Chance that the coordinator sends something hostile after a message.
    pub hostile: u32,
    /// Agents that come late.
    pub late: usize,
    /// Agents that compute slowly.
    pub slow: usize,
    /// Vectors need a grant.
    pub grants: bool,
    pub tick_ms: Option<u64>,
    /// What every owner allows, in whole units of epsilon.
    pub budget: u32,
    /// Every owner allows sums without noise.
    pub without_noise: bool,
    /// No owner's list names the analyst: grants are asked for, offered and taken back.
    #[serde(default)]
    pub by_grant: bool,
    /// Between two beats of the coordinator.
    #[serde(default = "beat_ms")]
    pub beat_ms: u64,
    /// Requests of one analyst that each owner answers in an hour; none: as it ships.
    #[serde(default)]
    pub requests_per_hour: Option<u32>,
    /// How long agents keep the words of their refusals.
    #[serde(default)]
    pub keep_payloads_ms: Option<u64>,
    /// Length of the safety phase.
    pub faults_ms: u64,
}

/// As it ships.
fn beat_ms() -> u64 {
    engine::coordinator::Limits::default().beat_ms
}

impl Options {
    /// A quiet consortium of `agents`.
    pub fn quiet(agents: usize, c: u32) -> Self {
        Self {
            agents,
            c,
            colluders: 0,
            jobs: 0,
            rounds: 1,
            slots: 16,
            delay_ms: 20,
            in_order: true,
            drop: 0,
            duplicate: 0,
            partition: 0,
            crash: 0,
            torn: 500,
            hostile: 0,
            late: 0,
            slow: 0,
            grants: false,
            tick_ms: None,
            budget: 200,
            without_noise: false,
            by_grant: false,
            beat_ms: beat_ms(),
            requests_per_hour: None,
            keep_payloads_ms: None,
            faults_ms: 0,
        }
    }

    /// The dice of one seed: each fault is off in half of the runs, so that rare ones meet calm ones.
    pub fn draw(rng: &mut impl Rng) -> Self {
        let agents = rng.random_range(3..=7_usize);
        let c = rng.random_range(1..=((agents as u32 - 2) / 2).max(1));
        let mut maybe = |most: u32| {
            if rng.random_bool(0.5) {
                rng.random_range(0..=most)
            } else {
                0
            }
        };
        let (drop, duplicate, partition) = (maybe(60), maybe(100), maybe(20));
        let (crash, hostile) = (maybe(20), maybe(200));
        Self {
            agents,
            c,
            colluders: rng.random_range(0..=c as usize),
            jobs: rng.random_range(1..=5),
            rounds: if rng.random_bool(0.3) {
                rng.random_range(2..=6)
            } else {
                1
            },
            slots: rng.random_range(2..=12),
            delay_ms: rng.random_range(1..=400),
            in_order: rng.random_bool(0.7),
            drop,
            duplicate,
            partition,
            crash,
            torn: 500,
            hostile,
            late: rng.random_range(0..=agents / 3),
            slow: rng.random_range(0..=agents / 3),
            grants: rng.random_bool(0.5),
            tick_ms: rng.random_bool(0.3).then(|| rng.random_range(300..=2000)),
            budget: 200,
            without_noise: false,
            faults_ms: rng.random_range(2_000..=120_000),
            by_grant: rng.random_bool(0.4),
            beat_ms: beat_ms(),
            requests_per_hour: None,
            // By the seed's own figures: what refusals there are, some runs erase while they last.
            keep_payloads_ms: (agents % 2 == 0).then_some(20_000),
        }
    }
}
