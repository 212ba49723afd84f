//! `cargo sim 42`, `cargo sim --seeds 1000`, `cargo sim --replay FILE`: the simulator on the command line. One line per seed; a
//! seed that breaks a sentence leaves a trace that replays, and the program fails. `cargo sim --fuzz 42` and `cargo sim --fuzz 0 1000` run the fuzzed
//! coordinator on one seed, or on so many from there.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tests::sim::{Failure, Outcome, fuzz, replay, run_seed};

const USAGE: &str = "usage: cargo sim SEED | --seeds COUNT [--from SEED] | --replay FILE | --fuzz SEED [COUNT]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    match arguments.as_slice() {
        ["--replay", file] => again(&PathBuf::from(file)),
        ["--seeds", count] => number(count).map_or_else(usage, |count| seeds(0, count)),
        ["--seeds", count, "--from", from] => number(count)
            .zip(number(from))
            .map_or_else(usage, |(count, from)| seeds(from, count)),
        ["--fuzz", seed] => number(seed).map_or_else(usage, |seed| fuzzed(seed, 1)),
        ["--fuzz", seed, count] => number(seed)
            .zip(number(count))
            .map_or_else(usage, |(seed, count)| fuzzed(seed, count)),
        [seed] => number(seed).map_or_else(usage, |seed| seeds(seed, 1)),
        _ => usage(),
    }
}

fn seeds(from: u64, count: u64) -> ExitCode {
    let mut good = true;
    for seed in from..from.saturating_add(count) {
        good &= report(seed, run_seed(seed));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Seeds of the fuzzed coordinator, and what they reached in all.
fn fuzzed(from: u64, count: u64) -> ExitCode {
    let (mut good, mut reach) = (true, fuzz::Reach::new());
    for seed in from..from.saturating_add(count) {
        match fuzz::run(seed) {
            Ok(outcome) => {
                println!("seed {seed}: {} events, trace {}", outcome.events, outcome.digest);
                for (what, times) in outcome.reach {
                    *reach.entry(what).or_default() += times;
                }
            }
            Err(broken) => {
                good = false;
                let path = format!("target/sim/fuzz-{seed}.txt");
                let written =
                    std::fs::create_dir_all("target/sim").and_then(|()| std::fs::write(&path, broken.trace.join("\n")));
                let place = written.map_or_else(|error| format!("no trace: {error}"), |()| format!("trace in {path}"));
                println!("seed {seed}: BROKEN: {}; {place}", broken.sentence);
            }
        }
    }
    reach.iter().for_each(|(what, times)| println!("{times:>9} {what}"));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(seed: u64, ended: Result<Outcome, Box<Failure>>) -> bool {
    match ended {
        Ok(outcome) => {
            let Outcome {
                released,
                failed,
                events,
                digest,
            } = outcome;
            println!("seed {seed}: {released} released, {failed} failed, {events} events, trace {digest}");
            true
        }
        Err(failure) => {
            let sentence = failure.sentence.clone();
            match failure.record(Path::new("target/sim")) {
                Ok(path) => println!("seed {seed}: BROKEN: {sentence}; trace in {}", path.display()),
                Err(error) => println!("seed {seed}: BROKEN: {sentence}; the trace could not be written: {error}"),
            }
            false
        }
    }
}

fn again(file: &Path) -> ExitCode {
    match replay(file) {
        Ok((Err(failure), same)) => {
            let trace = if same { "as recorded" } else { "not as recorded" };
            println!("seed {}: BROKEN: {}, {trace}", failure.seed, failure.sentence);
            ExitCode::FAILURE
        }
        Ok((Ok(outcome), _)) => {
            println!(
                "the recorded failure is gone: {} released, {} failed",
                outcome.released, outcome.failed
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("no trace in {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    println!("{USAGE}");
    ExitCode::FAILURE
}
