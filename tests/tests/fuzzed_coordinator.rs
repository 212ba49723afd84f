//! The coordinator replaced by a fuzzer that holds every key but the participants' and the analysts': whatever it says, what leaves a
//! participant stays within its owner's list or a grant that both sides signed, within consents and within budget. The sentences are in
//! `tests/src/sim/fuzz/oracle.rs`; `cargo sim --fuzz SEED` runs one seed and writes its trace.

use std::time::{Duration, Instant};

use tests::sim::fuzz::{Reach, run};

/// What one test run may spend on seeds.
const BUDGET: Duration = Duration::from_secs(45);

/// Seeds that run however slow the machine is, and in which everything below was reached.
const AT_LEAST: u64 = 24;

/// What the first seeds must reach, and how often at least: without it the sentences would hold of a fuzzer that is never answered.
const REACHED: &[(&str, u64)] = &[
    ("accept", 200),
    ("vector", 50),
    ("vector by grant", 5),
    ("vector of a later attempt", 5),
    ("vector of a small cohort", 20),
    ("vote", 4),
    ("reveal at once", 20),
    ("reveal by certificate", 4),
    ("reveal of a bystander", 1),
    ("sum opened", 4),
    ("revoked here", 3),
    ("cosignature", 1_000),
    ("log refused", 100),
    ("crash", 10),
    // Who asks, what of, under which plan, how often, how much, how many: all of it is refused somewhere.
    ("refuse SOTTO-3002", 20),
    ("refuse SOTTO-3003", 5),
    ("refuse SOTTO-3004", 5),
    ("refuse SOTTO-3005", 20),
    ("refuse SOTTO-3006", 2),
    ("refuse SOTTO-3007", 20),
    ("refuse SOTTO-3008", 20),
    ("refuse SOTTO-3009", 5),
    ("refuse SOTTO-3010", 3),
    ("refuse SOTTO-3021", 50),
    ("refuse SOTTO-3022", 5),
    ("refuse SOTTO-4001", 5),
    ("refuse SOTTO-4002", 5),
    ("refuse SOTTO-4011", 20),
    ("refuse SOTTO-4021", 2),
    ("refuse SOTTO-4031", 2),
    ("refuse SOTTO-4032", 5),
    ("abort SOTTO-4003", 5),
];

#[test]
fn whatever_a_coordinator_says_what_leaves_was_granted_and_paid_for() {
    let started = Instant::now();
    let (mut seed, mut reach) = (0, Reach::new());
    while started.elapsed() < BUDGET || seed < AT_LEAST {
        match run(seed) {
            Ok(outcome) => outcome
                .reach
                .into_iter()
                .for_each(|(what, times)| *reach.entry(what).or_default() += times),
            Err(broken) => panic!(
                "seed {seed}: {}; `cargo sim --fuzz {seed}` writes the trace; its end:\n{}",
                broken.sentence,
                broken.trace[broken.trace.len().saturating_sub(40)..].join("\n")
            ),
        }
        seed += 1;
    }
    println!("{seed} seeds: {reach:?}");
    for (what, least) in REACHED {
        let times = reach.get(*what).copied().unwrap_or_default();
        assert!(
            times >= *least,
            "the fuzzer reaches `{what}` {least} times at least: {times} in {seed} seeds"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [2, 71] {
        assert_eq!(run(seed).unwrap(), run(seed).unwrap());
    }
}
