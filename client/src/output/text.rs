//! Tables for people. Colour only on a terminal and never with NO_COLOR (https://no-color.org).

use std::env;
use std::io::IsTerminal;

use comfy_table::{Attribute, Cell as Printed, CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::number;
use super::sheet::{Cell, Kind, Sheet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    pub fn detect(stream: &impl IsTerminal) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !refused {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.wrap("31;1", text)
    }

    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Columns of the terminal, if there is one.
pub fn width() -> Option<u16> {
    std::io::stdout().is_terminal().then(|| Table::new().width()).flatten()
}

pub fn table(sheet: &Sheet, paint: Paint, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Dynamic);
    match paint {
        Paint::Plain => table.force_no_tty(),
        Paint::Colour => table.enforce_styling(),
    };
    if let Some(width) = width {
        table.set_width(width);
    }
    // Alignment by kind; an estimate's value and interval stand in two columns so that the signs line up.
    let mut header = Vec::new();
    for column in &sheet.columns {
        let alignment = if column.kind == Kind::Text {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        };
        header.push(
            Printed::new(&column.name)
                .set_alignment(alignment)
                .add_attribute(Attribute::Bold),
        );
        if column.kind == Kind::Estimate {
            header.push(Printed::new("95 %").add_attribute(Attribute::Dim));
        }
    }
    table.set_header(header);
    for row in &sheet.rows {
        let mut cells = Vec::new();
        for (column, cell) in sheet.columns.iter().zip(row) {
            let right = column.kind != Kind::Text;
            let mut put = |text: String, right: bool| {
                let alignment = if right {
                    CellAlignment::Right
                } else {
                    CellAlignment::Left
                };
                cells.push(Printed::new(text).set_alignment(alignment));
            };
            match cell {
                Cell::Estimate { value, low, high } => {
                    let (value, interval) = number::estimate(*value, *low, *high);
                    put(value, true);
                    put(interval, false);
                }
                other => {
                    put(spell(other), right);
                    if column.kind == Kind::Estimate {
                        put(String::new(), false);
                    }
                }
            }
        }
        table.add_row(cells);
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn spell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        // Much of it is a peer's, and a terminal obeys control characters; a question of many lines stays one row.
        Cell::Text(text) => proto::printable(text.replace(['\n', '\t'], " ")),
        Cell::Integer(value) => value.to_string(),
        Cell::Number(value) => number::plain(*value),
        Cell::Estimate { value, low, high } => number::estimate(*value, *low, *high).0,
        Cell::Boolean(true) => "yes".to_owned(),
        Cell::Boolean(false) => "no".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_values_with_their_intervals_and_no_escape_codes_off_a_terminal() {
        let mut sheet = Sheet::new([("sex", Kind::Text), ("avg", Kind::Estimate)]);
        sheet.push([
            "Female".into(),
            Cell::Estimate {
                value: Some(246.26),
                low: Some(244.43),
                high: Some(248.09),
            },
        ]);
        sheet.push(["Male\x1b[2J\nor not".into(), Cell::Null]);
        let text = table(&sheet, Paint::Plain, Some(60));
        assert!(
            text.contains("246.3") && text.contains("± 1.8") && text.contains("Male") && text.contains("or not"),
            "{text}"
        );
        assert!(!text.contains('\x1b'));
    }
}
