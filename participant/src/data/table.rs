//! One local file as a table in memory, with its own columns: for lists that are read once, not for data that is asked about.
//!
//! Opened as data files are, so a CSV line is one record and every cell of it is text, and a Parquet file that cannot be decoded
//! is refused.

use super::DataError;
use super::files::FileSet;
use polars::prelude::*;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub(crate) struct Table {
    pub frame: DataFrame,
    /// The line of the first row; none in a file without lines.
    pub first_line: Option<u64>,
}

impl Table {
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let unreadable = |message: &str| DataError::Unreadable {
            path: path.to_owned(),
            message: message.to_owned(),
        };
        let files = FileSet::find(&[glob::Pattern::escape(&path.to_string_lossy())])?;
        let (frame, _) = files.scans()?.pop().ok_or_else(|| unreadable("no such file"))?;
        // polars' own words may quote the file.
        let frame = frame.collect().map_err(|_| unreadable("its rows cannot be read"))?;
        files.unchanged()?;
        let first_line = match path.extension().is_some_and(|ending| ending == "csv") {
            true => Some(2 + empty_lines(path).map_err(|error| unreadable(&error.to_string()))?),
            false => None,
        };
        Ok(Self { frame, first_line })
    }
}

/// Before the header; there are none behind it.
fn empty_lines(path: &Path) -> std::io::Result<u64> {
    let mut empty = 0;
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        if !line?.trim_end_matches('\r').is_empty() {
            break;
        }
        empty += 1;
    }
    Ok(empty)
}
