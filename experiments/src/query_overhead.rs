//! `query-overhead`: what privacy costs at one participant, before masks: the same question by the participant's executor
//! and by plain polars with the same clipping, and once more with the same bounding of rows per person. Runs alternate, so
//! that a noisy machine is noisy for both; peak memory is that of a child process that answers one question.
//!
//! The data: eight regions, two sexes, one person per four rows in random order, made from a fixed seed; about 110 MB of
//! Parquet for ten million rows, in a temporary folder. Plain polars bounds in the faster of two ways that its user has.

use engine::CohortTerms;
use governance::Contract;
use polars::prelude::*;
use serde_json::json;
use sotto_participant::compute::execute;
use sotto_participant::config::Mapping;
use sotto_participant::data::Dataset;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workload::query::{BoundingKey, ComponentKind, QueryPlan, compile};

use crate::measure::median;

pub const SQL: &str = "SELECT region, sex, COUNT(*), AVG(income) FROM census GROUP BY region, sex";
const REGIONS: [&str; 8] = [
    "north",
    "north-east",
    "east",
    "south-east",
    "south",
    "south-west",
    "west",
    "north-west",
];
const SEXES: [&str; 2] = ["female", "male"];
const ROWS_PER_PERSON: u64 = 4;
/// Rows of a person that count.
const KEPT: usize = 2;
const INCOME: (f64, f64) = (0.0, 150_000.0);

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

/// One question in a process of its own.
#[derive(clap::Args)]
pub struct Child {
    file: PathBuf,
    /// Bound rows per person
    #[arg(long)]
    bounded: bool,
}

type Failed = Box<dyn std::error::Error>;

pub fn run(arguments: &Arguments) -> serde_json::Value {
    measure(arguments).unwrap_or_else(|error| {
        eprintln!("query-overhead: {error}");
        std::process::exit(1)
    })
}

fn measure(arguments: &Arguments) -> Result<serde_json::Value, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("census.parquet");
    write(&file, arguments.rows, ROWS_PER_PERSON, |person| person as i64)?;
    let contract = contract(false, arguments.rows)?;
    let planning = alternate(arguments.runs, &mut [&mut || plan(&contract).map(drop)])?[0];
    let rows = Question::open(&file, false, arguments.rows)?;
    let units = Question::open(&file, true, arguments.rows)?;
    same_counts(&rows.plan, &rows.answer()?, &plain(&file)?)?;
    let times = alternate(
        arguments.runs,
        &mut [&mut || rows.answer().map(drop), &mut || plain(&file).map(drop)],
    )?;
    let bounded = alternate(
        arguments.runs,
        &mut [
            &mut || units.answer().map(drop),
            &mut || plain_by_sorting(&file).map(drop),
            &mut || plain_by_grouping(&file).map(drop),
        ],
    )?;
    let plain_bounded = bounded[1].min(bounded[2]);
    let peaks = [peak_mib(&file, false)?, peak_mib(&file, true)?];
    Ok(json!({
        "rows": arguments.rows,
        "people": arguments.rows / ROWS_PER_PERSON,
        "seconds_row_level": times[0],
        "plain_seconds_row_level": times[1],
        "ratio_row_level": times[0] / times[1],
        "seconds_unit_level": bounded[0],
        "plain_seconds_unit_level": plain_bounded,
        "ratio_unit_level": bounded[0] / plain_bounded,
        "planning_ms": planning * 1e3,
        "peak_memory_mib": peaks.iter().copied().flatten().max(),
        "peak_memory_mib_row_level": peaks[0],
        "peak_memory_mib_unit_level": peaks[1],
    }))
}

impl Child {
    pub fn run(&self) {
        let answered = Question::open(&self.file, self.bounded, u64::from(u32::MAX)).and_then(|q| q.answer());
        if let Err(error) = answered {
            eprintln!("{error}");
            std::process::exit(1);
        }
        println!(
            "{}",
            peak_of_this_process().map_or(String::new(), |mib| mib.to_string())
        );
    }
}

/// The private question over the file.
struct Question {
    dataset: Dataset,
    plan: QueryPlan,
    key: BoundingKey,
}

impl Question {
    fn open(file: &Path, bounded: bool, rows: u64) -> Result<Self, Failed> {
        let contract = contract(bounded, rows)?;
        let plan = plan(&contract)?;
        let dataset = Dataset::open(contract, &[file.to_string_lossy().into_owned()], Mapping::default())?;
        Ok(Self {
            dataset,
            plan,
            key: BoundingKey::new(&[7; 32]),
        })
    }

    fn answer(&self) -> Result<Vec<i64>, Failed> {
        Ok(execute(&self.plan, &self.dataset, &self.key)?)
    }
}

fn plan(contract: &Contract) -> Result<QueryPlan, Failed> {
    let terms = CohortTerms { n: 4, c: 1, s_min: 3 };
    compile(SQL, contract, &terms, 1.0, 1e-6).map_err(|e| e.render(SQL).into())
}

/// The contract of the data, with persons as units or rows.
pub fn contract(bounded: bool, rows: u64) -> Result<Contract, Failed> {
    let privacy = match bounded {
        true => format!("unit = \"person\"\ncontribution = {{ rows = {KEPT}, groups = 16, rowsPerGroup = {KEPT} }}"),
        false => String::new(),
    };
    let regions = REGIONS.map(|r| format!("\"{r}\"")).join(", ");
    let (low, high) = INCOME;
    let text = format!(
        r#"apiVersion = "v3.1.0"
kind = "DataContract"
name = "census"
version = "1.0.0"
purposes = ["research"]
[privacy]
{privacy}
maxRows = {rows}
delta = 1e-6
[[schema.properties]]
name = "person"
logicalType = "integer"
required = true
[[schema.properties]]
name = "region"
logicalType = "string"
required = true
categories = [{regions}]
[[schema.properties]]
name = "sex"
logicalType = "string"
required = true
categories = ["female", "male"]
[[schema.properties]]
name = "income"
logicalType = "number"
required = true
logicalTypeOptions = {{ minimum = {low}, maximum = {high} }}
"#
    );
    Ok(Contract::parse(&text)?)
}

/// The data: `id` spells a person's number.
pub fn write(file: &Path, rows: u64, rows_per_person: u64, id: fn(u64) -> i64) -> Result<(), Failed> {
    const BATCH: u64 = 1 << 20;
    let mut writer = None;
    for start in (0..rows).step_by(BATCH as usize) {
        let range = start..rows.min(start + BATCH);
        // An odd factor and a power of two would be too regular: people are shuffled by a hash of the row's number.
        let person: Vec<i64> = range.clone().map(|i| id(shuffled(i, rows) / rows_per_person)).collect();
        let region: Vec<&str> = range.clone().map(|i| REGIONS[(mix(3 * i + 1) % 8) as usize]).collect();
        let sex: Vec<&str> = person.iter().map(|p| SEXES[(mix(*p as u64) % 2) as usize]).collect();
        let income: Vec<f64> = range.map(|i| (mix(5 * i + 2) % 200_000) as f64).collect();
        let frame = df!("person" => person, "region" => region, "sex" => sex, "income" => income)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(ParquetWriter::new(File::create(file)?).batched(frame.schema())?),
        };
        writer.write_batch(&frame)?;
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(())
}

/// A permutation of `0..rows`: a multiplier without a common factor.
fn shuffled(i: u64, rows: u64) -> u64 {
    let mut step = 6_700_417 % rows.max(1);
    while gcd(step, rows) != 1 {
        step += 1;
    }
    (u128::from(i) * u128::from(step) % u128::from(rows)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Scatters numbers, no two to one.
pub fn mix(mut x: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        x = (x ^ x >> 33).wrapping_mul(factor);
    }
    x ^ x >> 33
}

fn scan(file: &Path) -> PolarsResult<LazyFrame> {
    LazyFrame::scan_parquet(PlRefPath::new(file.to_string_lossy()), ScanArgsParquet::default())
}

fn clipped_means(frame: LazyFrame) -> Result<DataFrame, Failed> {
    let (low, high) = INCOME;
    let income = || col("income");
    let clipped = when(income().lt(lit(low)))
        .then(lit(low))
        .when(income().gt(lit(high)))
        .then(lit(high))
        .otherwise(income());
    let sums = frame
        .group_by([col("region"), col("sex")])
        .agg([len().alias("n"), clipped.sum().alias("sum")]);
    Ok(sums.collect_with_engine(Engine::Streaming)?.unwrap_single())
}

fn plain(file: &Path) -> Result<DataFrame, Failed> {
    clipped_means(scan(file)?)
}

/// An order of a person's rows that depends on their content: cheaper than a keyed hash, which favours plain polars.
fn content_order() -> Expr {
    (col("person") * lit(0x09e3_779b_97f4_a7c1_i64))
        .xor(col("income").cast(DataType::Int64) * lit(0x0585_1f42_d4c9_57f2_i64))
}

/// Sort by person and order; a row counts if the row `KEPT` before it is another person's.
fn plain_by_sorting(file: &Path) -> Result<DataFrame, Failed> {
    let sorted = scan(file)?
        .with_column(content_order().alias("order"))
        .sort(["person", "order"], SortMultipleOptions::default());
    let before = col("person").shift(lit(KEPT as i64));
    clipped_means(sorted.filter(before.clone().is_null().or(before.neq(col("person")))))
}

/// Gather each person's rows, keep the first in order.
fn plain_by_grouping(file: &Path) -> Result<DataFrame, Failed> {
    let first = |name: &str| {
        col(name)
            .sort_by([col("order")], SortMultipleOptions::default())
            .head(Some(KEPT))
    };
    let columns = ["region", "sex", "income"];
    let kept = scan(file)?
        .with_column(content_order().alias("order"))
        .group_by([col("person")])
        .agg(columns.map(first))
        .explode(
            by_name(columns, true, false),
            ExplodeOptions {
                empty_as_null: true,
                keep_nulls: true,
            },
        );
    clipped_means(kept)
}

/// Both ways must have counted the same rows before their times are compared.
fn same_counts(plan: &QueryPlan, cells: &[i64], plain: &DataFrame) -> Result<(), Failed> {
    let layout = plan.layout();
    let rows = plan
        .components
        .iter()
        .position(|c| matches!(c.kind, ComponentKind::Rows { .. }))
        .ok_or("no count")?;
    let weight = plan.components[rows].kind.weight();
    let mut ours: Vec<i64> = (0..layout.groups)
        .map(|group| cells[layout.cell(group, rows)] / weight)
        .collect();
    let counts = plain.column("n")?.cast(&DataType::Int64)?;
    let mut theirs: Vec<i64> = counts.i64()?.iter().flatten().collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    if ours == theirs {
        Ok(())
    } else {
        Err("the two ways counted different rows".into())
    }
}

/// Median seconds of each of several works, taken in turns after a round that warms up.
pub fn alternate(runs: usize, works: &mut [&mut dyn FnMut() -> Result<(), Failed>]) -> Result<Vec<f64>, Failed> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); works.len()];
    for run in 0..=runs.max(1) {
        for (work, times) in works.iter_mut().zip(&mut times) {
            let began = Instant::now();
            work()?;
            if run > 0 {
                times.push(began.elapsed());
            }
        }
    }
    Ok(times.into_iter().map(|times| median(times).as_secs_f64()).collect())
}

fn peak_mib(file: &Path, bounded: bool) -> Result<Option<u64>, Failed> {
    let mut child = std::process::Command::new(std::env::current_exe()?);
    child.arg("__query").arg(file);
    if bounded {
        child.arg("--bounded");
    }
    Ok(String::from_utf8_lossy(&child.output()?.stdout).trim().parse().ok())
}

/// From Linux; other systems say nothing here.
fn peak_of_this_process() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
