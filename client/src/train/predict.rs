//! A model over rows of one's own: columns by the contract's names, encoded as every site encoded them. Stays on this machine.

use std::path::Path;

use ndarray::Array2;
use polars::prelude::{Column, CsvReadOptions, DataFrame, DataType, ParquetReader, SerReader};
use workload::training::{Cells, Coding, TrainedModel};

use crate::Problem;

/// Reads a CSV or Parquet file.
pub fn read(path: &Path) -> Result<DataFrame, Problem> {
    let fail = |error: &dyn std::fmt::Display| Problem::local(path.display(), error);
    if path.extension().is_some_and(|ending| ending == "csv") {
        let options = CsvReadOptions::default().with_infer_schema_length(None);
        let reader = options.try_into_reader_with_file_path(Some(path.to_owned()));
        return reader.and_then(|reader| reader.finish()).map_err(|error| fail(&error));
    }
    let file = std::fs::File::open(path).map_err(|error| fail(&error))?;
    ParquetReader::new(file).finish().map_err(|error| fail(&error))
}

/// One number a row: the predicted number, the probability of class 1, or the most probable class.
pub fn predict(model: &TrainedModel, frame: &DataFrame) -> Result<Vec<f64>, Problem> {
    model.predict(&encode(model, frame)?).map_err(super::refused)
}

/// One encoded row of features for each row of the frame.
pub fn encode(model: &TrainedModel, frame: &DataFrame) -> Result<Array2<f32>, Problem> {
    let mut columns = Vec::new();
    for feature in &model.encoder.columns {
        let column = frame.column(&feature.name).map_err(|_| {
            Problem::usage(format!("no column `{}` in this file", feature.name))
                .remedy("the model needs the contract's columns by their names; `sotto run report` lists its features")
        })?;
        let values = Values::of(&feature.coding, column).map_err(|error| Problem::local(&feature.name, error))?;
        warn(&feature.name, &values, &feature.coding, column.null_count());
        columns.push(values);
    }
    let cells: Vec<Cells<'_>> = columns.iter().map(Values::view).collect();
    model.encode(&cells).map_err(|error| Problem::local("features", error))
}

/// Cells that the model takes for missing or for the nearest bound are said, as nobody else will notice them.
fn warn(name: &str, values: &Values, coding: &Coding, empty: usize) {
    let missing = values.missing();
    if missing > empty {
        eprintln!(
            "note: `{name}`: {} cells are not what the contract has there; they count as missing",
            missing - empty
        );
    }
    if empty > 0 {
        eprintln!("note: `{name}`: {empty} cells are empty; they count as missing");
    }
    let outside = values.outside(coding);
    if outside > 0 {
        eprintln!("note: `{name}`: {outside} cells are beyond the contract's bounds; they count as the bound");
    }
}

enum Values {
    Numbers(Vec<Option<f64>>),
    Categories(Vec<Option<u32>>),
    Booleans(Vec<Option<bool>>),
}

impl Values {
    fn of(coding: &Coding, column: &Column) -> polars::prelude::PolarsResult<Self> {
        Ok(match coding {
            Coding::Number { .. } => Self::Numbers(column.cast(&DataType::Float64)?.f64()?.iter().collect()),
            // Files spell them in many ways; polars casts no text to a boolean.
            Coding::Boolean if *column.dtype() == DataType::String => {
                let spelled = |text: &str| match text.to_ascii_lowercase().as_str() {
                    "true" | "1" => Some(true),
                    "false" | "0" => Some(false),
                    _ => None,
                };
                Self::Booleans(column.str()?.iter().map(|text| text.and_then(spelled)).collect())
            }
            Coding::Boolean => Self::Booleans(column.cast(&DataType::Boolean)?.bool()?.iter().collect()),
            Coding::Categories(labels) => {
                let texts = column.cast(&DataType::String)?;
                let code = |text: &str| labels.iter().position(|label| label == text).map(|at| at as u32);
                Self::Categories(texts.str()?.iter().map(|text| text.and_then(code)).collect())
            }
        })
    }

    fn missing(&self) -> usize {
        match self {
            Self::Numbers(cells) => cells.iter().filter(|cell| cell.is_none_or(f64::is_nan)).count(),
            Self::Categories(cells) => cells.iter().filter(|cell| cell.is_none()).count(),
            Self::Booleans(cells) => cells.iter().filter(|cell| cell.is_none()).count(),
        }
    }

    fn outside(&self, coding: &Coding) -> usize {
        match (self, coding) {
            (Self::Numbers(cells), Coding::Number { low, high, .. }) => {
                let beyond = |cell: &f64| *cell < low.get() || *cell > high.get();
                cells.iter().flatten().filter(|cell| beyond(cell)).count()
            }
            _ => 0,
        }
    }

    fn view(&self) -> Cells<'_> {
        match self {
            Self::Numbers(cells) => Cells::Numbers(cells),
            Self::Categories(cells) => Cells::Categories(cells),
            Self::Booleans(cells) => Cells::Booleans(cells),
        }
    }
}
