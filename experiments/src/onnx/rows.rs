//! Raw rows as a hospital's file has them, and the same rows spoilt: missing, far out of bounds, not finite, no category.
//! Cells follow from positions alone, so every run sees the same.

use std::path::Path;

use polars::prelude::{Column, CsvWriter, DataFrame, DataType, NamedFrom, SerWriter, Series};
use tests::learn::Result;
use workload::training::{Coding, Encoder, FeatureColumn};

/// Rows of one table; a script parses each cell of them as text.
const MOST: usize = 2000;

/// The features' columns of a table: numbers as doubles, all else as text.
pub fn of(encoder: &Encoder, table: &DataFrame) -> Result<DataFrame> {
    let columns = encoder.columns.iter().map(|feature| {
        let kind = match feature.coding {
            Coding::Number { .. } => DataType::Float64,
            Coding::Categories(_) | Coding::Boolean => DataType::String,
        };
        Ok(table.column(&feature.name)?.cast(&kind)?)
    });
    let frame = DataFrame::new(table.height(), columns.collect::<Result<Vec<Column>>>()?)?;
    Ok(frame.head(Some(MOST)))
}

/// Rows within a column's domain.
pub fn made_up(feature: &FeatureColumn, rows: usize, salt: usize) -> Column {
    let pick = |row: usize, of: usize| (row * 7919 + salt * 104_729) % of;
    let text = |texts: &[&str]| {
        let cells: Vec<&str> = (0..rows).map(|row| texts[pick(row, texts.len())]).collect();
        Series::new(feature.name.as_str().into(), cells)
    };
    let series = match &feature.coding {
        Coding::Number { low, high } => {
            let share = |row: usize| pick(row, 997) as f64 / 996.0;
            let cells = (0..rows).map(|row| low.get() + (high.get() - low.get()) * share(row));
            Series::new(feature.name.as_str().into(), cells.collect::<Vec<f64>>())
        }
        Coding::Boolean => text(&["true", "false", "TRUE", "0", "1"]),
        Coding::Categories(labels) => text(&labels.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    series.into()
}

/// The rows, and below them the same rows spoilt.
pub fn and_spoilt(encoder: &Encoder, rows: DataFrame) -> Result<DataFrame> {
    let spoil = |(salt, feature): (usize, &FeatureColumn)| spoilt(feature, rows.column(&feature.name)?, salt);
    let columns = encoder.columns.iter().enumerate().map(spoil);
    let spoilt = DataFrame::new(rows.height(), columns.collect::<Result<Vec<Column>>>()?)?;
    Ok(rows.vstack(&spoilt)?)
}

fn spoilt(feature: &FeatureColumn, column: &Column, salt: usize) -> Result<Column> {
    // Each column by a salt of its own, so that a row mixes what is spoilt with what is not.
    let fate = |row: usize| (row * 31 + salt * 17 + row / 12) % 12;
    let series = match &feature.coding {
        Coding::Number { low, high } => {
            let (low, high) = (low.get(), high.get());
            let spoil = |(row, cell): (usize, Option<f64>)| match fate(row) {
                0 => None,
                1 => Some(low - 1e6),
                2 => Some(high + 1e6),
                3 => Some(f64::NAN),
                4 => Some(f64::INFINITY),
                5 => Some(f64::NEG_INFINITY),
                6 => Some(1e300),
                7 => cell.map(|x| x + (high - low) / 3.0),
                _ => cell,
            };
            let cells = column.f64()?.iter().enumerate().map(spoil);
            Series::new(feature.name.as_str().into(), cells.collect::<Vec<Option<f64>>>())
        }
        Coding::Boolean | Coding::Categories(_) => {
            let spoil = |(row, cell): (usize, Option<&str>)| match fate(row) {
                0 | 1 => None,
                2 | 3 => Some("of no category".to_owned()),
                4 => cell.map(|text| format!("{text} ")),
                _ => cell.map(str::to_owned),
            };
            let cells = column.str()?.iter().enumerate().map(spoil);
            Series::new(feature.name.as_str().into(), cells.collect::<Vec<Option<String>>>())
        }
    };
    Ok(series.into())
}

/// A missing cell is an empty one.
pub fn write_csv(frame: &DataFrame, path: &Path) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    Ok(CsvWriter::new(&mut file).finish(&mut frame.clone())?)
}
