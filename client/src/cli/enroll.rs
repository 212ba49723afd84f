//! `sotto init` and `sotto enroll`: the file exchange of [`crate::enroll`] with its fingerprints printed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use proto::identity::Role;

use crate::Problem;
use crate::enroll;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto init ./consortium --name four-hospitals
  sotto init ./consortium --name four-hospitals --colluders 2 --min-cohort 5
  sotto init ./consortium --name four-hospitals --ca ca.pem --ca-key ca.key     an authority that you have already

The folder is the governance holder's: keep it off the coordinator's machine, and keep a copy of it.")]
pub struct Init {
    /// Folder to make
    folder: PathBuf,
    /// Name of the consortium
    #[arg(long)]
    name: String,
    /// Agents that may collude with the coordinator and still learn nothing but sums
    #[arg(long, default_value_t = 1)]
    colluders: u32,
    /// The fewest participants over which a sum may be released [default: colluders + 2]
    #[arg(long)]
    min_cohort: Option<u32>,
    /// Certificate of an existing authority, in PEM
    #[arg(long, requires = "ca_key")]
    ca: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, requires = "ca")]
    ca_key: Option<PathBuf>,
}

impl Init {
    pub fn run(self) -> Result<(), Problem> {
        let founding = enroll::Founding {
            consortium: self.name,
            colluders: self.colluders,
            min_cohort: self.min_cohort.unwrap_or(self.colluders.saturating_add(2)),
            authority: self
                .ca
                .zip(self.ca_key)
                .map(|(certificate, key)| enroll::Existing { certificate, key }),
        };
        let governance = enroll::init(&self.folder, &founding)?;
        println!(
            "Made the consortium `{}` in {}.",
            founding.consortium,
            self.folder.display()
        );
        println!("Governance key: {governance}");
        println!(
            "Tell it to every member by a channel of its own; they pin it with `sotto enroll install --governance`."
        );
        println!("Next: each member runs `sotto enroll request`, you run `sotto enroll approve`.");
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  sotto enroll request --role agent --name cleveland --organisation \"Cleveland Clinic\" --dir ./identity
  sotto enroll approve cleveland.request.json hub.request.json --consortium ./consortium
  sotto enroll install approval.json --dir ./identity")]
pub enum Enroll {
    /// Make keys here and a request that may travel
    Request(Request),
    /// At the governance key: grant requests, sign the next roster
    Approve(Approve),
    /// Check an approval against the keys here and install it
    Install(Install),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Agent,
    Analyst,
    Coordinator,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sotto enroll request --role analyst --name ann --organisation \"Institute of Cardiology\" --dir ~/.config/sottovoce/ann

The keys stay in --dir (mode 0600) and are never overwritten. Send the request file; read its fingerprint to the
governance holder by telephone.")]
pub struct Request {
    #[arg(long)]
    role: RoleName,
    /// Short name: lower-case letters, digits, hyphens
    #[arg(long)]
    name: String,
    /// The organisation's full name
    #[arg(long)]
    organisation: String,
    /// Folder for the keys
    #[arg(long)]
    dir: PathBuf,
    /// Where the request goes [default: DIR/request.json]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll approve *.request.json --consortium ./consortium        found the consortium in one step
  sotto enroll approve ann.request.json --consortium ./consortium -o ann.approval.json

The consortium's roster.json is signed again with each approval. Give the new one to the coordinator; agents receive it
over their stream and check the signature themselves.")]
pub struct Approve {
    /// Requests to grant
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// Folder that `sotto init` made
    #[arg(long)]
    consortium: PathBuf,
    /// Where the approval goes, for a single request [default: beside the request]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Give a member new keys; the old ones stop working
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll install approval.json --dir ./identity --governance 5f0c..
  sotto enroll install approval.json --dir ./identity --roster roster.json     approved before the roster was complete")]
pub struct Install {
    approval: PathBuf,
    /// Folder that made the request
    #[arg(long)]
    dir: PathBuf,
    /// The governance key as you know it from another channel
    #[arg(long)]
    governance: Option<String>,
    /// A newer roster than the approval carries
    #[arg(long)]
    roster: Option<PathBuf>,
}

impl Enroll {
    pub fn run(self) -> Result<(), Problem> {
        match self {
            Self::Request(request) => request.run(),
            Self::Approve(approve) => approve.run(),
            Self::Install(install) => install.run(),
        }
    }
}

impl Request {
    fn run(self) -> Result<(), Problem> {
        let role = match self.role {
            RoleName::Agent => Role::Agent,
            RoleName::Analyst => Role::Analyst,
            RoleName::Coordinator => Role::Coordinator,
        };
        let made = enroll::request(role, &self.name, &self.organisation, &self.dir, self.output.as_deref())?;
        println!("Keys are in {} and stay there.", self.dir.display());
        println!("Send {} to the governance holder.", made.file.display());
        println!("Fingerprint: {}", made.fingerprint);
        Ok(())
    }
}

impl Approve {
    fn run(self) -> Result<(), Problem> {
        if self.output.is_some() && self.requests.len() > 1 {
            return Err(Problem::usage("-o names one file, but there are several requests")
                .remedy("leave -o away: each approval is written beside its request"));
        }
        let done = enroll::approve(&self.consortium, &self.requests, self.output.as_deref(), self.replace)?;
        for (who, fingerprint, file) in &done.members {
            println!("{who}  fingerprint {fingerprint}  -> {}", file.display());
        }
        println!("Compare each fingerprint with its member before you send the approval.");
        match done.missing {
            None => println!(
                "Roster version {} is in {}.",
                done.roster_version,
                self.consortium.join("roster.json").display()
            ),
            Some(missing) => println!("No roster yet: {missing}."),
        }
        Ok(())
    }
}

impl Install {
    fn run(self) -> Result<(), Problem> {
        let done = enroll::install(
            &self.approval,
            &self.dir,
            self.governance.as_deref(),
            self.roster.as_deref(),
        )?;
        println!(
            "Installed {} in {}, roster version {}.",
            done.member,
            self.dir.display(),
            done.roster_version
        );
        if self.governance.is_none() {
            println!(
                "Compare the governance key by another channel: {}",
                done.governance.trim()
            );
        }
        Ok(())
    }
}
