//! One subcommand per figure. Each prints what it did as it goes and, with `--json`, one JSON object as its last line;
//! figures are medians of several runs of the same process, and ratios compare two things measured in one run, because
//! machines are noisy. Never part of the tests: a slow machine is not a bug.
#![forbid(unsafe_code)]

mod agents;
mod consortium;
mod mask;
mod measure;
mod noise;
mod query_overhead;
mod round;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "experiments", about = "Measures what Sottovoce promises", version)]
struct Cli {
    /// Print one JSON object as the last line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    experiment: Experiment,
}

#[derive(Subcommand)]
enum Experiment {
    /// Expanding and adding masks, against the raw AES-256-CTR keystream
    Mask(mask::Arguments),
    /// The exact discrete Gaussian, one core
    Noise(noise::Arguments),
    /// Secure rounds over real mutual TLS, every agent its own process
    Round(round::Arguments),
    /// A private query against the same plain polars query
    QueryOverhead(query_overhead::Arguments),
    /// Many agents: epoch setup and queries
    Agents(agents::Arguments),
    /// One coordinator process of a measurement
    #[command(name = "__coordinator", hide = true)]
    Coordinator(consortium::Child),
    /// One participant process of a measurement
    #[command(name = "__participant", hide = true)]
    Participant(consortium::Child),
    /// A measurement that wants a process of its own for its peak memory
    #[command(name = "__query", hide = true)]
    QueryChild(query_overhead::Child),
}

fn main() {
    proto::identity::install_crypto_provider();
    let cli = Cli::parse();
    let figures = match cli.experiment {
        Experiment::Mask(arguments) => mask::run(&arguments),
        Experiment::Noise(arguments) => noise::run(&arguments),
        Experiment::Round(arguments) => round::run(&arguments),
        Experiment::QueryOverhead(arguments) => query_overhead::run(&arguments),
        Experiment::Agents(arguments) => agents::run(&arguments),
        Experiment::Coordinator(child) => return child.coordinator(),
        Experiment::Participant(child) => return child.participant(),
        Experiment::QueryChild(child) => return child.run(),
    };
    if cli.json {
        println!("{figures}");
    } else {
        measure::print(&figures);
    }
}
