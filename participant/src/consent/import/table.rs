//! Consents as a table, CSV or Parquet: columns `unit` and `purposes`, and `from`, `until`, `status` and `decided` where they are needed.
//!
//! `purposes` is a list, or text divided by `;`. `status` is `given` (also where it is left out) or `withdrawn`, whose other columns
//! are empty or not read. `decided` is when the unit decided, and counts against a withdrawal that is on record. One row is one unit. A CSV line is one record, as in data files, so a row's number is its line.

use super::super::instant::Instant;
use super::super::register::{Choice, Window};
use super::super::terms::{People, Terms};
use super::{Decision, Fault, ImportError, Place};
use crate::data::Table;
use polars::prelude::*;
use std::path::Path;
use workload::query::whole_id;

const COLUMNS: [&str; 6] = ["unit", "purposes", "from", "until", "status", "decided"];

pub(super) fn read(path: &Path, terms: &Terms, people: &People) -> Result<Vec<Decision>, ImportError> {
    let refuse = |reason: String| ImportError::File {
        path: path.to_owned(),
        reason,
    };
    let Table { frame, first_line } = Table::read(path).map_err(|error| refuse(error.to_string()))?;
    if let Some(other) = frame
        .get_column_names()
        .iter()
        .find(|name| !COLUMNS.contains(&name.as_str()))
    {
        let other: String = other.chars().take(60).collect();
        return Err(refuse(format!(
            "unknown column `{other}`: expected {}",
            COLUMNS.join(", ")
        )));
    }
    for needed in ["unit", "purposes"] {
        if frame.column(needed).is_err() {
            return Err(refuse(format!(
                "column `{needed}` is missing: expected {}",
                COLUMNS.join(", ")
            )));
        }
    }
    let column = |name: &str| frame.column(name).ok();
    let mismatch = |name: &str| {
        refuse(format!(
            "column `{name}` is of a type that is not read: write it as text"
        ))
    };
    let texts = |name: &str| match column(name) {
        None => Ok(vec![None; frame.height()]),
        Some(column) => texts(column).map_err(|_| mismatch(name)),
    };
    let instants = |name: &'static str| match column(name) {
        None => Ok(vec![Ok(None); frame.height()]),
        Some(column) => instants(name, column).map_err(|_| mismatch(name)),
    };
    let (units, statuses) = (texts("unit")?, texts("status")?);
    let (from, until, decided) = (instants("from")?, instants("until")?, instants("decided")?);
    let purposes = match column("purposes") {
        Some(column) => lists(column).map_err(|_| mismatch("purposes"))?,
        None => Vec::new(),
    };
    let rows = units
        .into_iter()
        .zip(purposes)
        .zip(from.into_iter().zip(until))
        .zip(statuses.into_iter().zip(decided));
    let mut decisions = Vec::with_capacity(frame.height());
    for (i, (((unit, purposes), (from, until)), (status, decided))) in (0u64..).zip(rows) {
        let at = match first_line {
            Some(line) => Place::Line(line + i),
            None => Place::Row(i + 1),
        };
        let decide = || {
            let unit = unit.ok_or(Fault::NoUnit)?;
            let choice = match status.as_deref().map(str::trim) {
                None | Some("" | "given") => {
                    let window = Window {
                        from_ms: from?.map_or(0, Instant::from_ms),
                        until_ms: until?.map_or(u64::MAX, Instant::until_ms),
                    };
                    let purposes = purposes.iter().map(String::as_str).filter(|p| !p.trim().is_empty());
                    terms.given(people, purposes, window)?
                }
                Some("withdrawn") => Choice::Withdrawn,
                Some(found) => {
                    return Err(Fault::Status {
                        found: found.chars().take(60).collect(),
                        expected: "given or withdrawn",
                    });
                }
            };
            Ok(Decision {
                at,
                unit,
                choice,
                decided: decided?,
            })
        };
        decisions.push(decide().map_err(|fault| ImportError::At {
            path: path.to_owned(),
            at,
            fault,
        })?);
    }
    Ok(decisions)
}

/// Cells as text; an empty one is none. Whole floats are spelled as the integers that they are.
fn texts(column: &Column) -> PolarsResult<Vec<Option<String>>> {
    if column.dtype().is_float() {
        let numbers = column.cast(&DataType::Float64)?;
        let spelled = |x: f64| whole_id(x).map_or(x.to_string(), |id| id.to_string());
        return Ok(numbers.f64()?.iter().map(|x| x.map(spelled)).collect());
    }
    let texts = column.cast(&DataType::String)?;
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(texts.str()?.iter().map(|text| text.and_then(filled)).collect())
}

type Cell = Result<Option<Instant>, Fault>;

fn instants(name: &'static str, column: &Column) -> PolarsResult<Vec<Cell>> {
    Ok(match column.dtype() {
        DataType::Date => {
            let days = column.cast(&DataType::Int32)?;
            days.i32()?.iter().map(|day| Ok(day.map(Instant::Day))).collect()
        }
        DataType::Datetime(..) => {
            let ms = column
                .cast(&DataType::Datetime(TimeUnit::Milliseconds, None))?
                .cast(&DataType::Int64)?;
            ms.i64()?.iter().map(|ms| Ok(ms.map(Instant::Milliseconds))).collect()
        }
        _ => {
            let parse = |text: String| Instant::parse(&text).ok_or(Fault::Date { column: name });
            texts(column)?
                .into_iter()
                .map(|text| text.map(parse).transpose())
                .collect()
        }
    })
}

fn lists(column: &Column) -> PolarsResult<Vec<Vec<String>>> {
    if !matches!(column.dtype(), DataType::List(_)) {
        let divided = |text: Option<String>| text.map_or(Vec::new(), |t| t.split(';').map(str::to_owned).collect());
        return Ok(texts(column)?.into_iter().map(divided).collect());
    }
    let lists = column.list()?;
    (0..lists.len())
        .map(|i| match lists.get_as_series(i) {
            None => Ok(Vec::new()),
            Some(list) => Ok(texts(&list.into_column())?.into_iter().flatten().collect()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::consent::purposes::Purposes;
    use crate::consent::terms::BadChoice;
    use governance::LogicalType;
    use std::collections::BTreeMap;

    fn terms() -> (Terms, People) {
        let people = People {
            unit: LogicalType::Integer,
            purposes: ["research", "care"].map(String::from).into(),
        };
        let terms = Terms {
            populations: BTreeMap::new(),
            datasets: BTreeMap::new(),
            mapping: [("HRESCH".to_owned(), "research".to_owned())].into(),
            permit_means: Default::default(),
            permit_categories: Default::default(),
            publish_every_ms: 1,
            subsumed: Purposes::default(),
        };
        (terms, people)
    }

    fn of_file(name: &str, content: &[u8]) -> Result<Vec<Decision>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let (terms, people) = terms();
        read(&path, &terms, &people)
    }

    fn given(purposes: &[&str], from: &str, until: &str) -> Choice {
        Choice::Given {
            purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
            window: Window {
                from_ms: Instant::parse(from).map_or(0, Instant::from_ms),
                until_ms: Instant::parse(until).map_or(u64::MAX, Instant::until_ms),
            },
        }
    }

    #[test]
    fn a_csv_says_who_consents_to_what_and_until_when() {
        let text = "unit,purposes,from,until,status\n1,research;care,2024-01-01,2025-12-31,given\n2,HRESCH,,,\n\"3\",,,,withdrawn\n";
        let decisions = of_file("c.csv", text.as_bytes()).unwrap();
        let expected = [
            ("1", given(&["research", "care"], "2024-01-01", "2025-12-31")),
            ("2", given(&["research"], "", "")),
            ("3", Choice::Withdrawn),
        ];
        for ((decision, (unit, choice)), line) in decisions.iter().zip(&expected).zip(2..) {
            assert_eq!(
                (decision.unit.as_str(), &decision.choice, decision.at),
                (*unit, choice, Place::Line(line))
            );
        }
        assert_eq!(decisions.len(), 3);
        let short = of_file("c.csv", b"\n\npurposes,unit\ncare,7\n").unwrap();
        assert_eq!(
            (short[0].at, &short[0].choice),
            (Place::Line(4), &given(&["care"], "", ""))
        );
    }

    #[test]
    fn a_parquet_file_says_the_same_in_its_own_types() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.parquet");
        let days = |days: [Option<i32>; 2]| Series::new("x".into(), days).cast(&DataType::Date).unwrap();
        let lists = [
            Series::new("".into(), ["research", "care"]),
            Series::new("".into(), ["HRESCH"]),
        ];
        let mut frame = DataFrame::new(
            2,
            vec![
                Series::new("unit".into(), [1i64, 2]).into_column(),
                Series::new("purposes".into(), lists).into_column(),
                days([Some(19_723), None]).with_name("from".into()).into_column(),
                days([None, Some(19_723)]).with_name("until".into()).into_column(),
            ],
        )
        .unwrap();
        ParquetWriter::new(std::fs::File::create(&path).unwrap())
            .finish(&mut frame)
            .unwrap();
        let (terms, people) = terms();
        let decisions = read(&path, &terms, &people).unwrap();
        let choices: Vec<(&str, Choice)> = decisions.iter().map(|d| (d.unit.as_str(), d.choice.clone())).collect();
        let first = given(&["research", "care"], "2024-01-01", "");
        assert_eq!(choices, [("1", first), ("2", given(&["research"], "", "2024-01-01"))]);
        assert_eq!(decisions[1].at, Place::Row(2));
    }

    #[test]
    fn whatever_is_wrong_is_refused_with_its_line() {
        let head = "unit,purposes,from,until,status\n1,care,,,\n";
        let fault = |line: &str| match of_file("c.csv", format!("{head}{line}\n2,care,,,\n").as_bytes()) {
            Err(ImportError::At { at, fault, .. }) => {
                assert_eq!(at, Place::Line(3), "{line}");
                fault
            }
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(fault(",care,,,"), Fault::NoUnit);
        assert_eq!(fault("7,care,01.02.2024,,"), Fault::Date { column: "from" });
        assert_eq!(fault("7,care,,2024-02-30,"), Fault::Date { column: "until" });
        assert_eq!(fault("7,care,2024-02-02,2024-02-01,"), Fault::Choice(BadChoice::Window));
        assert_eq!(fault("7,;,,,"), Fault::Choice(BadChoice::NoPurpose));
        assert!(
            matches!(fault("7,care;marketing,,,"), Fault::Choice(BadChoice::Purpose { found, .. }) if found == "marketing")
        );
        assert!(matches!(fault("7,care,,,maybe"), Fault::Status { found, .. } if found == "maybe"));

        for (name, content) in [
            ("c.csv", "unit,purposes\n1,care\n2,\"care\n"),
            ("c.csv", "unit,purposes\n1,care,x\n"),
            ("c.csv", "person,purposes\n1,care\n"),
            ("c.csv", "unit,status\n1,given\n"),
            ("c.csv", "unit,purposes,until_day\n1,care,2024-01-01\n"),
            ("c.parquet", "no parquet"),
            ("c.txt", "unit,purposes\n1,care\n"),
        ] {
            let error = of_file(name, content.as_bytes()).unwrap_err();
            assert!(error.to_string().ends_with("nothing was imported"), "{error}");
        }
    }
}
