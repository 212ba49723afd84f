//! `sotto dataset`: what can be asked about; `show` lists a contract's columns with the bounds that decide over accuracy,
//! `mock` makes a twin of nothing but the contract.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use governance::{Column, Contract, LogicalType, NullRule};
use serde_json::{Value, json};

use super::mock::Mock;
use super::remote::{Remote, Shown};
use crate::Problem;
use crate::datasets::{Catalogue, Dataset as Offered};
use crate::output::{Cell, Format, Kind, Sheet, plain};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto dataset                                  all that you may know of; the same: sotto dataset list
  sotto dataset show heart
  sotto dataset show heart@1.0.0                 one version of several
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
    /// Datasets that you may know of, and who serves them
    List(List),
    /// Columns, types, bounds and rules of one dataset
    Show(Show),
    /// Made-up rows from a contract alone, to develop against; spends nothing
    Mock(Mock),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto dataset list
  sotto dataset list -o datasets.csv")]
struct List {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto dataset show heart                  the version that the name means, and the others there are
  sotto dataset show heart@1.0.0 --json")]
struct Show {
    /// NAME: the version that most owners serve, of two the newer; NAME@VERSION: just that one
    name: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

impl Dataset {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        let Self { act, remote, shown } = self;
        match act {
            Some(Act::List(list)) => list.run(json).await,
            Some(Act::Show(show)) => show.run(json).await,
            Some(Act::Mock(mock)) => mock.run(json).await,
            None => List { remote, shown }.run(json).await,
        }
    }
}

impl List {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        self.shown.target(json)?.write(&listing(&client.catalogue().await?))
    }
}

impl Show {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, _) = self.remote.connect().await?;
        let catalogue = client.catalogue().await?;
        let dataset = catalogue.find(&self.name)?;
        let target = self.shown.target(json)?;
        let stopped = client.decided().await?.suspensions(dataset);
        if json {
            let mut told = as_json(&catalogue, dataset);
            told["suspended"] = stopped.iter().map(|stopped| stopped.words.as_str()).collect();
            let text = serde_json::to_string_pretty(&told).map_err(|e| Problem::local("json", e))?;
            return target.write_bytes(format!("{text}\n").as_bytes());
        }
        if target.format == Format::Table && target.file.is_none() {
            heading(&dataset.contract);
            println!("{}", standing(&catalogue, dataset));
            stopped
                .iter()
                .for_each(|stopped| println!("SUSPENDED: {}", stopped.words));
        }
        target.write(&columns(&dataset.contract))
    }
}

/// Every version that may be read, the newest of a name first; then what is listed only.
fn listing(catalogue: &Catalogue) -> Sheet {
    let mut sheet = Sheet::new([
        ("dataset", Kind::Text),
        ("version", Kind::Text),
        ("stage", Kind::Text),
        ("owners", Kind::Text),
        ("participants", Kind::Integer),
        ("online", Kind::Integer),
        ("unit", Kind::Text),
        ("purposes", Kind::Text),
        ("description", Kind::Text),
    ]);
    let names: BTreeSet<&str> = catalogue.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    for dataset in names.into_iter().flat_map(|name| catalogue.versions(name)) {
        sheet.push([
            dataset.name.as_str().into(),
            dataset.contract.version.as_str().into(),
            dataset.stage().into(),
            dataset.owners().join(", ").into(),
            (dataset.sites.len() as u32).into(),
            (dataset.serving().count() as u32).into(),
            dataset.contract.privacy_unit.as_deref().unwrap_or("row").into(),
            dataset.contract.purposes.join(", ").into(),
            dataset.contract.description.as_str().into(),
        ]);
    }
    for listed in &catalogue.listed {
        let unsaid = || Cell::Null;
        sheet.push([
            listed.name.as_str().into(),
            unsaid(),
            "listed only".into(),
            listed.owners.join(", ").into(),
            unsaid(),
            unsaid(),
            unsaid(),
            listed.purposes.join(", ").into(),
            unsaid(),
        ]);
    }
    sheet
}

/// Where a version stands and which others there are, in lines.
fn standing(catalogue: &Catalogue, dataset: &Offered) -> String {
    let mut text = format!("{}; owners: {}", dataset.stage(), dataset.owners().join(", "));
    if let Some(notice) = catalogue.notice(dataset) {
        text += &format!("\nnote: {notice}");
    }
    if let paused @ [_, ..] = dataset.paused().as_slice() {
        text += &format!("\nnote: {}", resting(paused));
    }
    for other in others(catalogue, dataset) {
        text += &format!(
            "\nalso {}: {}; owners: {}; questions for it under {}: {}",
            other.label(),
            other.stage(),
            other.owners().join(", "),
            dataset.contract.version,
            dataset.verdict_from(other)
        );
    }
    text
}

/// The reasons are their owners', who tell them to whoever asks.
pub(super) fn resting(paused: &[&str]) -> String {
    format!(
        "paused or suspended at {}: `sotto explain` shows what each owner says",
        paused.join(", ")
    )
}

fn others<'a>(catalogue: &'a Catalogue, dataset: &'a Offered) -> impl Iterator<Item = &'a Offered> {
    let hash = dataset.contract.hash();
    let versions = catalogue.versions(&dataset.name).into_iter();
    versions.filter(move |other| other.contract.hash() != hash)
}

fn as_json(catalogue: &Catalogue, dataset: &Offered) -> Value {
    let version = |dataset: &Offered| {
        json!({
            "version": dataset.contract.version, "contract": dataset.contract.hash(), "stage": dataset.stage(),
            "served_until_ms": dataset.served_until_ms(), "owners": dataset.owners(),
        })
    };
    let mut told = version(dataset);
    told["name"] = dataset.name.as_str().into();
    told["notice"] = catalogue.notice(dataset).into();
    told["paused"] = dataset.paused().into();
    told["others"] = others(catalogue, dataset)
        .map(|other| {
            let mut told = version(other);
            told["verdict"] = json!(dataset.verdict_from(other));
            told
        })
        .collect();
    let columns = crate::output::json_rows(&columns(&dataset.contract));
    told["columns"] = columns;
    told
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
