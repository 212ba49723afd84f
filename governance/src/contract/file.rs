//! The TOML file of a contract, read into terms. Every error names the line and what to write instead.

use super::check::{self, Part};
use super::visibility::{self, CustomProperty};
use super::{Bounds, Column, ContractError, Contribution, LogicalType, NullRule, Scalar, Terms};
use crate::canonical::Real;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    name: Spanned<String>,
    version: String,
    #[serde(default)]
    description: String,
    purposes: Spanned<Vec<String>>,
    privacy: Spanned<Privacy>,
    schema: Schema,
    #[serde(default)]
    custom_properties: Vec<Spanned<CustomProperty>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Privacy {
    #[serde(default)]
    unit: Option<String>,
    max_rows: u64,
    delta: f64,
    #[serde(default)]
    contribution: ContributionFile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContributionFile {
    rows: Option<u32>,
    groups: Option<u32>,
    rows_per_group: Option<u32>,
    participants: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    #[serde(default)]
    properties: Vec<Spanned<Property>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Property {
    name: String,
    logical_type: LogicalType,
    #[serde(default)]
    description: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    logical_type_options: Options,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    nulls: Option<Nulls>,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    classification: Option<String>,
    #[serde(default = "yes")]
    queryable: bool,
    #[serde(default)]
    identifies_site: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    minimum: Option<toml::Value>,
    maximum: Option<toml::Value>,
    multiple_of: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Nulls {
    Ignore,
    Impute(toml::Value),
}

fn yes() -> bool {
    true
}

pub(super) fn parse(text: &str) -> Result<Terms, ContractError> {
    let at = |offset: usize, message: String| ContractError {
        line: line_of(text, offset),
        message,
    };
    let file: File = toml::from_str(text).map_err(|e| at(e.span().map_or(0, |s| s.start), e.message().to_string()))?;
    if file.kind.as_deref().is_some_and(|k| k != "DataContract") {
        return Err(at(0, "kind: expected \"DataContract\"".into()));
    }
    if file.api_version.as_deref().is_some_and(|v| !v.starts_with("v3.")) {
        return Err(at(0, "apiVersion: expected \"v3.1.0\"".into()));
    }
    let mut columns = Vec::new();
    for property in &file.schema.properties {
        let p = property.get_ref();
        let column =
            column(p).map_err(|message| at(property.span().start, format!("column `{}`: {message}", p.name)))?;
        columns.push(column);
    }
    let privacy = file.privacy.get_ref();
    let c = &privacy.contribution;
    let rows = c.rows.unwrap_or(1);
    let terms = Terms {
        name: file.name.get_ref().clone(),
        version: file.version,
        description: file.description,
        columns,
        privacy_unit: privacy.unit.clone(),
        contribution: Contribution {
            max_rows: rows,
            max_groups: c.groups.unwrap_or(rows),
            rows_per_group: c.rows_per_group.unwrap_or(rows),
            participants: c.participants.unwrap_or(1),
        },
        max_rows: privacy.max_rows,
        purposes: file.purposes.get_ref().clone(),
        delta: Real::new(privacy.delta)
            .ok_or_else(|| at(file.privacy.span().start, "delta is not a finite number".into()))?,
        visibility: visibility::of(&file.custom_properties).map_err(|(offset, message)| at(offset, message))?,
    };
    check::check(&terms).map_err(|fault| {
        let offset = match fault.part {
            Part::Whole => 0,
            Part::Name => file.name.span().start,
            Part::Privacy => file.privacy.span().start,
            Part::Purposes => file.purposes.span().start,
            Part::Column(i) => file.schema.properties[i].span().start,
        };
        at(offset, fault.message)
    })?;
    Ok(terms)
}

fn column(p: &Property) -> Result<Column, String> {
    let o = &p.logical_type_options;
    let bounds = match (&o.minimum, &o.maximum) {
        (None, None) => None,
        (Some(low), Some(high)) => Some(Bounds {
            min: number(low, p.logical_type)?,
            max: number(high, p.logical_type)?,
        }),
        _ => return Err("minimum and maximum come together: give both or neither".into()),
    };
    let resolution = match &o.multiple_of {
        Some(step) => Some(number(step, LogicalType::Number)?),
        None => None,
    };
    let null_rule = match &p.nulls {
        None | Some(Nulls::Ignore) => NullRule::Ignore,
        Some(Nulls::Impute(value)) => NullRule::Impute(scalar(value, p.logical_type)?),
    };
    Ok(Column {
        name: p.name.clone(),
        description: p.description.clone(),
        logical_type: p.logical_type,
        bounds,
        resolution,
        categories: p.categories.clone(),
        nullable: !p.required,
        null_rule,
        unit: p.unit.clone(),
        classification: p.classification.clone(),
        queryable: p.queryable,
        site_identifying: p.identifies_site,
    })
}

fn scalar(value: &toml::Value, kind: LogicalType) -> Result<Scalar, String> {
    match (value, kind) {
        (toml::Value::String(text), LogicalType::String) => Ok(Scalar::Text(text.clone())),
        (toml::Value::Boolean(b), LogicalType::Boolean) => Ok(Scalar::Boolean(*b)),
        (_, LogicalType::Date) => Ok(Scalar::Date(number(value, kind)?.get() as i32)),
        (_, LogicalType::Integer | LogicalType::Number) => Ok(Scalar::Number(number(value, kind)?)),
        _ => Err("imputed constant is not of the column's type".into()),
    }
}

/// A number as written; a date, as a TOML date or a string, becomes days since 1970-01-01.
fn number(value: &toml::Value, kind: LogicalType) -> Result<Real, String> {
    let found = match (value, kind) {
        (toml::Value::Integer(i), LogicalType::Integer | LogicalType::Number) => Some(*i as f64),
        (toml::Value::Float(x), LogicalType::Integer | LogicalType::Number) => Some(*x),
        (toml::Value::Datetime(d), LogicalType::Date) => days(&d.to_string()),
        (toml::Value::String(text), LogicalType::Date) => days(text),
        _ => None,
    };
    found.and_then(Real::new).ok_or_else(|| {
        let expected = match kind {
            LogicalType::Date => "a date such as 2020-01-31",
            LogicalType::Integer | LogicalType::Number => "a finite number",
            LogicalType::String | LogicalType::Boolean => "no bounds for this type",
        };
        format!("malformed value {value}: expected {expected}")
    })
}

fn days(text: &str) -> Option<f64> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    Some(f64::from(date.to_julian_day() - EPOCH_JULIAN_DAY))
}

/// The inverse, `2024-02-29`; days beyond the calendar stay a number.
pub fn spell_date(days: i32) -> String {
    let julian = days.checked_add(EPOCH_JULIAN_DAY);
    let date = julian.and_then(|day| time::Date::from_julian_day(day).ok());
    date.map_or_else(|| format!("day {days}"), |date| date.to_string())
}

/// 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        + 1
}
