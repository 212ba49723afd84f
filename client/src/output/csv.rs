//! CSV after RFC 4180, with `\n` at line ends: what spreadsheets and `pandas.read_csv` take without options.

use super::sheet::{Cell, Sheet};

pub fn render(sheet: &Sheet) -> String {
    let flat = sheet.flat();
    let mut out = String::new();
    line(&mut out, flat.columns.iter().map(|column| column.name.clone()));
    for row in &flat.rows {
        line(&mut out, row.iter().map(spell));
    }
    out
}

fn line(out: &mut String, fields: impl Iterator<Item = String>) {
    for (i, field) in fields.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&field);
        }
    }
    out.push('\n');
}

fn spell(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Integer(value) => value.to_string(),
        Cell::Number(value) => value.to_string(),
        Cell::Boolean(value) => value.to_string(),
        Cell::Estimate { value, .. } => value.map(|value| value.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Kind;
    use super::*;

    #[test]
    fn estimates_take_three_columns_and_odd_text_is_quoted() {
        let mut sheet = Sheet::new([("group, \"x\"", Kind::Text), ("n", Kind::Estimate)]);
        sheet.push([
            "a,b".into(),
            Cell::Estimate {
                value: Some(2.5),
                low: Some(2.25),
                high: Some(2.75),
            },
        ]);
        sheet.push([
            Cell::Null,
            Cell::Estimate {
                value: Some(f64::NAN),
                low: None,
                high: None,
            },
        ]);
        assert_eq!(
            render(&sheet),
            "\"group, \"\"x\"\"\",n,n_low,n_high\n\"a,b\",2.5,2.25,2.75\n,,,\n"
        );
    }
}
