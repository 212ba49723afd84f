//! `sotto model`: the registry. Versions of each name, what they cost and can do, and which one is in production.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::Standing;
use governance::model::Version;
use serde_json::{Value, json};

use super::question::purpose;
use super::remote::{Remote, Shown};
use crate::datasets::Catalogue;
use crate::output::{Cell, Kind, Sheet};
use crate::released::minute;
use crate::train::export::Format;
use crate::train::registry::{Detailed, Models, detailed, move_to};
use crate::train::settings::{self, Settings};
use crate::train::{self, compare, registry};
use crate::{Client, Problem};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  sotto model                                       every version of every name, and where it stands
  sotto model show heart.num@2                      settings, privacy, figures, parents
  sotto model diff heart.num@1 heart.num@2
  sotto model evaluate heart.num@2 --epsilon 1 --group sex
  sotto model promote heart.num@2                   candidate -> validated -> production
  sotto model rollback heart.num                    back to the version before it
  sotto model lineage heart.num                     where it came from, as OpenLineage events
  sotto model export heart.num -o heart.onnx        or .safetensors, .json

A model is named by NAME (the one in production), NAME@VERSION, its run, or the first digits of its hash.")]
pub struct Model {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Everything about one version
    Show(Show),
    /// What is different between two versions
    Diff(Diff),
    /// Pay for figures: one round, costs budget like a question
    Evaluate(Evaluate),
    /// Move a version on: a candidate with figures becomes validated, a validated one goes into production
    Promote(Promote),
    /// Take the version in production back; its name then stands for the one before it
    Rollback(Rollback),
    /// Where a version came from: OpenLineage run events, as JSON
    Lineage(super::lineage::OfModel),
    /// Write the model for other programs
    Export(Export),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model show heart.num@2 --json")]
struct Show {
    model: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model diff heart.num@1 heart.num@2")]
struct Diff {
    first: String,
    second: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model evaluate heart.num@2 --epsilon 1 --group sex")]
struct Evaluate {
    model: String,
    /// Epsilon of this evaluation
    #[arg(long)]
    epsilon: f64,
    /// Figures for each value of this column, and the gaps between them
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Purpose, one that the contract allows [default: the profile's]
    #[arg(long)]
    purpose: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model promote heart.num@2 --note \"AUC 0.88, agreed on Monday\"")]
struct Promote {
    model: String,
    /// Why; kept with the move
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model rollback heart.num --note \"worse on the new ward\"")]
struct Rollback {
    /// The name, or the version that is in production
    model: String,
    /// Why; kept with the move
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto model export heart.num@2 -o heart.onnx")]
struct Export {
    model: String,
    /// File to write; its ending says what: .onnx, .safetensors or .json
    #[arg(short = 'o', long, value_name = "FILE")]
    output: PathBuf,
    /// Format [default: by the file's ending]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    remote: Remote,
}

impl Model {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            None => {
                let (mut client, _) = self.remote.connect().await?;
                self.shown.target(json)?.write(&listed(&client.models().await?))
            }
            Some(Act::Lineage(lineage)) => lineage.run().await,
            Some(Act::Show(show)) => {
                let (mut client, _) = show.remote.connect().await?;
                let models = client.models().await?;
                let found = detailed(&mut client, models.find(&show.model)?).await?;
                let parents = parents(&mut client, &models, &found.version).await?;
                let contracts = client.catalogue().await?;
                match json {
                    true => {
                        let mut json = as_json(&found, &parents, &contracts);
                        json["revoked_grants"] = flags(&models, &found.version)
                            .map(
                                |(release, grant, owner)| json!({ "release": release, "grant": grant, "owner": owner }),
                            )
                            .collect();
                        println!("{json:#}");
                    }
                    false => {
                        print!("{}", words(&found, &parents, &contracts));
                        for (_, grant, owner) in flags(&models, &found.version) {
                            println!("WARNING: {}", crate::released::revoked_words(grant, owner));
                        }
                    }
                }
                Ok(())
            }
            Some(Act::Diff(diff)) => {
                let (mut client, _) = diff.remote.connect().await?;
                let models = client.models().await?;
                let first = detailed(&mut client, models.find(&diff.first)?).await?;
                let second = detailed(&mut client, models.find(&diff.second)?).await?;
                diff.shown.target(json)?.write(&compare::differences(&first, &second)?)
            }
            Some(Act::Evaluate(evaluate)) => evaluate.run(json).await,
            Some(Act::Promote(promote)) => {
                let (mut client, _) = promote.remote.connect().await?;
                let models = client.models().await?;
                let version = models.find(&promote.model)?;
                let to = match version.standing {
                    Standing::Candidate | Standing::RolledBack => Standing::Validated,
                    Standing::Validated | Standing::Production => Standing::Production,
                };
                let moved = move_to(&mut client, &models, version, to, &promote.note).await?;
                said(&moved, version, json)
            }
            Some(Act::Rollback(rollback)) => {
                let (mut client, _) = rollback.remote.connect().await?;
                let models = client.models().await?;
                let version = models.find(&rollback.model)?;
                let moved = move_to(&mut client, &models, version, Standing::RolledBack, &rollback.note).await?;
                said(&moved, version, json)
            }
            Some(Act::Export(export)) => {
                let named = Format::of(&export.output);
                let format = match export.format {
                    Some(format) if export.output.as_os_str() != "-" => format,
                    _ => named?,
                };
                let (mut client, _) = export.remote.connect().await?;
                let (version, trained) = registry::trained(&mut client, &export.model).await?;
                train::save(&trained, &export.output, format)?;
                match json {
                    true => println!("{}", json!({ "file": export.output, "model_hash": version.model })),
                    false => println!("{}", export.output.display()),
                }
                Ok(())
            }
        }
    }
}

impl Evaluate {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (mut client, profile) = self.remote.connect().await?;
        let (_, trained) = registry::trained(&mut client, &self.model).await?;
        let dataset = client.dataset(&trained.run.dataset).await?;
        let purpose = purpose(self.purpose, &profile, &dataset, &mut client).await?;
        let group = self.group.as_deref();
        let wanted = (self.epsilon, &*purpose, group);
        let evaluated = super::train::evaluate(&mut client, &dataset, &trained, wanted, None).await?;
        match json {
            true => println!("{:#}", evaluated.to_json()),
            false => println!("{}", evaluated.words()),
        }
        Ok(())
    }
}

/// The line of a version after it moved; and of the one that it displaced, if there is one.
fn said(after: &Models, moved: &Version, json: bool) -> Result<(), Problem> {
    let changed = |version: &&Version| version.name == moved.name;
    let versions: Vec<&Version> = after.versions.iter().filter(changed).collect();
    if json {
        println!(
            "{:#}",
            Value::from_iter(versions.iter().map(|version| version_json(version)))
        );
        return Ok(());
    }
    for version in versions {
        println!("{}@{}: {}", version.name, version.number, version.standing.spelling());
    }
    Ok(())
}

fn listed(models: &Models) -> Sheet {
    let mut sheet = Sheet::new([
        ("model", Kind::Text),
        ("name", Kind::Text),
        ("version", Kind::Integer),
        ("standing", Kind::Text),
        ("parent", Kind::Text),
        ("figures", Kind::Integer),
        ("released", Kind::Text),
    ]);
    for version in models.versions.iter().rev() {
        sheet.push([
            short(&version.model).into(),
            version.name.as_str().into(),
            Cell::Integer(i64::from(version.number)),
            version.standing.spelling().into(),
            version.parent.as_ref().map(short).unwrap_or_default().into(),
            Cell::Integer(version.figures.len() as i64),
            minute(version.released_at_ms).into(),
        ]);
    }
    sheet
}

/// Revoked grants that a version stands on: its own run's and figures', and those of the models that it was continued from.
fn flags<'a>(
    models: &'a Models,
    version: &'a Version,
) -> impl Iterator<Item = &'a (String, governance::ContentHash, String)> {
    let line = models.lineage(version);
    let stands = move |release: &String| {
        line.iter()
            .any(|version| version.release == *release || version.figures.contains(release))
    };
    models.revoked.iter().filter(move |(release, ..)| stands(release))
}

/// The ancestors, with what each of them cost.
async fn parents(client: &mut Client, models: &Models, version: &Version) -> Result<Vec<Detailed>, Problem> {
    let mut parents = Vec::new();
    for parent in models.lineage(version).into_iter().skip(1) {
        parents.push(detailed(client, parent).await?);
    }
    Ok(parents)
}

/// The version of the contract that a run was made under, as far as it is still offered.
fn contract_version<'a>(found: &Detailed, contracts: &'a Catalogue) -> Option<&'a str> {
    let under = contracts.under(&found.trained.released.request().contract)?;
    Some(&under.contract.version)
}

/// What was run: data, model and every setting, and the hashes that name plan and contract.
fn settings_of(found: &Detailed, contracts: &Catalogue) -> Settings {
    let (trained, task) = (&found.trained, &found.trained.task);
    let text = |name: &str, value: String| (name.to_owned(), value);
    let version = contract_version(found, contracts).map(|version| format!("version {version}, "));
    let version = version.unwrap_or_else(|| "a version that is not offered any more, ".to_owned());
    let contract = trained.released.request().contract;
    let made = vec![
        text("plan", trained.released.receipt().plan.to_string()),
        text("contract", format!("{version}{contract}")),
        text("target", settings::target(task)),
        text("features", task.features.join(", ")),
        text("model", settings::model(&task.model)),
        text("rounds", format!("{} of {}", trained.run.rounds, task.rounds)),
        text("held out from training", settings::held_out(task)),
    ];
    [made, settings::algorithm(task)].concat()
}

fn words(found: &Detailed, parents: &[Detailed], contracts: &Catalogue) -> String {
    let Detailed {
        version,
        trained,
        evaluations,
    } = found;
    let mut text = format!(
        "{}@{}: {}\n{}\n{}\n",
        version.name,
        version.number,
        version.standing.spelling(),
        trained.title(),
        trained.statement()
    );
    for (name, value) in settings_of(found, contracts) {
        text += &format!("\n  {name}: {value}");
    }
    text.push('\n');
    for evaluated in evaluations {
        text += &format!("\n{}\n", evaluated.words());
    }
    if evaluations.is_empty() {
        text += "\nno figures yet: `sotto model evaluate` pays for some\n";
    }
    for parent in parents {
        let cost = parent.trained.released.cost();
        let (name, number) = (&parent.version.name, parent.version.number);
        text += &format!(
            "\ncontinues from {name}@{number} ({}), {cost} of its own",
            short(&parent.version.model)
        );
    }
    for moved in &version.moves {
        text += &format!("\n{}  {}  {}", minute(moved.at_ms), moved.to.spelling(), moved.note);
    }
    text.trim_end().to_owned() + "\n"
}

fn as_json(found: &Detailed, parents: &[Detailed], contracts: &Catalogue) -> Value {
    let mut json = found.trained.to_json(None);
    json["settings"] = settings::as_json(&found.trained.task);
    json["plan"] = json!(found.trained.released.receipt().plan);
    json["contract"] = json!({
        "hash": found.trained.released.request().contract, "version": contract_version(found, contracts),
    });
    json["version"] = version_json(&found.version);
    json["evaluations"] = found.evaluations.iter().map(train::Evaluated::to_json).collect();
    let parent =
        |parent: &Detailed| json!({ "version": version_json(&parent.version), "privacy": parent.trained.run.privacy });
    json["parents"] = parents.iter().map(parent).collect();
    json
}

fn version_json(version: &Version) -> Value {
    let moved = |moved: &governance::model::Moved| json!({ "to": moved.to, "note": moved.note, "at_ms": moved.at_ms });
    json!({
        "name": version.name, "number": version.number, "model_hash": version.model, "parent": version.parent,
        "release": version.release, "figures": version.figures, "standing": version.standing,
        "released_at_ms": version.released_at_ms, "moves": version.moves.iter().map(moved).collect::<Vec<_>>(),
    })
}

/// The first digits of a hash: enough to name it.
fn short(hash: &governance::ContentHash) -> String {
    hash.to_string().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::report::tests::ran;

    #[test]
    fn a_version_shows_its_settings_its_plan_and_its_contract() {
        let trained = ran();
        let (plan, contract) = (trained.released.receipt().plan, trained.released.request().contract);
        let found = Detailed {
            version: Version {
                name: "heart.num".to_owned(),
                number: 2,
                model: trained.run.model_hash,
                parent: None,
                release: trained.released.id(),
                figures: Vec::new(),
                standing: Standing::Candidate,
                released_at_ms: 0,
                moves: Vec::new(),
            },
            trained,
            evaluations: Vec::new(),
        };
        let text = words(&found, &[], &Catalogue::default());
        for said in [
            &format!("\n  plan: {plan}\n"),
            &format!("not offered any more, {contract}\n"),
            "\n  algorithm: dp-sgd\n",
            "\n  learning rate of the server: ",
            "\n  schedule: constant\n",
            "\n  clip norm: 1\n",
            "\n  sampling rate: 1\n",
            "\n  features: age, sex, trestbps\n",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let json = as_json(&found, &[], &Catalogue::default());
        assert_eq!(json["plan"], plan.to_string());
        assert_eq!(json["contract"]["hash"], contract.to_string());
        assert_eq!(
            (&json["settings"]["algorithm"], &json["settings"]["start"]),
            (&"dp-sgd".into(), &Value::Null)
        );
    }
}
