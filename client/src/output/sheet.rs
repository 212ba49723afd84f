//! A table before it has a format: typed columns, and cells that may carry an interval.

/// What a column holds. An estimate is a number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Estimate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// Null where noise leaves nothing to say, or nothing bounds it.
    Estimate {
        value: Option<f64>,
        low: Option<f64>,
        high: Option<f64>,
    },
}

/// Rows have as many cells as there are columns, each null or of its column's kind.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sheet {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl Sheet {
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Kind)>) -> Self {
        let columns = columns
            .into_iter()
            .map(|(name, kind)| Column {
                name: name.to_owned(),
                kind,
            })
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        let row: Vec<Cell> = row.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "a row has a cell per column");
        self.rows.push(row);
    }

    /// For formats without intervals: an estimate `x` becomes `x`, `x_low` and `x_high`.
    pub fn flat(&self) -> Self {
        let mut flat = Self::default();
        for column in &self.columns {
            match column.kind {
                Kind::Estimate => {
                    for ending in ["", "_low", "_high"] {
                        flat.columns.push(Column {
                            name: format!("{}{ending}", column.name),
                            kind: Kind::Number,
                        });
                    }
                }
                _ => flat.columns.push(column.clone()),
            }
        }
        for row in &self.rows {
            let mut cells = Vec::with_capacity(flat.columns.len());
            for (column, cell) in self.columns.iter().zip(row) {
                match (column.kind, cell) {
                    (Kind::Estimate, Cell::Estimate { value, low, high }) => {
                        cells.extend([value, low, high].map(|number| Cell::from(*number)));
                    }
                    (Kind::Estimate, other) => cells.extend([other.clone(), Cell::Null, Cell::Null]),
                    (_, other) => cells.push(other.clone()),
                }
            }
            flat.rows.push(cells);
        }
        flat
    }
}

/// Not-a-number and the infinities have no spelling in JSON or CSV.
fn number(value: f64) -> Cell {
    if value.is_finite() {
        Cell::Number(value)
    } else {
        Cell::Null
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        number(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}
