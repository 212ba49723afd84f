//! A party on a simulated machine: an engine, a disk, and a life that can end between any two acts. The disk keeps whole
//! transactions and nothing else, which is what SQLite with synchronous=FULL promises.

use engine::coordinator::Coordinator;
use engine::participant::Participant;
use engine::record::{CoordinatorRecord, ParticipantRecord, Replaced, Row};

/// The rows that survived.
#[derive(Default)]
pub struct Disk {
    rows: Vec<Row>,
}

impl Disk {
    /// One transaction. A tombstone takes the place of the row that it replaces.
    pub fn write(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            match &row.replaces {
                Some(replaced) => {
                    let place = self.rows.iter().position(|found| is(found, replaced));
                    self.rows[place.expect("what is erased was written")] = row;
                }
                None => self.rows.push(row),
            }
        }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Somebody puts a backup in place: the file as it was after so many rows.
    pub fn restore(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }
}

fn is(row: &Row, replaced: &Replaced) -> bool {
    if row.kind != replaced.kind {
        return false;
    }
    let json: serde_json::Value = serde_json::from_str(&row.json).expect("own rows are JSON");
    let keys = ["/job", "/release/release/id", "/payload/salt"];
    let mut keys = keys.iter().filter_map(|key| json.pointer(key)?.as_str());
    keys.any(|key| key == replaced.key)
}

/// One machine.
pub struct Node<E> {
    /// None while the machine is down.
    pub engine: Option<E>,
    pub disk: Disk,
    /// Counts lives: what was started in an earlier one is void.
    pub life: u32,
    pub wake_at_ms: Option<u64>,
}

impl<E> Node<E> {
    pub fn new(engine: Option<E>) -> Self {
        Self {
            engine,
            disk: Disk::default(),
            life: 0,
            wake_at_ms: None,
        }
    }

    /// The machine loses its memory.
    pub fn crash(&mut self) {
        self.engine = None;
        self.life += 1;
        self.wake_at_ms = None;
    }
}

impl Node<Coordinator> {
    /// The records on disk.
    pub fn records(&self) -> Vec<CoordinatorRecord> {
        self.disk
            .rows()
            .iter()
            .map(|row| CoordinatorRecord::from_row(row).expect("own rows read back"))
            .collect()
    }
}

impl Node<Participant> {
    /// The records on disk.
    pub fn records(&self) -> Vec<ParticipantRecord> {
        self.disk
            .rows()
            .iter()
            .map(|row| ParticipantRecord::from_row(row).expect("own rows read back"))
            .collect()
    }
}
