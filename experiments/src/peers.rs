//! `peers`: Flower's rounds and ours on the same work: the same rows of MNIST dealt alike to ten clients, the same softmax of
//! 7,850 numbers, one gradient step a round over the same expected batch; and the sum of a vector of a million. Theirs in the
//! fastest mode that Flower supports on one machine, or with `--deployed` as SuperLink and SuperNodes over loopback; ours over
//! real mutual TLS either way. The same number of rounds after one that warms up, medians; a minute and a half, five minutes
//! with `--deployed`.

use std::path::{Path, PathBuf};

use polars::prelude::{ParquetReader, SerReader};
use serde_json::{Value, json};
use tests::learn::Result;

use crate::cell::{Cell, VARIANCE};
use crate::consortium::Consortium;
use crate::flower::Flower;
use crate::measure::keep;
use crate::train_rate;

#[derive(clap::Args)]
pub struct Arguments {
    /// Rounds that are measured [default: 20, or 3 with --deployed]
    #[arg(long)]
    rounds: Option<u32>,
    /// SuperLink and SuperNodes instead of the simulation; SecAgg+ alone, which takes a minute a round
    #[arg(long)]
    deployed: bool,
    /// Version of Flower, as pip reads it
    #[arg(long, default_value = "1.41.*")]
    flower: String,
    /// 10,000 images, one row each: columns p0..p783 and label
    #[arg(long, default_value = "experiments/data/mnist_10k.parquet")]
    data: PathBuf,
    /// Where peers.py is
    #[arg(long, default_value = "experiments/python")]
    scripts: PathBuf,
    /// Where the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

const CLIENTS: usize = 10;
const COLLUDERS: u32 = 1;
/// Shares that open a secret: ours for ten members and one colluder, floor((n + c) / 2) + 1.
const THRESHOLD: usize = 6;
const VECTOR: usize = 1_000_000;
const ROWS: u32 = 8_000;
const BATCH: u32 = 600;
const LEARNING_RATE: f64 = 0.5;
const FEWEST: u32 = 3;

/// What stands beside the table, because no ratio says it.
const NOT_COMPARABLE: [&str; 6] = [
    "Flower adds no noise: its sums have no differential privacy. Ours clips each row, draws exact noise in shares and \
     writes the charge down before anything leaves; all of it is inside our time",
    "simulated Flower has no sockets, no TLS and no durable record; its round mostly waits for a poll every 0.1 s",
    "deployed Flower runs here without TLS; ours has mutual TLS in every figure",
    "SecAgg+ sets up keys anew in each round, ours once an epoch of up to 256 rounds: over few rounds our CPU and bytes hold \
     all of an epoch's setup or nothing of it",
    "FedAvg shows every client's model to the server: it is the floor of Flower's own cost, not a private sum",
    "CPU is that of all parties; bytes are those of messages (Flower) and of all that is handed to TLS (ours)",
];

/// A line of the table.
struct Row {
    work: &'static str,
    system: &'static str,
    mode: &'static str,
    seconds: f64,
    cpu: f64,
    bytes_up: f64,
    rounds: u64,
}

pub fn run(arguments: &Arguments) -> Value {
    measured(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn measured(arguments: &Arguments) -> Result<Value> {
    let rounds = arguments.rounds.unwrap_or(if arguments.deployed { 3 } else { 20 });
    if rounds < FEWEST {
        return Err(format!("--rounds {rounds}: a median needs at least {FEWEST}").into());
    }
    let flower = Flower::install(&arguments.flower, &arguments.scripts)?;
    let folder = tempfile::tempdir()?;
    let files = train_rate::deal(&arguments.data, folder.path(), CLIENTS)?;
    for (i, file) in files.iter().enumerate() {
        hand_over(file, folder.path(), i)?;
    }
    let (softmax, vector) = ("MNIST softmax", "sum of 1M values");
    let cases: &[(&'static str, &'static str, &str, usize)] = match arguments.deployed {
        true => &[(softmax, "Flower SecAgg+", "secaggplus", 0)],
        false => &[
            (softmax, "Flower FedAvg", "fedavg", 0),
            (softmax, "Flower SecAgg+", "secaggplus", 0),
            (vector, "Flower SecAgg+", "secaggplus", VECTOR),
        ],
    };
    let mode = if arguments.deployed { "deployed" } else { "simulated" };
    let (mut rows, mut versions) = (Vec::new(), Value::Null);
    for (work, system, protocol, dim) in cases {
        eprintln!("{system}, {work}, {mode}: {rounds} rounds after one");
        let plan = json!({
            "protocol": protocol,
            "dim": dim,
            "clients": CLIENTS,
            "rounds": rounds + 1,
            "threshold": THRESHOLD,
            "learning_rate": LEARNING_RATE,
            "batch_share": f64::from(BATCH) / f64::from(ROWS),
            "folder": folder.path(),
        });
        let figures = flower.run(&plan, mode)?;
        rows.push(theirs(work, system, mode, &figures)?);
        versions = json!({ "packages": figures["versions"], "python": figures["python"] });
    }
    eprintln!("ours: {rounds} rounds after one");
    rows.push(our_training(softmax, rounds, &arguments.data)?);
    if !arguments.deployed {
        rows.push(our_sum(vector, rounds));
    }
    let told = tell(&rows);
    let figures = json!({
        "clients": CLIENTS,
        "versions": { "peer": versions, "ours": env!("CARGO_PKG_VERSION") },
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "rows": told,
        "not_comparable": NOT_COMPARABLE,
    });
    let name = if arguments.deployed { "peers-deployed" } else { "peers" };
    keep(&arguments.results, name, &figures)?;
    Ok(figures)
}

/// A client's rows as Flower's side reads them: pixels from 0 to 1 as little-endian f32, labels as bytes.
fn hand_over(parquet: &Path, folder: &Path, i: usize) -> Result<()> {
    let frame = ParquetReader::new(std::fs::File::open(parquet)?).finish()?;
    let (pixels, labels) = train_rate::numbers(&frame)?;
    if pixels.len() != train_rate::PIXELS {
        return Err(format!("{} columns of pixels: expected {}", pixels.len(), train_rate::PIXELS).into());
    }
    let missing = || format!("a missing value among the rows of client {i}");
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (row, label) in labels.iter().enumerate() {
        for column in &pixels {
            let value = column[row].ok_or_else(missing)? / 255.0;
            x.extend((value as f32).to_le_bytes());
        }
        y.push(label.ok_or_else(missing)? as u8);
    }
    std::fs::write(folder.join(format!("{i}.x")), x)?;
    std::fs::write(folder.join(format!("{i}.y")), y)?;
    Ok(())
}

fn theirs(work: &'static str, system: &'static str, mode: &'static str, figures: &Value) -> Result<Row> {
    let number = |name: &str| {
        let missing = || format!("Flower's figures have no {name}: {figures}");
        figures[name].as_f64().ok_or_else(missing)
    };
    Ok(Row {
        work,
        system,
        mode,
        seconds: number("seconds_per_round")?,
        cpu: number("cpu_seconds_per_round")?,
        bytes_up: number("bytes_up_per_client")?,
        rounds: number("rounds")? as u64,
    })
}

const OURS: &str = "Sottovoce";
const TLS: &str = "mutual TLS";

fn our_training(work: &'static str, rounds: u32, data: &Path) -> Result<Row> {
    // Nothing is kept but the comparison.
    let figures = train_rate::figures(&train_rate::Arguments {
        participants: CLIENTS,
        rounds: rounds + 1,
        hidden: Vec::new(),
        epsilon: 8.0,
        batch: BATCH,
        learning_rate: LEARNING_RATE,
        data: data.to_owned(),
        results: PathBuf::new(),
    });
    let number = |name: &str| figures[name].as_f64().ok_or_else(|| format!("no {name} in {figures}"));
    let agents = number("participant_cpu_seconds_per_round")? * CLIENTS as f64;
    Ok(Row {
        work,
        system: OURS,
        mode: TLS,
        seconds: number("median_seconds_per_round")?,
        cpu: number("coordinator_cpu_seconds_per_round")? + agents,
        bytes_up: number("bytes_up_per_participant_per_round")?,
        rounds: u64::from(rounds),
    })
}

fn our_sum(work: &'static str, rounds: u32) -> Row {
    let consortium = Consortium::plain(CLIENTS, COLLUDERS, 0);
    let cell = Cell::measured(&consortium, CLIENTS, VECTOR, rounds, VARIANCE);
    consortium.stop();
    Row {
        work,
        system: OURS,
        mode: TLS,
        seconds: cell.seconds,
        cpu: cell.coordinator_cpu + cell.agent_cpu * CLIENTS as f64,
        bytes_up: cell.bytes_up,
        rounds: u64::from(rounds),
    }
}

/// Prints the table, theirs above ours, and answers its rows.
fn tell(rows: &[Row]) -> Vec<Value> {
    println!(
        "{:<18} {:<15} {:<11} {:>12} {:>9} {:>12} {:>9} {:>14}",
        "work", "system", "mode", "s a round", "/ ours", "CPU s", "/ ours", "bytes up each"
    );
    let mut told = Vec::new();
    for row in rows {
        let ours = rows.iter().find(|other| other.work == row.work && other.system == OURS);
        let (slower, more) = ours.map_or((1.0, 1.0), |ours| (row.seconds / ours.seconds, row.cpu / ours.cpu));
        println!(
            "{:<18} {:<15} {:<11} {:>12.4} {:>9.1} {:>12.4} {:>9.1} {:>14.0}",
            row.work, row.system, row.mode, row.seconds, slower, row.cpu, more, row.bytes_up
        );
        told.push(json!({
            "work": row.work,
            "system": row.system,
            "mode": row.mode,
            "rounds": row.rounds,
            "seconds_per_round": row.seconds,
            "seconds_ratio_to_ours": slower,
            "cpu_seconds_per_round": row.cpu,
            "cpu_ratio_to_ours": more,
            "bytes_up_per_client": row.bytes_up,
        }));
    }
    println!("what no ratio says:");
    NOT_COMPARABLE.iter().for_each(|line| println!("  - {line}"));
    told
}
