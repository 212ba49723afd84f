//! `sotto policy`: policies in files, before anybody enforces them, and `publish`, which puts them in force. All but `publish` need no
//! connection and no profile; `check` and `test` are made for the pipeline of a steward's repository.

mod explain;
mod publish;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use policy::{Faults, Layer, Layers, Policies, Source};
use serde_json::{Value, json};

use crate::output::{Format, Kind, Sheet, Target};
use crate::{Exit, Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy check policies/                              every .cedar file of a folder, as one layer
  sotto policy test policies/tests.toml                     in CI: exit 1 if a case comes out otherwise
  sotto policy explain --policy local=policies/ --as ann --dataset heart --purpose research
  sotto policy publish --layer owner policies/             as a steward, for the agents of your organisation

Guide: docs/policies.md")]
pub struct PolicyCommand {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Whether files are policies that an agent would load, and which
    Check(Check),
    /// Ask policies the cases of a test file; exit 1 if one comes out otherwise
    Test(test::Test),
    /// Which policies decide a request, and how to be allowed
    Explain(Box<explain::Explain>),
    /// Sign a layer as its next version and put it in force
    Publish(publish::Publish),
    /// What a policy may speak of, as a Cedar schema
    Schema(Schema),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy check policies/
  sotto policy check consortium.cedar limits.cedar --json

All files are one layer: ids may not repeat. `sotto policy publish` puts a layer in force.")]
struct Check {
    /// Files, or folders of .cedar files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sotto policy schema > sottovoce.cedarschema         for an editor that knows Cedar"
)]
struct Schema {}

impl PolicyCommand {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Act::Check(check) => check.run(json),
            Act::Test(test) => test.run(json),
            Act::Explain(explain) => explain.run(json),
            Act::Publish(publish) => publish.run(json).await,
            Act::Schema(_) => {
                match json {
                    true => println!("{}", json!({ "schema": policy::SCHEMA })),
                    false => print!("{}", policy::SCHEMA),
                }
                Ok(())
            }
        }
    }
}

/// The text of files and folders, under the names that they were given by.
fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Problem> {
    let mut sources = Vec::new();
    for path in paths {
        let texts = proto::texts::read(path, "cedar").map_err(|(path, error)| Problem::unread(&path, &error))?;
        if texts.is_empty() {
            return Err(invalid(format!("{}: no file with the ending .cedar", path.display())));
        }
        sources.extend(texts.into_iter().map(|(path, text)| Source {
            name: path.display().to_string(),
            text,
        }));
    }
    Ok(sources)
}

fn invalid(message: String) -> Problem {
    Problem::new(Exit::Local, "SOTTO-7601", message)
        .remedy("put it right there; `sotto policy schema` says what a policy may speak of")
}

/// A layer to try out: whose it is and which version makes no difference to what it decides.
fn trial(layer: Layer, paths: &[PathBuf]) -> Result<Policies, Problem> {
    let bundle = policy::Bundle {
        layer,
        of: "trial".to_owned(),
        version: 0,
        sources: sources(paths)?,
    };
    Policies::check(bundle).map_err(|faults| invalid(faults.to_string()))
}

/// Puts each layer that has files into `layers`.
fn install(layers: &mut Layers, layer: Layer, paths: &[PathBuf]) -> Result<(), Problem> {
    let put = layers.install(trial(layer, paths)?);
    put.map(drop).map_err(|error| invalid(error.to_string()))
}

impl Check {
    fn run(self, json: bool) -> Result<(), Problem> {
        let policies = match Policies::local("trial", sources(&self.files)?) {
            Ok(policies) => policies,
            Err(faults) => {
                let problem = invalid(faults.to_string());
                if json {
                    let mut told = problem.to_json();
                    told["faults"] = listed(&faults);
                    println!("{told}");
                }
                return Err(problem.told(json));
            }
        };
        let denies_all = !policies.permits_something();
        if json {
            let listed: Vec<Value> = policies
                .ids()
                .map(|(id, effect, place)| {
                    json!({ "id": id, "effect": effect.to_string(), "file": place.source, "line": place.line })
                })
                .collect();
            println!("{}", json!({ "policies": listed, "permits_something": !denies_all }));
            return Ok(());
        }
        let mut sheet = Sheet::new(["policy", "effect", "at"].map(|name| (name, Kind::Text)));
        for (id, effect, place) in policies.ids() {
            let [effect, place] = [effect.to_string(), place.to_string()];
            sheet.push([id.into(), effect.as_str().into(), place.as_str().into()]);
        }
        Target::new(Some(Format::Table), None).write(&sheet)?;
        if denies_all {
            println!(
                "note: no permit, so this layer denies everything; to narrow other layers, permit all and forbid some"
            );
        }
        Ok(())
    }
}

fn listed(faults: &Faults) -> Value {
    let fault = |wrong: &policy::Wrong| json!({ "file": wrong.place.source, "line": wrong.place.line, "message": wrong.fault.to_string() });
    faults.iter().map(fault).collect()
}

/// Where a path in a file points to.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "@id(\"open\")\npermit (principal, action, resource);\n";

    pub(super) fn saved(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn check(files: &[(&str, &str)]) -> Result<(), Problem> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            saved(folder.path(), name, text);
        }
        let files = vec![folder.path().to_owned()];
        Check { files }.run(true)
    }

    #[test]
    fn good_policies_pass_and_a_faulty_line_is_named_with_exit_1() {
        check(&[("a.cedar", OPEN), ("readme.md", "nothing")]).unwrap();
        let twice = check(&[("a.cedar", OPEN), ("b.cedar", OPEN)]).unwrap_err();
        assert_eq!(
            (twice.exit as u8, twice.code.as_str(), twice.told),
            (1, "SOTTO-7601", true)
        );
        assert!(twice.message.contains("b.cedar:1: @id(\"open\") is taken"), "{twice}");
        let empty = check(&[("a.cedar", "")]).unwrap_err();
        assert!(empty.message.contains("a.cedar: no policy"), "{empty}");
        assert!(
            check(&[("readme.md", OPEN)])
                .unwrap_err()
                .message
                .contains("no file with the ending .cedar")
        );
        let missing = Check {
            files: vec!["none.cedar".into()],
        };
        assert_eq!(missing.run(false).unwrap_err().code, "SOTTO-7001");
    }

    #[test]
    fn the_shipped_policies_and_their_tests_pass() {
        let folder = Path::new("../deploy/policies");
        for layer in ["consortium", "owner", "local"] {
            let files = vec![folder.join(format!("{layer}.cedar"))];
            Check { files }.run(false).unwrap();
        }
        test::Test {
            files: vec![folder.join("tests.toml")],
        }
        .run(false)
        .unwrap();
    }
}
