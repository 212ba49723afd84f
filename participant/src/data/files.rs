//! The files of a dataset: globs expanded once, read through once when they are opened, a fingerprint that costs a `stat` each.
//!
//! A question must not fail, nor read one row differently, because of another row. So every CSV line is checked to be one
//! record (`lines.rs`) and every Parquet row is decoded before a dataset is served, and a file that fails is refused by
//! name; ignoring errors while scanning would not do, since a CSV reader carries an open quote into the next lines, and
//! fails on some. CSV columns are then read as text: what a cell means is decided by the mapping, and a bad cell is a NULL.

use super::DataError;
use super::lines;
use polars::prelude::*;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

#[derive(Clone)]
pub(super) struct FileSet {
    globs: Vec<String>,
    files: Vec<File>,
}

#[derive(Clone)]
struct File {
    path: PathBuf,
    stamp: Stamp,
    format: Format,
    schema: SchemaRef,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Format {
    Csv,
    Parquet,
}

/// Size, and modification time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp(u64, u128);

impl FileSet {
    pub fn find(globs: &[String]) -> Result<Self, DataError> {
        let files = expand(globs)?.into_iter().map(File::open).collect::<Result<_, _>>()?;
        Ok(Self {
            globs: globs.to_vec(),
            files,
        })
    }

    pub fn schemas(&self) -> impl Iterator<Item = (&Path, &Schema)> {
        self.files.iter().map(|f| (f.path.as_path(), f.schema.as_ref()))
    }

    /// File names, sizes, times and schemas, as text to be hashed.
    pub fn fingerprint(&self) -> String {
        self.files
            .iter()
            .map(|f| format!("{:?} {:?} {:?}\n", f.path, f.stamp, f.schema))
            .collect()
    }

    pub fn unchanged(&self) -> Result<(), DataError> {
        for file in &self.files {
            if stamp(&file.path).ok() != Some(file.stamp) {
                return Err(DataError::Changed {
                    path: file.path.clone(),
                });
            }
        }
        let now = expand(&self.globs)?;
        match now.into_iter().find(|path| self.files.iter().all(|f| f.path != *path)) {
            Some(added) => Err(DataError::Changed { path: added }),
            None => Ok(()),
        }
    }

    /// One scan for all files that share format and schema.
    pub fn scans(&self) -> Result<Vec<(LazyFrame, SchemaRef)>, DataError> {
        let mut alike: BTreeMap<(Format, String), Vec<&File>> = BTreeMap::new();
        for file in &self.files {
            alike
                .entry((file.format, format!("{:?}", file.schema)))
                .or_default()
                .push(file);
        }
        alike
            .into_iter()
            .map(|((format, _), files)| {
                let paths = files.iter().map(|f| reference(&f.path)).collect();
                let frame = scan(format, paths).map_err(|_| unreadable(&files[0].path, "not a file of its ending"))?;
                Ok((frame, files[0].schema.clone()))
            })
            .collect()
    }
}

impl File {
    fn open(path: PathBuf) -> Result<Self, DataError> {
        let stamp = stamp(&path).map_err(|e| unreadable(&path, &e.to_string()))?;
        let format = match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => Format::Csv,
            Some("parquet" | "pq") => Format::Parquet,
            _ => return Err(unreadable(&path, "expected an ending of .csv, .parquet or .pq")),
        };
        // polars' own words may quote the file, so they are not repeated.
        let schema = scan(format, [reference(&path)].into_iter().collect())
            .and_then(|mut frame| frame.collect_schema())
            .map_err(|_| unreadable(&path, "its header is not that of a file of its ending"))?;
        let file = Self {
            path,
            stamp,
            format,
            schema,
        };
        file.rows_are_readable()?;
        match self::stamp(&file.path).ok() == Some(stamp) {
            true => Ok(file),
            false => Err(DataError::Changed { path: file.path }),
        }
    }

    /// One pass over all rows, so that no row can make a question fail.
    fn rows_are_readable(&self) -> Result<(), DataError> {
        match self.format {
            Format::Csv => match lines::first_bad(&self.path) {
                Err(error) => Err(unreadable(&self.path, &error.to_string())),
                Ok(None) => Ok(()),
                Ok(Some(bad)) => Err(DataError::Line {
                    path: self.path.clone(),
                    number: bad.number,
                    fault: bad.fault,
                }),
            },
            Format::Parquet => {
                let forget = |batch: DataFrame| Ok(batch.slice(0, 0));
                let decoded = || -> PolarsResult<()> {
                    scan(self.format, [reference(&self.path)].into_iter().collect())?
                        .map(forget, AllowedOptimizations::STREAMING, None, Some("decoded"))
                        .collect_with_engine(Engine::Streaming)
                        .map(drop)
                };
                // The decoder is not ours: a panic on a damaged file is a refusal, too.
                match catch_unwind(AssertUnwindSafe(decoded)) {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(unreadable(
                        &self.path,
                        "its rows cannot be decoded: write the file again",
                    )),
                }
            }
        }
    }
}

fn scan(format: Format, paths: Vec<PlRefPath>) -> PolarsResult<LazyFrame> {
    match format {
        Format::Csv => LazyCsvReader::new_paths(paths.into())
            .with_glob(false)
            .with_infer_schema_length(Some(0))
            .with_ignore_errors(true)
            .with_truncate_ragged_lines(true)
            .with_encoding(CsvEncoding::LossyUtf8)
            .finish(),
        Format::Parquet => {
            let arguments = ScanArgsParquet {
                glob: false,
                cache: false,
                ..Default::default()
            };
            LazyFrame::scan_parquet_files(paths.into(), arguments)
        }
    }
}

fn expand(globs: &[String]) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for pattern in globs {
        let before = paths.len();
        if let Ok(found) = glob::glob(pattern) {
            paths.extend(found.flatten().filter(|path| path.is_file()));
        }
        if paths.len() == before {
            return Err(DataError::NoFile { glob: pattern.clone() });
        }
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    let modified = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    Ok(Stamp(metadata.len(), modified))
}

fn reference(path: &Path) -> PlRefPath {
    PlRefPath::new(path.to_string_lossy())
}

fn unreadable(path: &Path, message: &str) -> DataError {
    DataError::Unreadable {
        path: path.to_owned(),
        message: message.to_owned(),
    }
}
