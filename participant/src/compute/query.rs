//! A query plan over a dataset: one lazy polars query per call, streamed, reduced to integers batch by batch.
//!
//! polars scans, maps, filters and computes the plan's expressions, with projection and predicate pushed into the files;
//! each of its threads hands its batches to an accumulator of its own (`Worker`). Without a privacy unit that is a vector of
//! cells, so memory does not grow with rows; with one it is packed rows (`units.rs`). Every cell of the layout is present
//! in the answer whatever the data held.
//!
//! A failure delivers no vector: zeros in its place would be a vector that one row could bring about, and no noise is
//! calibrated to that. The agent misses the round instead, which everybody sees; so nothing a row holds may cause it. Files
//! are read through when they are opened (`data/files.rs`), every function of a value is total, and what remains is a
//! file that vanished or changed since, a disk or memory that failed.

use super::batch::{Added, Batch, NO_BIN, Shape};
use super::translate::Columns;
use super::units::{self, Packing, Scattered};
use super::who::Who;
use crate::data::{Dataset, Source};
use polars::prelude::{
    AllowedOptimizations, DataFrame, DataType, Engine, Expr, Field, LazyFrame, PolarsError, PolarsResult, Schema,
    SchemaRef, UnionArgs, concat,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use workload::query::{BoundingKey, ComponentKind, QueryPlan};

/// Why a plan was not executed. It names no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotExecuted {
    #[error("the plan reads a column that the contract does not have, or is not in its canonical form")]
    Plan,
    #[error("a data file could not be read, though it could when it was opened ({0})")]
    Unreadable(&'static str),
}

/// The contribution of all rows of a dataset to a plan, in the order of its layout.
pub fn execute(plan: &QueryPlan, dataset: &Dataset, key: &BoundingKey) -> Result<Vec<i64>, NotExecuted> {
    execute_over(plan, dataset, &Who::everybody(key))
}

/// The contribution of those rows that may be used.
pub(super) fn execute_over(plan: &QueryPlan, dataset: &Dataset, who: &Who) -> Result<Vec<i64>, NotExecuted> {
    let job = Job::new(plan, dataset, who)?;
    match catch_unwind(AssertUnwindSafe(|| job.run())) {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(NotExecuted::Unreadable(kind(&error))),
        Err(_) => Err(NotExecuted::Unreadable("panic")),
    }
}

/// What kind of error, without its text, which may quote a value.
fn kind(error: &PolarsError) -> &'static str {
    match error {
        PolarsError::IO { .. } => "input or output",
        PolarsError::ComputeError(_) => "computation",
        PolarsError::SchemaMismatch(_) | PolarsError::SchemaFieldNotFound(_) => "schema",
        PolarsError::ShapeMismatch(_) => "shape",
        _ => "other",
    }
}

/// A plan made ready: the lazy query and what becomes of its batches.
struct Job<'a> {
    plan: &'a QueryPlan,
    frame: LazyFrame,
    sink: Arc<Sink>,
}

/// Shared by polars' threads.
struct Sink {
    shape: Shape,
    packing: Option<Packing>,
    who: Who,
    /// Accumulators that no thread is using.
    idle: Mutex<Vec<Worker>>,
}

enum Worker {
    /// One row of cells per group, and one for rows that are in none.
    Cells(Vec<i64>),
    Units(Scattered),
}

impl<'a> Job<'a> {
    fn new(plan: &'a QueryPlan, dataset: &Dataset, who: &Who) -> Result<Self, NotExecuted> {
        let mut frames = Vec::new();
        let mut shape = None;
        for source in dataset.sources().map_err(|_| NotExecuted::Unreadable("opening"))? {
            let (frame, its_shape) = select(plan, source).ok_or(NotExecuted::Plan)?;
            frames.push(frame);
            shape = Some(its_shape);
        }
        let shape = shape.ok_or(NotExecuted::Unreadable("no file"))?;
        let filtered = |i: usize| plan.components[i].filter.is_some();
        let packing = plan.unit.as_ref().map(|_| Packing::new(&shape, filtered));
        let in_any_order = UnionArgs {
            maintain_order: false,
            ..Default::default()
        };
        let frame = concat(frames, in_any_order).map_err(|error| NotExecuted::Unreadable(kind(&error)))?;
        let sink = Sink {
            shape,
            packing,
            who: who.clone(),
            idle: Mutex::default(),
        };
        Ok(Self {
            plan,
            frame,
            sink: Arc::new(sink),
        })
    }

    fn run(&self) -> PolarsResult<Vec<i64>> {
        let sink = self.sink.clone();
        let nothing: SchemaRef = Arc::new(Schema::from_iter([Field::new("nothing".into(), DataType::Boolean)]));
        let schema = nothing.clone();
        let absorb = move |batch: DataFrame| {
            sink.absorb(&batch)?;
            Ok(DataFrame::empty_with_schema(&nothing))
        };
        let schema_of = move |_: &Schema| -> PolarsResult<SchemaRef> { Ok(schema.clone()) };
        let frame = self.frame.clone().map(
            absorb,
            AllowedOptimizations::STREAMING,
            Some(Arc::new(schema_of)),
            Some("contribution"),
        );
        frame.collect_with_engine(Engine::Streaming)?;
        let workers = std::mem::take(&mut *self.sink.idle.lock().map_err(died)?);
        self.sink.add_up(workers, self.plan)
    }
}

/// Scan, filter and the columns of the shape, over one source.
fn select(plan: &QueryPlan, source: Source<'_>) -> Option<(LazyFrame, Shape)> {
    let columns = Columns::new(plan, &source)?;
    let unit = match &plan.unit {
        Some(unit) => Some(source.unit(unit)?),
        None => None,
    };
    let (shape, mut outputs) = Shape::new(plan, &columns, unit)?;
    // A selection of constants alone would have one row: any column makes it as long as the file.
    let anchor = match plan.columns.first() {
        Some(column) => columns.get(&column.name)?,
        None => source.any_column()?,
    };
    if !outputs
        .iter()
        .any(|output| output.into_iter().any(|e| matches!(e, Expr::Column(_))))
    {
        // Of one type whatever the file holds: files of different formats stand in one union.
        outputs.push(anchor.is_null().alias("rows"));
    }
    let mut frame = source.frame;
    if let Some(filter) = &plan.filter {
        frame = frame.filter(columns.translate(filter, &DataType::Boolean)?);
    }
    Some((frame.select(outputs), shape))
}

impl Sink {
    fn absorb(&self, frame: &DataFrame) -> PolarsResult<()> {
        let batch = self.shape.measure(frame, &self.who)?;
        let taken = self.idle.lock().map_err(died)?.pop();
        let mut worker = taken.unwrap_or_else(|| match &self.packing {
            Some(_) => Worker::Units(Scattered::new()),
            None => Worker::Cells(vec![0; (self.shape.layout.groups + 1) * self.shape.layout.width]),
        });
        match (&mut worker, &self.packing) {
            (Worker::Units(scattered), Some(packing)) => {
                scattered.add(&batch, self.shape.layout.groups as u32, packing, &self.who.key);
            }
            (Worker::Cells(cells), _) => add_rows(&self.shape, &batch, cells),
            _ => {}
        }
        self.idle.lock().map_err(died)?.push(worker);
        Ok(())
    }

    fn add_up(&self, workers: Vec<Worker>, plan: &QueryPlan) -> PolarsResult<Vec<i64>> {
        let mut cells = vec![0i64; self.shape.layout.dim()];
        let mut scattered = Vec::new();
        for worker in workers {
            match worker {
                Worker::Cells(own) => cells.iter_mut().zip(own).for_each(|(a, b)| *a = a.wrapping_add(b)),
                Worker::Units(rows) => scattered.push(rows),
            }
        }
        if let Some(packing) = &self.packing {
            cells =
                units::add_up(scattered, &self.shape, packing, &plan.contribution, &self.who.key).ok_or_else(dead)?;
        }
        self.shape.fill_trees(&mut cells);
        Ok(cells)
    }
}

/// Without a unit every row is one: each adds to the cells of its group.
fn add_rows(shape: &Shape, batch: &Batch, cells: &mut [i64]) {
    let width = shape.layout.width;
    for (component, added) in shape.components.iter().zip(&batch.added) {
        let weight = component.kind.weight();
        let mut add = |group: u32, cell: usize, value: i64| {
            let at = group as usize * width + component.offset + cell;
            cells[at] = cells[at].wrapping_add(value);
        };
        let groups = batch.groups.iter().copied();
        match added {
            Added::Always => groups.for_each(|g| add(g, 0, weight)),
            Added::Flags(flags) => groups.zip(flags).for_each(|(g, f)| add(g, 0, weight * i64::from(*f))),
            Added::Integers(integers) => groups.zip(integers).for_each(|(g, k)| add(g, 0, *k)),
            Added::Bins(bins) => {
                let leaves = component.first_leaf();
                let found = groups.zip(bins).filter(|(_, bin)| **bin != NO_BIN);
                found.for_each(|(g, bin)| add(g, leaves + *bin as usize, weight));
            }
        }
    }
}

fn died<T>(_: PoisonError<T>) -> PolarsError {
    dead()
}

fn dead() -> PolarsError {
    PolarsError::ComputeError("a worker died".into())
}

impl Shape {
    /// The coarse levels of trees, from their leaves: the same integers as counting each row once per level.
    fn fill_trees(&self, cells: &mut [i64]) {
        for component in &self.components {
            let ComponentKind::Tree { branching, levels, .. } = component.kind else {
                continue;
            };
            let branching = branching as usize;
            for group in 0..self.layout.groups {
                let first = group * self.layout.width + component.offset;
                let tree = &mut cells[first..first + component.kind.cells()];
                let mut start = component.first_leaf();
                for level in (1..levels).rev() {
                    let parents = branching.pow(level);
                    for parent in 0..parents {
                        let children = start + parent * branching..start + (parent + 1) * branching;
                        tree[start - parents + parent] = tree[children].iter().fold(0, |a, b| a.wrapping_add(*b));
                    }
                    start -= parents;
                }
            }
        }
    }
}
