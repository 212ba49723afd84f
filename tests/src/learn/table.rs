//! A table in memory, encoded once by its contract, and split into training and test units by a seed. Encoding copies
//! the table once; a split copies the rows of each site.

use super::{Bench, Result};
use governance::LogicalType;
use governance::canonical::Real;
use ndarray::{Array2, Axis, concatenate};
use std::collections::BTreeMap;
use std::ops::Range;
use workload::training::{Cells, Encoder, Target, TrainingData, in_holdout};

/// The share of units that no run trains on.
pub(super) const HELD: f64 = 0.25;

pub enum Column {
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
}

/// Named columns of one length, as a reader found them.
pub struct Table {
    columns: BTreeMap<String, Column>,
    rows: usize,
}

impl Table {
    pub fn new(columns: Vec<(String, Column)>) -> Result<Self> {
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        match columns.iter().find(|(_, column)| column.len() != rows) {
            Some((name, column)) => {
                Err(format!("mismatched column `{name}`: expected {rows} rows, got {}", column.len()).into())
            }
            None => Ok(Self {
                columns: columns.into_iter().collect(),
                rows,
            }),
        }
    }

    /// Lines of cells without quotes; an empty cell is missing.
    pub fn from_csv(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(|line| line.trim_end().split(','));
        let names: Vec<&str> = lines.next().ok_or("a table without a header")?.collect();
        let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
        for line in lines {
            let row = cells.iter_mut().zip(line);
            row.for_each(|(column, cell)| column.push((!cell.is_empty()).then(|| cell.to_owned())));
        }
        let named = names.iter().map(|name| (*name).to_owned());
        Self::new(named.zip(cells.into_iter().map(Column::Texts)).collect())
    }

    fn column(&self, name: &str) -> Result<&Column> {
        self.columns
            .get(name)
            .ok_or_else(|| format!("no column `{name}` in the table").into())
    }

    /// The cells of a column under its contract; `null` is a number that stands for a missing one.
    fn cells(&self, name: &str, bench: &Bench) -> Result<Owned> {
        let column = self.column(name)?;
        let contract = bench
            .contract
            .column(name)
            .ok_or_else(|| format!("no column `{name}` in the contract"))?;
        Ok(match contract.logical_type {
            LogicalType::String => {
                let known = |text: String| contract.categories.iter().position(|c| *c == text).map(|i| i as u32);
                Owned::Categories(column.texts().into_iter().map(|cell| cell.and_then(known)).collect())
            }
            LogicalType::Boolean => {
                let truth = |text: String| text.to_lowercase().parse().ok();
                Owned::Booleans(column.texts().into_iter().map(|cell| cell.and_then(truth)).collect())
            }
            LogicalType::Integer | LogicalType::Number | LogicalType::Date => {
                let null = bench
                    .nulls
                    .iter()
                    .find(|(column, _)| *column == name)
                    .map(|(_, code)| *code);
                let known = |cell: Option<f64>| cell.filter(|x| Some(*x) != null);
                Owned::Numbers(column.numbers().into_iter().map(known).collect())
            }
        })
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Numbers(cells) => cells.len(),
            Column::Texts(cells) => cells.len(),
        }
    }

    fn numbers(&self) -> Vec<Option<f64>> {
        match self {
            Column::Numbers(cells) => cells.clone(),
            Column::Texts(cells) => cells.iter().map(|cell| cell.as_ref()?.parse().ok()).collect(),
        }
    }

    fn texts(&self) -> Vec<Option<String>> {
        match self {
            Column::Numbers(cells) => cells.iter().map(|cell| cell.map(|x| x.to_string())).collect(),
            Column::Texts(cells) => cells.clone(),
        }
    }
}

enum Owned {
    Numbers(Vec<Option<f64>>),
    Categories(Vec<Option<u32>>),
    Booleans(Vec<Option<bool>>),
}

#[derive(Clone)]
pub(super) struct Unit {
    pub key: String,
    pub site: usize,
    pub rows: Range<usize>,
}

/// The table as every site would encode it, the rows of a unit side by side. No `Debug`: it is data.
#[derive(Clone)]
pub struct Encoded {
    pub(super) features: Array2<f32>,
    pub(super) targets: Vec<f32>,
    pub(super) units: Vec<Unit>,
    pub sites: Vec<String>,
}

/// Units by their position in [`Encoded`].
pub struct Split {
    /// What each site trains on.
    pub sites: Vec<Vec<usize>>,
    pub test: Vec<usize>,
}

impl Encoded {
    pub fn new(bench: &Bench, table: &Table) -> Result<Self> {
        let owned: Vec<Owned> = bench
            .task
            .features
            .iter()
            .map(|f| table.cells(f, bench))
            .collect::<Result<_>>()?;
        let cells: Vec<Cells<'_>> = owned
            .iter()
            .map(|owned| match owned {
                Owned::Numbers(cells) => Cells::Numbers(cells),
                Owned::Categories(cells) => Cells::Categories(cells),
                Owned::Booleans(cells) => Cells::Booleans(cells),
            })
            .collect();
        let features = Encoder::new(&bench.task.features, &bench.contract)?.encode(&cells)?;
        let target = Target::new(&bench.task, &bench.contract)?;
        let targets = match table.cells(&bench.task.target, bench)? {
            Owned::Numbers(cells) => target.encode(&bench.task.target, &Cells::Numbers(&cells))?,
            Owned::Categories(cells) => target.encode(&bench.task.target, &Cells::Categories(&cells))?,
            Owned::Booleans(cells) => target.encode(&bench.task.target, &Cells::Booleans(&cells))?,
        };
        // Rows without a target teach and test nothing.
        let known: Vec<usize> = (0..table.rows).filter(|row| !targets[*row].is_nan()).collect();
        let keys: Vec<String> = match &bench.contract.privacy_unit {
            None => (0..table.rows).map(|row| format!("{row:09}")).collect(),
            Some(unit) => table
                .column(unit)?
                .texts()
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
        };
        let places: Vec<String> = match bench.site {
            Some(site) => table
                .column(site)?
                .texts()
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
            None => (0..table.rows)
                .map(|row| format!("{:02}", row % bench.terms.n as usize))
                .collect(),
        };
        let mut sites: Vec<String> = known.iter().map(|row| places[*row].clone()).collect();
        sites.sort_unstable();
        sites.dedup();
        let mut order = known;
        order.sort_by(|a, b| (&places[*a], &keys[*a], a).cmp(&(&places[*b], &keys[*b], b)));
        let mut units: Vec<Unit> = Vec::new();
        for (at, row) in order.iter().enumerate() {
            let site = sites.partition_point(|site| *site < places[*row]);
            match units
                .last_mut()
                .filter(|unit| unit.site == site && unit.key == keys[*row])
            {
                Some(unit) => unit.rows.end = at + 1,
                None => units.push(Unit {
                    key: keys[*row].clone(),
                    site,
                    rows: at..at + 1,
                }),
            }
        }
        Ok(Self {
            features: features.select(Axis(0), &order),
            targets: order.iter().map(|row| targets[*row]).collect(),
            units,
            sites,
        })
    }

    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// A quarter of the units is for the test, the same ones whatever site holds them.
    pub fn split(&self, seed: u64) -> Split {
        // Unwrap safety: a finite constant.
        let quarter = Real::new(HELD).expect("a finite constant");
        let mut split = Split {
            sites: vec![Vec::new(); self.sites.len()],
            test: Vec::new(),
        };
        for (i, unit) in self.units.iter().enumerate() {
            match in_holdout(&[9; 32], seed, unit.key.as_bytes(), quarter) {
                true => split.test.push(i),
                false => split.sites[unit.site].push(i),
            }
        }
        split
    }

    /// Copies these units' rows as a participant would hold them.
    pub fn data(&self, units: &[usize]) -> Result<TrainingData> {
        let mut offsets = vec![0];
        units
            .iter()
            .for_each(|unit| offsets.push(offsets[offsets.len() - 1] + self.units[*unit].rows.len()));
        let (features, targets) = self.rows(units);
        Ok(TrainingData::new(
            &features,
            &targets,
            &offsets,
            &vec![false; units.len()],
        )?)
    }

    /// Copies these units' rows.
    pub fn rows(&self, units: &[usize]) -> (Array2<f32>, Vec<f32>) {
        let rows: Vec<usize> = units.iter().flat_map(|unit| self.units[*unit].rows.clone()).collect();
        let targets = rows.iter().map(|row| self.targets[*row]).collect();
        (self.features.select(Axis(0), &rows), targets)
    }

    /// The table with more units of one row each, dealt to the sites in turn; answers the first one's position.
    pub(super) fn with(&self, features: &Array2<f32>, targets: &[f32]) -> Result<(Self, usize)> {
        let mut more = self.clone();
        more.features = concatenate(Axis(0), &[self.features.view(), features.view()])?;
        more.targets.extend(targets);
        more.units.extend((0..targets.len()).map(|i| Unit {
            key: format!("canary {i}"),
            site: i % self.sites.len(),
            rows: self.targets.len() + i..self.targets.len() + i + 1,
        }));
        Ok((more, self.units.len()))
    }
}
