//! One subcommand per figure. Each prints what it did as it goes and, with `--json`, one JSON object as its last line;
//! figures are medians of several runs of the same process, and ratios compare two things measured in one run, because
//! machines are noisy. Never part of the tests: a slow machine is not a bug.
#![forbid(unsafe_code)]

mod accuracy;
mod agents;
mod cell;
mod consortium;
mod convergence;
mod cost_model;
mod data;
mod dropout;
mod flower;
mod govern;
mod mask;
mod measure;
mod noise;
mod onnx;
mod peers;
mod pictures;
mod privacy_audit;
mod query_overhead;
mod round;
mod scale;
mod step;
mod train_rate;
mod watched;

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
    /// Round time against participants and dimension, and a cost model fitted to it
    Scale(scale::Arguments),
    /// Flower's rounds and ours on the same work
    Peers(peers::Arguments),
    /// A private query against the same plain polars query
    QueryOverhead(query_overhead::Arguments),
    /// Many agents: epoch setup and queries
    Agents(agents::Arguments),
    /// Training rounds a second over real mutual TLS, gradients and noise included
    TrainRate(train_rate::Arguments),
    /// Trained models: federated, central, pooled and each site alone, with privacy and without
    Accuracy(accuracy::Arguments),
    /// Every algorithm where sites see different classes
    Convergence(convergence::Arguments),
    /// Accuracy and repeated rounds against sites that drop out
    Dropout(dropout::Arguments),
    /// Attacks on a trained model, beside its claim
    PrivacyAudit(privacy_audit::Arguments),
    /// A private gradient against a plain one
    Step(step::Arguments),
    /// What it costs that somebody decides, watches and proves: consent, the log, its quorum
    Govern(govern::Arguments),
    /// Exported models in onnxruntime, against our own predictions from the same raw rows
    Onnx(onnx::Arguments),
    /// Pictures of results that are there; measures nothing
    Redraw(pictures::Arguments),
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
        Experiment::Scale(arguments) => scale::run(&arguments),
        Experiment::Peers(arguments) => peers::run(&arguments),
        Experiment::QueryOverhead(arguments) => query_overhead::run(&arguments),
        Experiment::Agents(arguments) => agents::run(&arguments),
        Experiment::TrainRate(arguments) => train_rate::run(&arguments),
        Experiment::Accuracy(arguments) => accuracy::run(&arguments),
        Experiment::Convergence(arguments) => convergence::run(&arguments),
        Experiment::Dropout(arguments) => dropout::run(&arguments),
        Experiment::PrivacyAudit(arguments) => privacy_audit::run(&arguments),
        Experiment::Step(arguments) => step::run(&arguments),
        Experiment::Govern(arguments) => govern::run(&arguments),
        Experiment::Onnx(arguments) => onnx::run(&arguments),
        Experiment::Redraw(arguments) => pictures::run(&arguments),
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
