//! Everything that `sotto` prints, in the format that was asked for. All commands build a [`Sheet`]; the formats know
//! sheets and nothing else.

mod csv;
#[cfg(feature = "agents")]
mod frame;
mod json;
mod number;
mod sheet;
mod text;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

pub use number::{estimate, plain};
pub use sheet::{Cell, Column, Kind, Sheet};
pub use text::{Paint, table};

use crate::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
    Parquet,
    Arrow,
}

/// Where output goes and how it looks.
#[derive(Clone, Debug)]
pub struct Target {
    pub format: Format,
    /// `-` and none are standard output.
    pub file: Option<PathBuf>,
}

impl Target {
    /// Without a format, the file's ending decides; on standard output it is a table.
    pub fn new(format: Option<Format>, file: Option<PathBuf>) -> Self {
        let file = file.filter(|file| file != Path::new("-"));
        let ending = file
            .as_deref()
            .and_then(Path::extension)
            .and_then(|ending| ending.to_str());
        let format = format.unwrap_or(match ending {
            Some("csv") => Format::Csv,
            Some("json") => Format::Json,
            Some("parquet") => Format::Parquet,
            Some("arrow" | "ipc" | "feather") => Format::Arrow,
            _ => Format::Table,
        });
        Self { format, file }
    }

    /// Whether an answer can be written there: asked before anything is spent.
    pub fn writable(&self) -> Result<(), Problem> {
        let Some(path) = &self.file else {
            let binary = matches!(self.format, Format::Parquet | Format::Arrow);
            if binary && io::stdout().is_terminal() {
                return Err(Problem::usage("a terminal shows no Parquet or Arrow").remedy("-o FILE, or a pipe"));
            }
            return Ok(());
        };
        tempfile::NamedTempFile::new_in(folder(path))
            .map(drop)
            .map_err(|error| {
                Problem::local(path.display(), error.kind())
                    .remedy("nothing was asked and nothing was spent: choose another file")
            })
    }

    /// Writes the sheet. A file appears whole or not at all.
    pub fn write(&self, sheet: &Sheet) -> Result<(), Problem> {
        let paint = if self.file.is_none() {
            Paint::detect(&io::stdout())
        } else {
            Paint::Plain
        };
        self.write_bytes(&render(sheet, self.format, paint)?)
    }

    pub fn write_bytes(&self, bytes: &[u8]) -> Result<(), Problem> {
        let Some(path) = &self.file else {
            let mut stdout = io::stdout().lock();
            return match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                // Whoever reads us has seen enough (`| head`).
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                result => result.map_err(|error| Problem::local("standard output", error)),
            };
        };
        let fail = |error: &dyn std::fmt::Display| Problem::local(path.display(), error);
        let mut file = tempfile::NamedTempFile::new_in(folder(path)).map_err(|error| fail(&error))?;
        // An answer is for the eyes of the one who asked: the temporary file's mode 0600 stays.
        file.write_all(bytes).map_err(|error| fail(&error))?;
        file.persist(path).map(|_: File| ()).map_err(|error| fail(&error))
    }
}

fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The sheet as bytes in `format`.
pub fn render(sheet: &Sheet, format: Format, paint: Paint) -> Result<Vec<u8>, Problem> {
    Ok(match format {
        Format::Table => table(sheet, paint, text::width()).into_bytes(),
        Format::Csv => csv::render(sheet).into_bytes(),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&json::rows(sheet)).map_err(|e| Problem::local("json", e))?;
            text.push('\n');
            text.into_bytes()
        }
        #[cfg(feature = "agents")]
        Format::Parquet => frame::parquet(sheet)?,
        #[cfg(feature = "agents")]
        Format::Arrow => frame::arrow(sheet)?,
        #[cfg(not(feature = "agents"))]
        Format::Parquet | Format::Arrow => {
            return Err(Problem::usage("this build writes neither Parquet nor Arrow")
                .remedy("build with the feature `agents`, or use --format csv"));
        }
    })
}

/// The rows as JSON objects, for commands that put them into a larger object.
pub fn json_rows(sheet: &Sheet) -> serde_json::Value {
    json::rows(sheet)
}

/// Whether a person is watching standard error: progress is for people only.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}
