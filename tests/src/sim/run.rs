//! One seed from start to end: faults, then healing, then every job must have ended, and a new question must be answered. A
//! failure is written down as a trace that replays.

use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::acts::Decision;
use super::world::START_MS;
use super::{Options, World};

/// How long a healed world may take to end every job.
const HEALED_MS: u64 = 900_000;

/// How long it may take until everybody heard what was decided: a few beats.
const SETTLED_MS: u64 = 30_000;

/// How a seed went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub released: usize,
    pub failed: usize,
    pub events: usize,
    /// Hash of the whole trace: the same for the same seed, always.
    pub digest: String,
}

/// Which sentence broke, and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    pub sentence: String,
    pub trace: Vec<String>,
    pub options: Options,
}

/// A failure as a file: the seed and the dice replay it, the lines tell the story.
#[derive(Serialize, Deserialize)]
struct Recorded {
    seed: u64,
    sentence: String,
    options: Options,
    trace: Vec<String>,
}

/// Runs the swarm's dice for a seed.
pub fn run_seed(seed: u64) -> Result<Outcome, Box<Failure>> {
    let options = Options::draw(&mut ChaCha8Rng::seed_from_u64(seed ^ 0xd1ce));
    run(seed, options)
}

/// Runs a seed under given dice.
pub fn run(seed: u64, options: Options) -> Result<Outcome, Box<Failure>> {
    finished(seed, options, |_| {}).map(|world| outcome(&world))
}

/// The same, with what else is asked; what is left of the world at its end.
pub fn finished(seed: u64, options: Options, asked: impl FnOnce(&mut World)) -> Result<World, Box<Failure>> {
    let mut world = World::new(seed, options.clone());
    asked(&mut world);
    match phases(&mut world) {
        Ok(()) => Ok(world),
        Err(sentence) => Err(Box::new(Failure {
            seed,
            sentence,
            trace: world.trace,
            options,
        })),
    }
}

/// Runs a recorded failure again; what happens now, and whether it is what was recorded.
pub fn replay(path: &Path) -> std::io::Result<(Result<Outcome, Box<Failure>>, bool)> {
    let recorded: Recorded = serde_json::from_slice(&std::fs::read(path)?).map_err(std::io::Error::other)?;
    let now = run(recorded.seed, recorded.options);
    let same = now.as_ref().is_err_and(|failure| failure.trace == recorded.trace);
    Ok((now, same))
}

impl Failure {
    /// Writes the trace and says where it is.
    pub fn record(self, folder: &Path) -> std::io::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("seed-{}.json", self.seed));
        let recorded = Recorded {
            seed: self.seed,
            sentence: self.sentence,
            options: self.options,
            trace: self.trace,
        };
        std::fs::write(
            &path,
            serde_json::to_vec_pretty(&recorded).map_err(std::io::Error::other)?,
        )?;
        Ok(path)
    }
}

fn phases(world: &mut World) -> Result<(), String> {
    let Options {
        jobs,
        rounds,
        faults_ms,
        ..
    } = world.options;
    if world.options.by_grant {
        world.decide(1, Decision::Ask);
        for _ in 0..world.rng.random_range(1..=4) {
            let after_ms = world.rng.random_range(0..=faults_ms);
            let owner = world.rng.random_range(0..world.options.agents);
            let here = world.rng.random_bool(0.7);
            let revoke = if here {
                Decision::RevokeHere { owner }
            } else {
                Decision::Revoke { owner }
            };
            world.decide(after_ms, revoke);
            if world.rng.random_bool(0.5) {
                world.decide(after_ms + 3_000, Decision::Ask);
            }
        }
    }
    for _ in 0..jobs {
        let after_ms = world.rng.random_range(0..=faults_ms);
        let request = world.question(rounds);
        world.ask(after_ms, request);
    }
    world.faults = true;
    world.run_until(START_MS + faults_ms, |_| false)?;
    world.heal();
    let deadline_ms = world.now_ms + HEALED_MS;
    if !world.run_until(deadline_ms, World::every_job_ended)? {
        return Err("every job ends".to_owned());
    }
    if world.options.by_grant {
        world.decide(0, Decision::Ask); // whatever was revoked, somebody may ask again
        let settled_ms = world.now_ms + SETTLED_MS;
        world.run_until(settled_ms, |_| false)?;
    }
    let last = world.question(rounds);
    let last = world.ask(0, last);
    let deadline_ms = world.now_ms + HEALED_MS;
    world.run_until(deadline_ms, World::every_job_ended)?;
    if !world.checks.releases.contains_key(&last) {
        return Err("a healed consortium answers".to_owned());
    }
    let nodes: Vec<usize> = (0..world.options.agents).collect();
    for agent in nodes {
        world
            .checks
            .recovered_books_equal_live_books(&world.participants[agent]);
    }
    world.checks.recovered_coordinator_equals_live_one(&world.coordinator);
    world.checks.usage_of_the_books_is_that_of_the_log(&world.coordinator);
    world.checks.no_request_costs_more_than_it_says(rounds, 5);
    let agents = world.participants.iter().zip(&world.consortium.roster.agents);
    if let Some(coordinator) = &world.coordinator.engine {
        for (node, agent) in agents {
            if let Some(participant) = &node.engine {
                let name = &agent.organisation;
                world
                    .checks
                    .every_agent_holds_the_acts_that_concern_it(coordinator, participant, name);
            }
        }
    }
    match world.checks.broken.take() {
        Some(broken) => Err(broken),
        None => Ok(()),
    }
}

fn outcome(world: &World) -> Outcome {
    let released = world.checks.releases.len();
    let mut hasher = blake3::Hasher::new();
    for line in &world.trace {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    Outcome {
        released,
        failed: world.requests.len().saturating_sub(released),
        events: world.trace.len(),
        digest: hasher.finalize().to_hex()[..16].to_owned(),
    }
}
