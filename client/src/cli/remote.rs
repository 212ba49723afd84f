//! What every command that talks to the coordinator takes: a profile, or an address and an identity.

use std::path::PathBuf;

use clap::Args;
use proto::identity::Identity;

use crate::output::{Format, Target};
use crate::profile::{self, Profile};
use crate::{Client, Exit, Problem};

#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "Connection")]
pub struct Remote {
    /// Profile file [default: $XDG_CONFIG_HOME/sottovoce/profile.toml]
    #[arg(long, env = "SOTTO_PROFILE")]
    pub profile: Option<PathBuf>,
    /// host:port of the coordinator, instead of the profile's
    #[arg(long, env = "SOTTO_COORDINATOR")]
    pub coordinator: Option<String>,
    /// Identity folder, instead of the profile's
    #[arg(long, env = "SOTTO_IDENTITY")]
    pub identity: Option<PathBuf>,
}

impl Remote {
    /// Address, identity and purpose: flags first, the profile for the rest.
    pub fn resolve(&self) -> Result<Profile, Problem> {
        if let (Some(coordinator), Some(identity)) = (&self.coordinator, &self.identity) {
            return Ok(Profile {
                coordinator: coordinator.clone(),
                identity: identity.clone(),
                purpose: None,
            });
        }
        let mut profile = Profile::load(&profile::locate(self.profile.as_deref())?)?;
        if let Some(coordinator) = &self.coordinator {
            profile.coordinator.clone_from(coordinator);
        }
        if let Some(identity) = &self.identity {
            profile.identity.clone_from(identity);
        }
        Ok(profile)
    }

    /// The connection; on the way it is said, on standard error, what became of this person's grants.
    pub async fn connect(&self) -> Result<(Client, Profile), Problem> {
        let profile = self.resolve()?;
        let mut client = Client::connect(&profile.coordinator, load_identity(&profile)?).await?;
        for note in crate::notices::news(&mut client, &profile.identity).await {
            eprintln!("note: {note}");
        }
        Ok((client, profile))
    }
}

pub fn load_identity(profile: &Profile) -> Result<Identity, Problem> {
    Identity::load(&profile.identity).map_err(|error| {
        Problem::new(
            Exit::Local,
            "SOTTO-7109",
            format!("identity {}: {error}", profile.identity.display()),
        )
        .remedy("`sotto enroll request --role analyst ..` makes one; `sotto doctor` checks it")
    })
}

/// Format and file of a command's answer.
#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "Output")]
pub struct Shown {
    /// Output format [default: by the file's ending, else table]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Output file; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Shown {
    /// `--json` is `--format json`; any other format beside it is a contradiction.
    pub fn target(&self, json: bool) -> Result<Target, Problem> {
        let format = match (json, self.format) {
            (true, Some(format)) if format != Format::Json => {
                return Err(Problem::usage("--json and --format name two formats").remedy("leave one of them away"));
            }
            (true, _) => Some(Format::Json),
            (false, format) => format,
        };
        if let (None, Some(file)) = (format, &self.output) {
            known_ending(file)?;
        }
        Ok(Target::new(format, self.output.clone()))
    }
}

/// An ending decides the format, so one that says nothing is a question and not a table.
fn known_ending(file: &std::path::Path) -> Result<(), Problem> {
    let known = ["csv", "json", "parquet", "arrow", "ipc", "feather", "txt"];
    match file.extension().and_then(|ending| ending.to_str()) {
        Some(ending) if !known.contains(&ending) => Err(Problem::usage(format!(
            "unknown ending `.{ending}` of {}",
            file.display()
        ))
        .remedy("csv, json, parquet, arrow or txt; or say --format")),
        _ => Ok(()),
    }
}
