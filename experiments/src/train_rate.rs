//! `train-rate`: `dp-sgd` over real mutual TLS, every agent its own process, local gradients and exact noise included. MNIST
//! rows are dealt to the agents round-robin; the figures are of all rounds but the first.

use std::path::{Path, PathBuf};

use governance::canonical::Real;
use polars::prelude::{DataFrame, IntoLazy, ParquetReader, ParquetWriter, SerReader, col, lit};
use serde_json::json;
use sottovoce::local::Site;
use sottovoce::train::{Trained, question};
use tests::learn::{Result, mnist_contract};
use workload::training::{ModelKind, TrainTask};

use crate::consortium::Consortium;
use crate::data::found;
use crate::measure::median_of;
use crate::watched::Watched;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 10)]
    pub participants: usize,
    #[arg(long, default_value_t = 1000)]
    pub rounds: u32,
    /// Hidden units of an mlp; none is a softmax of 7,850 numbers
    #[arg(long, value_delimiter = ',')]
    pub hidden: Vec<u32>,
    #[arg(long, default_value_t = 8.0)]
    pub epsilon: f64,
    /// Expected units of a step, over all participants
    #[arg(long, default_value_t = 600)]
    pub batch: u32,
    #[arg(long, default_value_t = 0.5)]
    pub learning_rate: f64,
    /// 10,000 images, one row each: columns p0..p783 and label
    #[arg(long, default_value = "experiments/data/mnist_10k.parquet")]
    pub data: PathBuf,
}

/// A number of each row, or none.
type Column = Vec<Option<f64>>;

pub const PIXELS: usize = 784;
const HELD: u32 = 5;

/// One file an agent; every `HELD`th row is nobody's (the file may be sorted by digit).
pub fn deal(data: &Path, folder: &Path, participants: usize) -> Result<Vec<PathBuf>> {
    let all = ParquetReader::new(std::fs::File::open(found(data)?)?).finish()?;
    let mut names: Vec<String> = (0..PIXELS).map(|i| format!("p{i}")).collect();
    let label = all.get_column_names().iter().position(|name| name.as_str() == "label");
    let mut frame = all.clone();
    // Whatever the file calls its pixels, in their order.
    let found: Vec<String> = frame.get_column_names().iter().map(|name| name.to_string()).collect();
    names.insert(label.ok_or("no column `label`")?, "label".to_owned());
    for (old, new) in found.iter().zip(&names) {
        frame.rename(old, new.as_str().into())?;
    }
    let kept = frame.with_row_index("row".into(), None)?.lazy();
    let kept = kept
        .filter((col("row") % lit(HELD)).neq(lit(0u32)))
        .collect()?
        .drop("row")?;
    let dealt = kept.with_row_index("turn".into(), None)?;
    let mut files = Vec::new();
    for i in 0..participants {
        let mine = (col("turn") % lit(participants as u32)).eq(lit(i as u32));
        let mut part = dealt.clone().lazy().filter(mine).collect()?.drop("turn")?;
        let path = folder.join(format!("{i}.parquet"));
        ParquetWriter::new(std::fs::File::create(&path)?).finish(&mut part)?;
        files.push(path);
    }
    Ok(files)
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    if let Err(error) = found(&arguments.data) {
        eprintln!("experiments: {error}");
        std::process::exit(1); // nothing was started yet
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = deal(&arguments.data, folder.path(), arguments.participants).unwrap_or_else(|error| panic!("{error}"));
    let rows = 8_000usize.div_ceil(arguments.participants);
    let path = folder.path().join("mnist.toml");
    std::fs::write(&path, mnist_contract(rows)).expect("a writable temporary folder");
    let site = |(i, file): (usize, &PathBuf)| Site {
        name: format!("agent-{i:03}"),
        organisation: format!("Site {i}"),
        config: toml::from_str(&format!(
            "[[dataset]]\ncontract = {path:?}\nfiles = [{file:?}]\npopulation = \"people\"\nanalysts = [\"*\"]\n\
             [[population]]\nid = \"people\"\nepsilon = 100.0\ndelta = 1e-4\n\
             approved_by = [\"first\", \"second\"]\nanalysts = {{ \"*\" = 100.0 }}\n"
        ))
        .expect("a valid configuration"),
    };
    let consortium = Consortium::start(1, files.iter().enumerate().map(site).collect(), &[]);
    let figures = measured(arguments, &consortium, rows).unwrap_or_else(|error| panic!("{error}"));
    consortium.stop();
    figures
}

fn measured(arguments: &Arguments, consortium: &Consortium, rows: usize) -> Result<serde_json::Value> {
    let watched = consortium.runtime.block_on(train(arguments, consortium, rows))?;
    let seconds = watched.round_seconds();
    let used = watched
        .used_per_round()
        .ok_or("no round was seen: ask for more rounds")?;
    let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
    let trained = Trained::of(*watched.released)?;
    let participants = arguments.participants as f64;
    Ok(json!({
        "participants": arguments.participants,
        "parameters": trained.run.model.shape.parameters(),
        "rounds": trained.run.rounds,
        "rounds_per_second": 1.0 / mean,
        "seconds_per_round": mean,
        "median_seconds_per_round": median_of(&seconds),
        "epsilon": trained.run.privacy.epsilon.map(|e| e.get()),
        "final_accuracy": accuracy(&arguments.data, &trained)?,
        "coordinator_cpu_seconds_per_round": used.coordinator_cpu,
        "participant_cpu_seconds_per_round": used.participants_cpu / participants,
        "bytes_up_per_participant_per_round": used.bytes_up / participants,
    }))
}

/// A run followed to its release.
async fn train(arguments: &Arguments, consortium: &Consortium, rows: usize) -> Result<Watched> {
    let mut client = consortium.running.connect().await?;
    let dataset = client.dataset("mnist").await?;
    let units = rows * arguments.participants;
    let names: Vec<String> = (0..PIXELS).map(|i| format!("p{i}")).collect();
    let features: Vec<&str> = names.iter().map(String::as_str).collect();
    let model = match arguments.hidden.is_empty() {
        true => ModelKind::Softmax,
        false => ModelKind::Mlp {
            hidden: arguments.hidden.clone(),
        },
    };
    let real = |x: f64| Real::new(x).ok_or("a number that is not finite");
    let mut task = TrainTask::dp_sgd(&features, "label", model, arguments.rounds);
    task.sampling_rate = real((f64::from(arguments.batch) / units as f64).min(1.0))?;
    task.learning_rate = real(arguments.learning_rate)?;
    task.expected_units = Some(units as u64);
    task.seed = 1;
    let question = question(&dataset, &task, arguments.epsilon, "research", 20);
    Ok(Watched::job(consortium, &mut client, question).await?)
}

/// On rows that no agent held.
fn accuracy(data: &Path, trained: &Trained) -> Result<f64> {
    let all = ParquetReader::new(std::fs::File::open(found(data)?)?).finish()?;
    let every = (col("row") % lit(HELD)).eq(lit(0u32));
    let test = all
        .with_row_index("row".into(), None)?
        .lazy()
        .filter(every)
        .collect()?
        .drop("row")?;
    let (pixels, labels) = numbers(&test)?;
    let cells: Vec<_> = pixels.iter().map(|p| workload::training::Cells::Numbers(p)).collect();
    let model = &trained.run.model;
    let predicted = model.predict(&model.encode(&cells)?)?;
    let right = predicted.iter().zip(&labels).filter(|(p, l)| Some(**p) == **l).count();
    Ok(right as f64 / labels.len() as f64)
}

/// Columns of numbers: the pixels', and the label's.
pub fn numbers(frame: &DataFrame) -> Result<(Vec<Column>, Column)> {
    let (mut pixels, mut labels) = (Vec::new(), Column::new());
    for column in frame.columns() {
        let values = column.cast(&polars::prelude::DataType::Float64)?;
        let values: Column = values.f64()?.iter().collect();
        if column.name().as_str() == "label" {
            labels = values;
        } else {
            pixels.push(values);
        }
    }
    Ok((pixels, labels))
}
