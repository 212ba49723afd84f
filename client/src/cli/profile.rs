//! `sotto profile`: bare, it shows where the profile lies and what it says; with values, it writes it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::Problem;
use crate::profile::{self, Profile as Stored};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto profile --coordinator hub.example.org:7443 --identity ~/.config/sottovoce/ann \\
      --purpose research
  sotto profile                                   shows it")]
pub struct Profile {
    /// Profile file
    #[arg(long, env = "SOTTO_PROFILE")]
    profile: Option<PathBuf>,
    /// host:port of the coordinator
    #[arg(long, requires = "identity")]
    coordinator: Option<String>,
    /// Folder of your identity
    #[arg(long, requires = "coordinator")]
    identity: Option<PathBuf>,
    /// Purpose of questions that name none
    #[arg(long, requires = "coordinator")]
    purpose: Option<String>,
    /// Replace an existing profile
    #[arg(long, requires = "coordinator")]
    force: bool,
}

impl Profile {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        let path = profile::locate(self.profile.as_deref())?;
        if let (Some(coordinator), Some(identity)) = (self.coordinator, self.identity) {
            let identity = std::path::absolute(&identity).map_err(|e| Problem::local(identity.display(), e))?;
            let stored = Stored {
                coordinator,
                identity,
                purpose: self.purpose,
            };
            stored.save(&path, self.force)?;
            match json {
                true => println!("{}", json!({ "profile": path })),
                false => println!("Wrote {}. `sotto doctor` checks it.", path.display()),
            }
            return Ok(());
        }
        show(&path, json)
    }
}

fn show(path: &Path, json: bool) -> Result<(), Problem> {
    let stored = Stored::load(path)?;
    if json {
        let (coordinator, identity, purpose) = (stored.coordinator, stored.identity, stored.purpose);
        let profile = json!({ "profile": path, "coordinator": coordinator, "identity": identity, "purpose": purpose });
        println!("{profile}");
        return Ok(());
    }
    println!("profile      {}", path.display());
    println!("coordinator  {}", stored.coordinator);
    println!("identity     {}", stored.identity.display());
    println!(
        "purpose      {}",
        stored.purpose.as_deref().unwrap_or("(none: give --purpose)")
    );
    Ok(())
}
