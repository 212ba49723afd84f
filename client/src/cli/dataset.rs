//! `sotto dataset`: what can be asked about; `show` lists a contract's columns with the bounds that decide over accuracy,
//! `mock` makes a twin of nothing but the contract.

use clap::{Args, Subcommand};
use governance::{Column, Contract, LogicalType, NullRule};

use super::mock::Mock;
use super::remote::{Remote, Shown};
use crate::Problem;
use crate::output::{Cell, Kind, Sheet, plain};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto dataset
  sotto dataset show heart
  sotto dataset mock heart -o heart.csv          made-up rows to develop against")]
pub struct Dataset {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Columns, types, bounds and rules of one dataset
    Show(Show),
    /// Made-up rows from a contract alone, to develop against; spends nothing
    Mock(Mock),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto dataset show heart --format json")]
struct Show {
    name: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Dataset {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Some(Act::Show(show)) => show.run(json).await,
            Some(Act::Mock(mock)) => mock.run(json).await,
            None => self.list(json).await,
        }
    }

    async fn list(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let mut sheet = Sheet::new([
            ("dataset", Kind::Text),
            ("version", Kind::Text),
            ("participants", Kind::Integer),
            ("online", Kind::Integer),
            ("unit", Kind::Text),
            ("purposes", Kind::Text),
            ("description", Kind::Text),
        ]);
        for dataset in client.datasets().await? {
            let online = dataset.sites.iter().filter(|site| site.online && !site.paused).count();
            sheet.push([
                dataset.name.into(),
                dataset.contract.version.as_str().into(),
                (dataset.sites.len() as u32).into(),
                (online as u32).into(),
                dataset.contract.privacy_unit.as_deref().unwrap_or("row").into(),
                dataset.contract.purposes.join(", ").into(),
                dataset.contract.description.as_str().into(),
            ]);
        }
        self.shown.target(json)?.write(&sheet)
    }
}

impl Show {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let dataset = client.dataset(&self.name).await?;
        let target = self.shown.target(json)?;
        if target.format == crate::output::Format::Table && target.file.is_none() {
            heading(&dataset.contract);
        }
        target.write(&columns(&dataset.contract))
    }
}

pub(super) fn heading(contract: &Contract) {
    let unit = contract.privacy_unit.as_deref().unwrap_or("row");
    let bounds = &contract.contribution;
    let description = proto::printable(contract.description.clone());
    println!("{} {}: {description}", contract.name, contract.version);
    println!(
        "privacy unit: {unit}; at most {} rows of a unit count, in {} groups",
        bounds.max_rows, bounds.max_groups
    );
    println!(
        "purposes: {}; delta {:e}; at most {} rows a participant",
        contract.purposes.join(", "),
        contract.delta.get(),
        contract.max_rows
    );
    println!("contract {}", contract.hash());
}

pub(super) fn columns(contract: &Contract) -> Sheet {
    let mut sheet = Sheet::new([
        ("column", Kind::Text),
        ("type", Kind::Text),
        ("values", Kind::Text),
        ("unit", Kind::Text),
        ("missing", Kind::Text),
        ("can be asked", Kind::Text),
        ("description", Kind::Text),
    ]);
    for column in &contract.columns {
        sheet.push([
            column.name.as_str().into(),
            type_name(column.logical_type).into(),
            values(column).into(),
            column.unit.clone().into(),
            missing(column).into(),
            asked(column).into(),
            Cell::from(column.description.as_str()),
        ]);
    }
    sheet
}

fn type_name(logical: LogicalType) -> &'static str {
    match logical {
        LogicalType::Integer => "integer",
        LogicalType::Number => "number",
        LogicalType::String => "string",
        LogicalType::Boolean => "boolean",
        LogicalType::Date => "date",
    }
}

fn values(column: &Column) -> Option<String> {
    match (&column.bounds, column.categories.is_empty()) {
        (Some(bounds), _) => Some(format!("{} to {}", plain(bounds.min.get()), plain(bounds.max.get()))),
        (None, false) => Some(column.categories.join(" | ")),
        (None, true) => None,
    }
}

fn missing(column: &Column) -> &'static str {
    match (column.nullable, &column.null_rule) {
        (false, _) => "never",
        (true, NullRule::Ignore) => "ignored",
        (true, NullRule::Impute(_)) => "imputed",
    }
}

fn asked(column: &Column) -> &'static str {
    match (column.queryable, column.site_identifying) {
        (false, _) => "no",
        (true, true) => "not its sites",
        (true, false) => "yes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_the_demo_contract_are_shown_with_bounds_and_categories() {
        let contract = Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap();
        let sheet = columns(&contract);
        assert_eq!(sheet.rows.len(), contract.columns.len());
        let age = sheet.rows.iter().find(|row| row[0] == Cell::from("age")).unwrap();
        assert_eq!(age[2], Cell::from("20 to 90"));
    }
}
