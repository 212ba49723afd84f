//! `sotto dataset mock`: a made-up twin of a dataset as a file, to try questions, mappings and code on. It is made of the
//! contract alone (`governance::contract::mock`), so it costs no epsilon and says nothing about real data.

use std::path::PathBuf;

use clap::Args;
use governance::contract::mock::{MISSING, MockRow, rows};
use governance::contract::spell_date;
use governance::{Column, Contract, LogicalType, Scalar};
use serde_json::json;

use super::contract;
use super::remote::Remote;
use crate::Problem;
use crate::output::{Cell, Format, Kind, Sheet, Target};

const WARNING: &str = "made up from the contract alone: it says nothing about real data, and no result over it is one";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto dataset mock heart -o heart.csv
  sotto dataset mock --contract heart.toml -o heart.parquet --rows 500 --seed 7
  sotto dataset mock heart -o - | head -3

Every column is uniform over what the contract allows and independent of every other. Same contract, rows and seed, same file.")]
pub struct Mock {
    /// A dataset that the coordinator offers
    #[arg(required_unless_present = "contract", conflicts_with = "contract")]
    name: Option<String>,
    /// The contract in a file, without any connection
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    /// File to write, .csv or .parquet; `-` is CSV on standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
    /// Rows [default: 1000, or as many as the contract allows]
    #[arg(long)]
    rows: Option<u64>,
    /// What makes two twins differ
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    remote: Remote,
}

impl Mock {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let target = target(self.output)?;
        let contract = match (&self.contract, &self.name) {
            (Some(file), _) => contract::load(file)?,
            (None, Some(name)) => self.remote.connect().await?.0.dataset(name).await?.contract,
            (None, None) => return Err(Problem::usage("no dataset").remedy("a NAME, or --contract FILE")),
        };
        let asked = self.rows.unwrap_or(contract.max_rows.min(1000));
        let twin = rows(&contract, asked, self.seed)
            .map_err(|error| Problem::usage(error.to_string()).remedy("fewer --rows"))?;
        target.write(&sheet(&contract, twin))?;
        let missing = 100.0 * MISSING;
        match (&target.file, json) {
            (Some(file), true) => println!(
                "{}",
                json!({
                    "file": file, "dataset": contract.name, "contract": contract.hash(), "rows": asked, "seed": self.seed,
                    "epsilon": 0, "mock": true, "note": WARNING,
                })
            ),
            (Some(file), false) => {
                println!(
                    "{}: {asked} rows of `{}` {}",
                    file.display(),
                    contract.name,
                    contract.version
                );
                println!("MOCK DATA, {WARNING}; {missing} % of what may be missing is; epsilon spent: 0");
            }
            (None, _) => eprintln!("MOCK DATA, {WARNING}"),
        }
        Ok(())
    }
}

/// Only what a participant can serve: the twin is to be checked like the data that it stands for.
fn target(output: PathBuf) -> Result<Target, Problem> {
    let target = Target::new(None, Some(output));
    match (&target.file, target.format) {
        (None, _) => Ok(Target::new(Some(Format::Csv), None)),
        (Some(_), Format::Csv | Format::Parquet) => {
            target.writable()?;
            Ok(target)
        }
        (Some(file), _) => Err(Problem::usage(format!(
            "unknown kind of file: expected an ending of .csv or .parquet, got {}",
            file.display()
        ))
        .remedy("-o NAME.csv")),
    }
}

fn sheet(contract: &Contract, twin: Vec<MockRow>) -> Sheet {
    let columns = contract
        .columns
        .iter()
        .map(|column| (column.name.as_str(), kind(column)));
    let mut sheet = Sheet::new(columns);
    for row in twin {
        sheet.push(
            contract
                .columns
                .iter()
                .zip(row)
                .map(|(column, cell)| spelled(column, cell)),
        );
    }
    sheet
}

fn kind(column: &Column) -> Kind {
    match column.logical_type {
        LogicalType::Integer => Kind::Integer,
        LogicalType::Number => Kind::Number,
        LogicalType::Boolean => Kind::Boolean,
        // A date is written as text, which every reader of either format understands.
        LogicalType::String | LogicalType::Date => Kind::Text,
    }
}

fn spelled(column: &Column, cell: Option<Scalar>) -> Cell {
    match cell {
        None => Cell::Null,
        Some(Scalar::Number(x)) if column.logical_type == LogicalType::Integer => Cell::Integer(x.get() as i64),
        Some(Scalar::Number(x)) => Cell::Number(x.get()),
        Some(Scalar::Text(text)) => Cell::Text(text),
        Some(Scalar::Boolean(b)) => Cell::Boolean(b),
        Some(Scalar::Date(days)) => Cell::Text(spell_date(days)),
    }
}

#[cfg(all(test, feature = "agents"))]
mod tests {
    use std::path::Path;

    use sotto_participant::config::Mapping;
    use sotto_participant::data::{Dataset, Report};

    use super::*;

    const HEART: &str = include_str!("../../../governance/contracts/heart.toml");
    const HIE: &str = include_str!("../../../governance/contracts/hie.toml");
    const VISITS: &str = include_str!("../../examples/clinics/visits.toml");
    /// What the others have not: dates, free text, ids that are text with several rows, an imputed column, one without bounds.
    const RARE: &str = r#"
name = "stays"
version = "1.0.0"
purposes = ["research"]
privacy = { unit = "patient", maxRows = 400, delta = 1e-6, contribution = { rows = 3 } }
[[schema.properties]]
name = "patient"
logicalType = "string"
required = true
queryable = false
[[schema.properties]]
name = "admitted"
logicalType = "date"
logicalTypeOptions = { minimum = "1931-05-17", maximum = "2024-02-29" }
nulls = "ignore"
[[schema.properties]]
name = "remark"
logicalType = "string"
[[schema.properties]]
name = "smoker"
logicalType = "boolean"
nulls = { impute = false }
[[schema.properties]]
name = "weight"
logicalType = "number"
required = true
[[schema.properties]]
name = "ward"
logicalType = "string"
required = true
categories = ["A, first floor", "B \"new\"", "C"]
"#;

    /// Not within a runtime of the test's own: the check runs polars, which has one.
    fn written(contract: &Path, output: &Path, seed: u64) -> Result<(), Problem> {
        let mock = Mock {
            name: None,
            contract: Some(contract.to_owned()),
            output: output.to_owned(),
            rows: Some(300),
            seed,
            remote: Remote {
                profile: None,
                coordinator: None,
                identity: None,
            },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(mock.run(true))
    }

    /// What `sotto-participant check` says of a file.
    fn checked(contract: &Path, file: &Path) -> Report {
        let contract = contract::load(contract).unwrap();
        let dataset = Dataset::open(contract, &[file.display().to_string()], Mapping::default());
        dataset.unwrap().check().unwrap()
    }

    #[test]
    fn a_twin_passes_the_participants_own_check_as_csv_and_as_parquet() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("heart", HEART), ("hie", HIE), ("visits", VISITS), ("stays", RARE)] {
            let contract = folder.path().join(format!("{name}.toml"));
            std::fs::write(&contract, text).unwrap();
            for ending in ["csv", "parquet"] {
                let file = folder.path().join(format!("{name}.{ending}"));
                written(&contract, &file, 1).unwrap();
                let report = checked(&contract, &file);
                assert_eq!(report.rows, 300);
                assert!(!report.has_warnings(), "{report}");
                for column in &report.columns {
                    let (converted, bounds) = (column.not_converted, column.out_of_bounds);
                    assert_eq!((converted, bounds, column.unknown_category), (0, 0, 0), "{report}");
                    let nullable = !column.required && Some(&column.name) != report.unit.as_ref();
                    assert_eq!(column.empty > 0, nullable, "{name}.{}: {report}", column.name);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_writes_the_same_file_and_another_seed_another() {
        let folder = tempfile::tempdir().unwrap();
        let contract = folder.path().join("heart.toml");
        std::fs::write(&contract, HEART).unwrap();
        let mut files = Vec::new();
        for (name, seed) in [("a.csv", 1), ("b.csv", 1), ("c.csv", 2)] {
            let file = folder.path().join(name);
            written(&contract, &file, seed).unwrap();
            files.push(std::fs::read(&file).unwrap());
        }
        assert_eq!(files[0], files[1]);
        assert_ne!(files[0], files[2]);
        assert!(files[0].starts_with(b"id,age,sex,dataset,cp,"));
    }

    #[test]
    fn a_twin_is_refused_where_no_participant_could_serve_it() {
        let folder = tempfile::tempdir().unwrap();
        let contract = folder.path().join("heart.toml");
        std::fs::write(&contract, HEART.replace("maxRows = 1000", "maxRows = 299")).unwrap();
        let problem = written(&contract, &folder.path().join("heart.csv"), 0).unwrap_err();
        assert!(problem.message.contains("at most 299"), "{problem}");
        let problem = written(&contract, &folder.path().join("heart.arrow"), 0).unwrap_err();
        assert!(problem.message.contains(".csv or .parquet"), "{problem}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
