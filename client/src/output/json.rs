//! Rows as JSON objects; a missing value is null.

use serde_json::{Map, Value};

use super::sheet::{Cell, Sheet};

pub fn rows(sheet: &Sheet) -> Value {
    let flat = sheet.flat();
    let object = |row: &Vec<Cell>| {
        let fields = flat
            .columns
            .iter()
            .zip(row)
            .map(|(column, cell)| (column.name.clone(), value(cell)));
        Value::Object(Map::from_iter(fields))
    };
    Value::Array(flat.rows.iter().map(object).collect())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Integer(value) => Value::from(*value),
        Cell::Number(value) => Value::from(*value),
        Cell::Estimate { value, .. } => Value::from(*value),
        Cell::Boolean(value) => Value::from(*value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Kind;
    use super::*;

    #[test]
    fn a_row_is_an_object_with_an_interval_beside_each_estimate() {
        let mut sheet = Sheet::new([("sex", Kind::Text), ("n", Kind::Estimate)]);
        sheet.push([
            "F".into(),
            Cell::Estimate {
                value: Some(2.5),
                low: Some(2.0),
                high: Some(f64::INFINITY),
            },
        ]);
        assert_eq!(
            rows(&sheet),
            serde_json::json!([{ "sex": "F", "n": 2.5, "n_low": 2.0, "n_high": null }])
        );
    }
}
