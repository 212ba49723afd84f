//! The tables of the bench, read from Parquet; which question is asked of which stands in `tests::learn`. Paths are relative to the root
//! of the repository, wherever in it the command runs.

use std::path::{Path, PathBuf};

use ::tests::learn::{Bench, Column, Encoded, Result, Table};
use polars::prelude::{DataType, ParquetReader, SerReader};
use workload::training::ModelKind;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Data {
    Heart,
    RandHie,
    Adult,
    Mnist,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Model {
    Logistic,
    Softmax,
    Mlp,
}

#[derive(clap::Args)]
pub struct Source {
    #[arg(long, value_enum, default_value = "heart")]
    pub data: Data,
    /// Without it the one that suits the data: softmax for digits, logistic for the others
    #[arg(long, value_enum)]
    pub model: Option<Model>,
    /// Widths of an mlp's hidden layers
    #[arg(long, value_delimiter = ',', default_value = "32")]
    pub hidden: Vec<u32>,
    /// A Parquet file with the same columns, instead of the one in the repository
    #[arg(long)]
    pub file: Option<PathBuf>,
}

impl Source {
    /// `heart-logistic`: what results are filed under.
    pub fn name(&self, bench: &Bench) -> String {
        let model = match bench.task.model {
            ModelKind::Linear => "linear",
            ModelKind::Logistic => "logistic",
            ModelKind::Softmax => "softmax",
            ModelKind::Mlp { .. } => "mlp",
        };
        format!("{}-{model}", self.data_name())
    }

    pub fn data_name(&self) -> &'static str {
        match self.data {
            Data::Heart => "heart",
            Data::RandHie => "rand-hie",
            Data::Adult => "adult",
            Data::Mnist => "mnist",
        }
    }

    pub fn open(&self) -> Result<(Bench, Encoded)> {
        let bench = self.data.bench()?;
        let bench = match self.model {
            None => bench,
            Some(Model::Logistic) => bench.with_model(ModelKind::Logistic),
            Some(Model::Softmax) => bench.with_model(ModelKind::Softmax),
            Some(Model::Mlp) => bench.with_model(ModelKind::Mlp {
                hidden: self.hidden.clone(),
            }),
        };
        let path = self.file.clone().unwrap_or_else(|| self.data.file());
        let encoded = Encoded::new(&bench, &read(&path)?)?;
        Ok((bench, encoded))
    }
}

impl Data {
    pub fn bench(self) -> Result<Bench> {
        match self {
            Data::Heart => Bench::heart(),
            Data::RandHie => Bench::hie(),
            Data::Adult => Bench::adult(),
            Data::Mnist => Bench::mnist(),
        }
    }

    /// Where the repository keeps it.
    pub fn file(self) -> PathBuf {
        PathBuf::from(match self {
            Data::Heart => "client/demo/heart.parquet",
            Data::RandHie => "experiments/data/rand_hie_6sites.parquet",
            Data::Adult => "experiments/data/adult_census.parquet",
            Data::Mnist => "experiments/data/mnist_10k.parquet",
        })
    }
}

/// A file as it is named; else by its name from the repository's root, which is looked for above the folder that we run in and above this
/// program, which cargo builds inside the repository. (Not the path of the build: a shared target directory would remember another checkout's.)
pub fn found(path: &Path) -> Result<PathBuf> {
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    above(path, starts.iter().flatten())
}

fn above<'p>(path: &Path, starts: impl Iterator<Item = &'p PathBuf>) -> Result<PathBuf> {
    let above = starts.flat_map(|start| start.ancestors().map(|folder| folder.join(path)));
    let mut places = std::iter::once(path.to_owned()).chain(above);
    let found = places.find(|place| place.is_file());
    found.ok_or_else(|| {
        let path = path.display();
        format!("no file {path} here, above this folder or above this program: run in the repository, or name the file")
            .into()
    })
}

pub fn read(path: &Path) -> Result<Table> {
    let path = &found(path)?;
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let frame = ParquetReader::new(file).finish()?;
    let mut columns = Vec::new();
    for column in frame.columns() {
        let cells = if column.dtype() == &DataType::String {
            Column::Texts(column.str()?.iter().map(|cell| cell.map(str::to_owned)).collect())
        } else {
            let numbers = column.cast(&DataType::Float64)?;
            Column::Numbers(numbers.f64()?.iter().collect())
        };
        columns.push((column.name().to_string(), cells));
    }
    Table::new(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_repository_is_found_from_anywhere_in_it_and_what_is_nowhere_is_said() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("target/release");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(root.path().join("data")).unwrap();
        std::fs::write(root.path().join("data/rows.parquet"), "").unwrap();
        let named = Path::new("data/rows.parquet");
        assert_eq!(above(named, [deep.clone()].iter()).unwrap(), root.path().join(named));
        let error = above(Path::new("data/no-such.parquet"), [deep].iter()).unwrap_err();
        assert!(error.to_string().starts_with("no file data/no-such.parquet"), "{error}");
    }
}
