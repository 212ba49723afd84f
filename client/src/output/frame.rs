//! Parquet and Arrow IPC through polars. Results are small; they are built in memory and written once.

use polars::prelude::*;

use super::sheet::{Cell, Column as SheetColumn, Kind, Sheet};
use crate::Problem;

pub fn parquet(sheet: &Sheet) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .finish(&mut frame(sheet)?)
        .map_err(|error| Problem::local("parquet", error))?;
    Ok(bytes)
}

/// Arrow IPC file format: what `pl.read_ipc` and `pyarrow.ipc.open_file` read.
pub fn arrow(sheet: &Sheet) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    IpcWriter::new(&mut bytes)
        .finish(&mut frame(sheet)?)
        .map_err(|error| Problem::local("arrow", error))?;
    Ok(bytes)
}

fn frame(sheet: &Sheet) -> Result<DataFrame, Problem> {
    let flat = sheet.flat();
    let columns = flat
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| series(column, &flat, i))
        .collect();
    DataFrame::new(flat.rows.len(), columns).map_err(|error| Problem::local("table", error))
}

fn series(column: &SheetColumn, sheet: &Sheet, i: usize) -> Column {
    let name = PlSmallStr::from_str(&column.name);
    let cells = sheet.rows.iter().map(|row| &row[i]);
    match column.kind {
        Kind::Text => {
            let values: Vec<Option<&str>> = cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            Column::new(name, values)
        }
        Kind::Integer => {
            let values: Vec<Option<i64>> = cells
                .map(|cell| match cell {
                    Cell::Integer(value) => Some(*value),
                    _ => None,
                })
                .collect();
            Column::new(name, values)
        }
        Kind::Boolean => {
            let values: Vec<Option<bool>> = cells
                .map(|cell| match cell {
                    Cell::Boolean(value) => Some(*value),
                    _ => None,
                })
                .collect();
            Column::new(name, values)
        }
        Kind::Number | Kind::Estimate => {
            let values: Vec<Option<f64>> = cells
                .map(|cell| match cell {
                    Cell::Number(value) => Some(*value),
                    Cell::Integer(value) => Some(*value as f64),
                    _ => None,
                })
                .collect();
            Column::new(name, values)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_written_as_parquet_or_arrow_is_read_back_the_same() {
        let mut sheet = Sheet::new([("sex", Kind::Text), ("n", Kind::Estimate), ("k", Kind::Integer)]);
        sheet.push([
            "F".into(),
            Cell::Estimate {
                value: Some(2.5),
                low: Some(2.0),
                high: Some(3.0),
            },
            Cell::Integer(3),
        ]);
        sheet.push([Cell::Null, Cell::Null, Cell::Null]);
        let from_parquet = ParquetReader::new(Cursor::new(parquet(&sheet).unwrap()))
            .finish()
            .unwrap();
        let from_arrow = IpcReader::new(Cursor::new(arrow(&sheet).unwrap())).finish().unwrap();
        for frame in [from_parquet, from_arrow] {
            assert_eq!(frame.shape(), (2, 5));
            let lows: Vec<Option<f64>> = frame.column("n_low").unwrap().f64().unwrap().iter().collect();
            assert_eq!(lows, [Some(2.0), None]);
            assert_eq!(frame.column("k").unwrap().i64().unwrap().get(0), Some(3));
        }
    }
}
