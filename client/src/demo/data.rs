//! The embedded table (client/demo/ATTRIBUTION.md) and one hospital's part of it as a CSV file.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use polars::prelude::*;

use crate::Problem;

static HEART: &[u8] = include_bytes!("../../demo/heart.parquet");

/// All 920 patients.
pub fn heart() -> Result<LazyFrame, Problem> {
    let frame = ParquetReader::new(Cursor::new(HEART))
        .finish()
        .map_err(|e| Problem::local("embedded data", e))?;
    Ok(frame.lazy())
}

/// Writes the rows whose column `dataset` says `hospital`.
pub fn write_hospital(hospital: &str, path: &Path) -> Result<(), Problem> {
    let rows = heart()?.filter(col("dataset").eq(lit(hospital))).collect();
    let mut rows = rows.map_err(|error| Problem::local("embedded data", error))?;
    let file = File::create(path).map_err(|error| Problem::local(path.display(), error))?;
    CsvWriter::new(file)
        .finish(&mut rows)
        .map_err(|error| Problem::local(path.display(), error))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_four_files_hold_every_patient_once() {
        let folder = tempfile::tempdir().unwrap();
        let spec = crate::demo::consortium(folder.path()).unwrap();
        let lines = |name: &str| {
            std::fs::read_to_string(folder.path().join(name))
                .unwrap()
                .lines()
                .count()
                - 1
        };
        let counts: Vec<usize> = spec
            .participants
            .iter()
            .map(|site| lines(&format!("{}.csv", site.name)))
            .collect();
        assert_eq!(counts, [304, 293, 123, 200]);
    }
}
