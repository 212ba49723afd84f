//! `sotto policy publish`: a layer's next version as a signed act, checked before it is signed. Agents hold it to be in force when
//! their stream brings it. Names of folders stay here: the bundle carries the files' own names.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use governance::What;
use governance::act::Layer as Published;
use policy::{Bundle, Layer, Policies, Source};
use serde_json::json;

use super::{invalid, sources};
use crate::Problem;
use crate::cli::remote::Remote;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto policy publish --layer owner policies/                        as a steward, for the agents of your organisation
  sotto policy publish --layer consortium --governance ./consortium consortium.cedar

The version is one more than the one in force, which this replaces as a whole. The local layer is not published: the agent's
configuration names its files.")]
pub(super) struct Publish {
    /// Files, or folders of .cedar files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[arg(long)]
    layer: Whose,
    /// Folder of `sotto init`: sign with the governance key
    #[arg(long, value_name = "FOLDER", required_if_eq("layer", "consortium"))]
    governance: Option<PathBuf>,
    /// Why; it is kept with the act
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    Consortium,
    Owner,
}

impl Publish {
    pub(super) async fn run(self, json: bool) -> Result<(), Problem> {
        let sources = sources(&self.files)?;
        let (mut client, _) = self.remote.connect().await?;
        let member = &client.identity().member;
        let (layer, published, of) = match self.layer {
            Whose::Consortium => (
                Layer::Consortium,
                Published::Consortium,
                client.identity().roster.consortium.clone(),
            ),
            Whose::Owner => {
                let owner = member.organisation.clone();
                (Layer::Owner, Published::Owner(owner.clone()), owner)
            }
        };
        let current = client
            .decided()
            .await?
            .register
            .policy(&published)
            .map(|now| now.version);
        let version = current.unwrap_or(0) + 1;
        let bundle = Bundle {
            layer,
            of: of.clone(),
            version,
            sources,
        };
        // First under the names that were given, so that a fault is found where it stands.
        Policies::check(bundle.clone()).map_err(|faults| invalid(faults.to_string()))?;
        let bundle = Bundle {
            sources: bundle.sources.into_iter().map(of_its_own_name).collect(),
            ..bundle
        };
        let what = What::PolicyPublished {
            layer: published,
            version,
            bundle: bundle.published().map_err(|error| invalid(error.to_string()))?,
        };
        let act = match &self.governance {
            Some(folder) => client.decide_as_governance(folder, what, &self.note).await?,
            None => client.decide(what, &self.note).await?,
        };
        match json {
            true => println!(
                "{}",
                json!({ "act": act, "layer": layer, "of": of, "version": version, "hash": bundle.hash() })
            ),
            false => println!("version {version} of the {layer} layer of `{of}` is published"),
        }
        Ok(())
    }
}

fn of_its_own_name(source: Source) -> Source {
    let name = Path::new(&source.name)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Source {
        name: name.unwrap_or(source.name),
        text: source.text,
    }
}
