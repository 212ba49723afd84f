//! Contribution bounding: of each unit's rows, those that `workload::query::choose` would keep, added up.
//!
//! A unit's rows come from anywhere in the files, so they must be brought together. Rows are packed into 32-bit words
//! (unit, row hash, group, then one or two words a component that needs any), scattered over 256 partitions by unit as the
//! scan delivers them, and each partition is sorted and added up on its own. For `COUNT(*), AVG(x)` that is 32 bytes a row:
//! 320 MB for ten million rows. Rows of a unit with one hash are sorted by all that the record holds, so that what is kept
//! is the same vector in whatever order threads deliver rows.

use super::batch::{Added, Batch, NO_BIN, Shape};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use workload::query::{BoundingKey, ComponentKind, Contribution, UnitId};

const PARTITIONS: usize = 256;
/// Words of a record before its components: unit (4), row hash (2), group (1).
const HEAD: usize = 7;
const ROW: usize = 4;
const GROUP: usize = 6;

/// Rows of one worker, scattered.
pub(super) struct Scattered {
    partitions: Vec<Vec<u32>>,
}

/// How a component lies in a record.
#[derive(Clone, Copy)]
enum Packed {
    /// Always counts: no word.
    Nothing,
    Word,
    /// An integer of less than 31 bits.
    Short,
    Long,
}

/// The layout of a record.
pub(super) struct Packing {
    fields: Vec<(Packed, usize)>,
    stride: usize,
}

impl Packing {
    pub fn new(shape: &Shape, filtered: impl Fn(usize) -> bool) -> Self {
        let mut stride = HEAD;
        let mut fields = Vec::new();
        for (i, component) in shape.components.iter().enumerate() {
            let (packed, words) = match &component.kind {
                ComponentKind::Rows { .. } | ComponentKind::Units { .. } if !filtered(i) => (Packed::Nothing, 0),
                ComponentKind::Sum { lattice, .. } if lattice.reach() < 1 << 31 => (Packed::Short, 1),
                ComponentKind::Sum { .. } => (Packed::Long, 2),
                _ => (Packed::Word, 1),
            };
            fields.push((packed, stride));
            stride += words;
        }
        Self { fields, stride }
    }
}

impl Scattered {
    pub fn new() -> Self {
        Self {
            partitions: vec![Vec::new(); PARTITIONS],
        }
    }

    /// Packs and scatters the rows that have a group and a unit.
    pub fn add(&mut self, batch: &Batch, outside: u32, packing: &Packing, key: &BoundingKey) {
        let mut record = vec![0u32; packing.stride];
        for (i, (group, unit)) in batch.groups.iter().zip(&batch.units).enumerate() {
            let Some(unit) = unit.filter(|_| *group != outside) else {
                continue;
            };
            let row = key.row(unit, batch.content.iter().map(|bits| bits[i]));
            let [low, high] = unit.words();
            put(&mut record, 0, low);
            put(&mut record, 2, high);
            put(&mut record, ROW, row);
            record[GROUP] = *group;
            for (added, (packed, at)) in batch.added.iter().zip(&packing.fields) {
                match (added, packed) {
                    (Added::Flags(words) | Added::Bins(words), _) => record[*at] = words[i],
                    (Added::Integers(integers), Packed::Long) => put(&mut record, *at, integers[i] as u64),
                    (Added::Integers(integers), _) => record[*at] = integers[i] as u32,
                    (Added::Always, _) => {}
                }
            }
            let partition = ((low ^ high).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize;
            let records = &mut self.partitions[partition];
            if records.capacity() - records.len() < record.len() {
                // By a quarter, not to the double: this is where the memory of a query goes.
                records.reserve_exact(records.len() / 4 + 16 * 1024);
            }
            records.extend_from_slice(&record);
        }
    }
}

/// Adds up what bounding keeps of all workers' rows. Partitions are taken one by one by as many threads as there are cores.
/// `None`: a thread died, and a part of the sum would be no sum.
pub(super) fn add_up(
    scattered: Vec<Scattered>,
    shape: &Shape,
    packing: &Packing,
    limits: &Contribution,
    key: &BoundingKey,
) -> Option<Vec<i64>> {
    let mut partitions: Vec<Mutex<Vec<Vec<u32>>>> = (0..PARTITIONS).map(|_| Mutex::new(Vec::new())).collect();
    for worker in scattered {
        for (partition, records) in partitions.iter_mut().zip(worker.partitions) {
            partition.get_mut().ok()?.push(records);
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut adder = Adder::new(shape, packing, limits, key);
        while let Some(partition) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
            let records = std::mem::take(&mut *partition.lock().ok()?);
            adder.partition(&records.concat());
        }
        Some(adder.cells)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut cells = work()?;
        for other in others {
            let other = other.join().ok()??;
            cells.iter_mut().zip(other).for_each(|(a, b)| *a = a.wrapping_add(b));
        }
        Some(cells)
    })
}

struct Adder<'a> {
    shape: &'a Shape,
    packing: &'a Packing,
    limits: &'a Contribution,
    key: &'a BoundingKey,
    cells: Vec<i64>,
}

/// Unit, row hash and position of a record.
type Handle = (UnitId, u64, u32);

impl<'a> Adder<'a> {
    fn new(shape: &'a Shape, packing: &'a Packing, limits: &'a Contribution, key: &'a BoundingKey) -> Self {
        Self {
            shape,
            packing,
            limits,
            key,
            cells: vec![0; shape.layout.dim()],
        }
    }

    fn partition(&mut self, records: &[u32]) {
        let mut handles: Vec<Handle> = records
            .chunks_exact(self.packing.stride)
            .zip(0u32..)
            .map(|(record, i)| (unit(record), get(record, ROW), i))
            .collect();
        let stride = self.packing.stride;
        let record = |i: u32| &records[i as usize * stride..(i as usize + 1) * stride];
        handles.sort_unstable_by(|(a, x, i), (b, y, j)| (a, x).cmp(&(b, y)).then_with(|| record(*i).cmp(record(*j))));
        let mut kept = Vec::new();
        for unit in handles.chunk_by(|a, b| a.0 == b.0) {
            kept.clear();
            kept.extend(unit.iter().map(|(_, _, i)| record(*i)));
            self.bound(unit[0].0, &mut kept);
            for record in &kept {
                self.add(record);
            }
            self.add_units(&kept);
        }
    }

    /// `workload::query::choose` on rows that are already in the order of their hashes.
    fn bound(&self, unit: UnitId, rows: &mut Vec<&[u32]>) {
        let Contribution {
            rows: most,
            groups: most_groups,
            rows_per_group,
            ..
        } = *self.limits;
        if rows.len() <= most.min(most_groups).min(rows_per_group) as usize {
            return;
        }
        let mut groups: Vec<u32> = rows.iter().map(|r| r[GROUP]).collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.len() > most_groups as usize {
            groups.sort_unstable_by_key(|group| (self.key.group(unit, u64::from(*group)), *group));
            groups.truncate(most_groups as usize);
            groups.sort_unstable();
        }
        let mut taken = vec![0; groups.len()];
        rows.retain(|row| match groups.binary_search(&row[GROUP]) {
            Ok(at) => {
                taken[at] += 1;
                taken[at] <= rows_per_group
            }
            Err(_) => false,
        });
        rows.truncate(most as usize);
    }

    fn add(&mut self, record: &[u32]) {
        let base = record[GROUP] as usize * self.shape.layout.width;
        for (component, (packed, at)) in self.shape.components.iter().zip(&self.packing.fields) {
            let first = base + component.offset;
            let (cell, value) = match (&component.kind, packed) {
                (ComponentKind::Units { .. }, _) => continue,
                (ComponentKind::Rows { weight }, Packed::Nothing) => (first, *weight),
                (ComponentKind::Rows { weight }, _) => (first, *weight * i64::from(record[*at])),
                (ComponentKind::Sum { .. }, Packed::Long) => (first, get(record, *at) as i64),
                (ComponentKind::Sum { .. }, _) => (first, i64::from(record[*at] as i32)),
                (ComponentKind::Histogram { weight, .. }, _) | (ComponentKind::Tree { weight, .. }, _) => {
                    let bin = record[*at];
                    if bin == NO_BIN {
                        continue;
                    }
                    (first + component.first_leaf() + bin as usize, *weight)
                }
            };
            self.cells[cell] = self.cells[cell].wrapping_add(value);
        }
    }

    /// A unit counts once in each group that it has a row in.
    fn add_units(&mut self, kept: &[&[u32]]) {
        for (component, (packed, at)) in self.shape.components.iter().zip(&self.packing.fields) {
            let ComponentKind::Units { weight } = component.kind else {
                continue;
            };
            let counts = |record: &&&[u32]| matches!(packed, Packed::Nothing) || record[*at] == 1;
            let mut groups: Vec<u32> = kept.iter().filter(counts).map(|record| record[GROUP]).collect();
            groups.sort_unstable();
            groups.dedup();
            for group in groups {
                let cell = group as usize * self.shape.layout.width + component.offset;
                self.cells[cell] = self.cells[cell].wrapping_add(weight);
            }
        }
    }
}

fn unit(record: &[u32]) -> UnitId {
    UnitId::from_words([get(record, 0), get(record, 2)])
}

fn put(record: &mut [u32], at: usize, value: u64) {
    record[at] = value as u32;
    record[at + 1] = (value >> 32) as u32;
}

fn get(record: &[u32], at: usize) -> u64 {
    u64::from(record[at]) | u64::from(record[at + 1]) << 32
}
