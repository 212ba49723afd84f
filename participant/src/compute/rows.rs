//! Rows of a dataset as a model sees them: read once per run, encoded by the plan's contract constants, grouped by unit.
//!
//! Memory is 4 bytes per row and encoded feature; a run keeps it from its first round to its last. Rows without a unit are
//! dropped. A row that is its own unit is known by its content, so that what is held out depends on that row alone.

use super::query::NotExecuted;
use super::texts::TextTable;
use super::who::Who;
use crate::data::{Dataset, Source};
use polars::prelude::{Column, DataFrame, DataType, Engine, PolarsResult};
use workload::query::UnitId;
use workload::training::{Cells, Coding, Encoder, Holdout, Target, TrainingData, in_holdout};

/// What is read, and how it becomes numbers.
pub(super) struct Reading<'a> {
    pub encoder: &'a Encoder,
    pub target_column: &'a str,
    pub target: &'a Target,
    /// The column of the privacy unit.
    pub unit: Option<&'a str>,
    pub holdout: Option<Holdout>,
    /// A column whose classes an evaluation tells apart.
    pub group: Option<(&'a str, &'a Target)>,
}

/// What was read: the rows, and the group of each if one was asked for.
pub(super) struct Rows {
    pub data: TrainingData,
    pub groups: Vec<Option<u32>>,
}

/// One column of all rows.
enum Cell {
    Numbers(Vec<Option<f64>>),
    Categories(Vec<Option<u32>>, TextTable),
    Booleans(Vec<Option<bool>>),
}

const UNKNOWN: u32 = u32::MAX;
const UNIT: &str = "unit";

/// Reads the rows that may be used. A failure names no value.
pub(super) fn read(reading: &Reading<'_>, dataset: &Dataset, who: &Who) -> Result<Rows, NotExecuted> {
    let mut features: Vec<Cell> = reading.encoder.columns.iter().map(|c| Cell::of(&c.coding)).collect();
    let mut target = Cell::of_target(reading.target);
    let mut group = reading.group.map(|(_, domain)| Cell::of_target(domain));
    let mut units: Vec<Option<UnitId>> = Vec::new();
    let failed = NotExecuted::Unreadable;
    for source in dataset.sources().map_err(|_| failed("opening"))? {
        let frame = collect(reading, &source)
            .ok_or(NotExecuted::Plan)?
            .map_err(|_| failed("reading"))?;
        let mut take = || -> PolarsResult<()> {
            for (i, cell) in features.iter_mut().enumerate() {
                cell.extend(frame.column(&name(i))?)?;
            }
            target.extend(frame.column("target")?)?;
            if let Some(group) = &mut group {
                group.extend(frame.column("group")?)?;
            }
            if reading.unit.is_some() {
                units.extend(who.units(frame.column(UNIT)?)?);
            }
            Ok(())
        };
        take().map_err(|_| failed("conversion"))?;
    }
    let shape = |_| NotExecuted::Plan;
    let cells: Vec<Cells<'_>> = features.iter().map(Cell::view).collect();
    let features = reading.encoder.encode(&cells).map_err(shape)?;
    let targets = reading
        .target
        .encode(reading.target_column, &target.view())
        .map_err(shape)?;
    let mut groups: Vec<Option<u32>> = Vec::new();
    if let (Some((name, domain)), Some(group)) = (reading.group, &group) {
        let classes = domain.encode(name, &group.view()).map_err(shape)?;
        groups.extend(classes.iter().map(|class| (!class.is_nan()).then_some(*class as u32)));
    }
    let held_out = |unit: &[u8]| {
        let holdout = reading.holdout.as_ref();
        holdout.is_some_and(|h| in_holdout(&who.key.holdout(), h.seed, unit, h.fraction))
    };
    if reading.unit.is_none() {
        let offsets: Vec<usize> = (0..=targets.len()).collect();
        let held: Vec<bool> = features
            .rows()
            .into_iter()
            .zip(&targets)
            .map(|(row, target)| {
                let content: Vec<u8> = row.iter().chain([target]).flat_map(|x| x.to_le_bytes()).collect();
                held_out(&content)
            })
            .collect();
        let data = TrainingData::new(&features, &targets, &offsets, &held).map_err(|_| NotExecuted::Plan)?;
        return Ok(Rows { data, groups });
    }
    let mut order: Vec<usize> = (0..units.len()).filter(|row| units[*row].is_some()).collect();
    order.sort_by_key(|row| units[*row]);
    let (mut offsets, mut held) = (vec![0], Vec::new());
    for rows in order.chunk_by(|a, b| units[*a] == units[*b]) {
        offsets.push(offsets[offsets.len() - 1] + rows.len());
        let [low, high] = units[rows[0]].map_or([0, 0], UnitId::words);
        held.push(held_out(&[low.to_le_bytes(), high.to_le_bytes()].concat()));
    }
    let features = features.select(ndarray::Axis(0), &order);
    let targets: Vec<f32> = order.iter().map(|row| targets[*row]).collect();
    if reading.group.is_some() {
        groups = order.iter().map(|row| groups[*row]).collect();
    }
    let data = TrainingData::new(&features, &targets, &offsets, &held).map_err(|_| NotExecuted::Plan)?;
    Ok(Rows { data, groups })
}

fn name(feature: usize) -> String {
    format!("f{feature}")
}

/// The columns of one source. `None`: one that the contract does not have.
fn collect(reading: &Reading<'_>, source: &Source<'_>) -> Option<PolarsResult<DataFrame>> {
    let mut outputs = Vec::new();
    for (i, column) in reading.encoder.columns.iter().enumerate() {
        outputs.push(source.column(&column.name)?.alias(name(i)));
    }
    outputs.push(source.column(reading.target_column)?.alias("target"));
    if let Some((group, _)) = reading.group {
        outputs.push(source.column(group)?.alias("group"));
    }
    if let Some(unit) = reading.unit {
        outputs.push(source.unit(unit)?.alias(UNIT));
    }
    let selected = source.frame.clone().select(outputs);
    Some(
        selected
            .collect_with_engine(Engine::Streaming)
            .map(|result| result.unwrap_single()),
    )
}

impl Cell {
    fn of(coding: &Coding) -> Self {
        match coding {
            Coding::Number { .. } => Self::Numbers(Vec::new()),
            Coding::Categories(labels) => Self::Categories(Vec::new(), TextTable::new(labels, UNKNOWN)),
            Coding::Boolean => Self::Booleans(Vec::new()),
        }
    }

    fn of_target(target: &Target) -> Self {
        match target {
            Target::Number { .. } | Target::Above { .. } | Target::Integers { .. } => Self::Numbers(Vec::new()),
            Target::Categories(labels) => Self::Categories(Vec::new(), TextTable::new(labels, UNKNOWN)),
            Target::Boolean => Self::Booleans(Vec::new()),
        }
    }

    fn extend(&mut self, column: &Column) -> PolarsResult<()> {
        match self {
            Self::Numbers(cells) => {
                let numbers = column.cast(&DataType::Float64)?;
                cells.extend(numbers.f64()?.iter());
            }
            Self::Categories(cells, table) => {
                let codes = table.codes(column.str()?);
                cells.extend(codes.into_iter().map(|code| (code != UNKNOWN).then_some(code)));
            }
            Self::Booleans(cells) => cells.extend(column.bool()?.iter()),
        }
        Ok(())
    }

    fn view(&self) -> Cells<'_> {
        match self {
            Self::Numbers(cells) => Cells::Numbers(cells),
            Self::Categories(cells, _) => Cells::Categories(cells),
            Self::Booleans(cells) => Cells::Booleans(cells),
        }
    }
}
