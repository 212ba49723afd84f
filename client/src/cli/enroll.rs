//! `sotto init` and `sotto enroll`: the file exchange of [`crate::enroll`] with its fingerprints printed. What talks to a mailbox is in
//! [`super::join`].

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use proto::identity::Role;
use serde_json::json;

use super::join;
use crate::Problem;
use crate::enroll;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto init ./consortium --name four-hospitals
  sotto init ./consortium --name four-hospitals --colluders 2 --min-cohort 5
  sotto init ./consortium --name four-hospitals --ca ca.pem --ca-key ca.key     an authority that you have already
  sotto init ./consortium --name four-hospitals --ca ca.pem    its key stays where it is: certificates come with `approve --certificate`

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
    /// Certificate of an existing authority, in PEM: one certificate, on which everything rests
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Its private key, in PEM; without it, every certificate is issued there and brought to `sotto enroll approve --certificate`
    #[arg(long, requires = "ca")]
    ca_key: Option<PathBuf>,
}

impl Init {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        let founding = enroll::Founding {
            consortium: self.name,
            colluders: self.colluders,
            min_cohort: self.min_cohort.unwrap_or(self.colluders.saturating_add(2)),
            authority: self.ca.map(|certificate| enroll::Existing {
                certificate,
                key: self.ca_key,
            }),
        };
        let governance = enroll::init(&self.folder, &founding)?;
        if json {
            let made = json!({ "consortium": founding.consortium, "folder": self.folder, "governance": governance });
            println!("{made}");
            return Ok(());
        }
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
  sotto enroll request --role agent --name cleveland --organisation \"Cleveland Clinic\" \\
      --dir ./identity
  sotto enroll show cleveland.request.json                  its fingerprint, to compare by telephone
  sotto enroll approve cleveland.request.json --consortium ./consortium \\
      --fingerprint \"3f9c 2b6e 8d0a 4f11\"
  sotto enroll install approval.json --dir ./identity --governance 5f0c..

By a token and the coordinator's mailbox instead of files and telephone:
  sotto enroll token --consortium ./consortium --role agent --name north \\
      --organisation \"North Hospital\"
  sotto enroll serve --consortium ./consortium --coordinator hub.example.org:7444
  sotto enroll request --token sotto-join.eyJ.. --coordinator hub.example.org:7444 --dir ./identity")]
pub enum Enroll {
    /// Make keys here and a request that may travel
    Request(Request),
    /// Who a request is from, and its fingerprint
    Show(Show),
    /// At the governance key: grant requests, sign the next roster
    Approve(Approve),
    /// Check an approval against the keys here and install it
    Install(Install),
    /// At the governance key: a one-time token for a newcomer
    Token(join::Token),
    /// At the governance key: answer what waits in the coordinator's mailbox
    Serve(join::Serve),
    /// A new transport key and certificate for a member, without interruption
    Rotate(join::Rotate),
    /// At the governance key: take a member out of the roster
    Remove(join::Remove),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RoleName {
    Agent,
    Analyst,
    Coordinator,
    /// Speaks for an organisation: approves, suspends and ends grants
    Steward,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Agent => Self::Agent,
            RoleName::Analyst => Self::Analyst,
            RoleName::Coordinator => Self::Coordinator,
            RoleName::Steward => Self::Steward,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll request --role analyst --name ann --organisation \"Institute of Cardiology\" \\
      --dir ~/.config/sottovoce/ann
  sotto enroll request --token sotto-join.eyJ.. --coordinator hub.example.org:7444 --dir ./identity    asks, waits, installs

The keys stay in --dir (mode 0600) and are never overwritten. Send the request file; read its fingerprint to the
governance holder by telephone. With a token nothing is read out and nothing is sent by hand: role, name and organisation are the
token's, and so is the governance key that is pinned. Interrupted, the same command goes on.")]
pub struct Request {
    #[arg(long, required_unless_present = "token")]
    role: Option<RoleName>,
    /// Short name: lower-case letters, digits, hyphens
    #[arg(long, required_unless_present = "token")]
    name: Option<String>,
    /// The organisation's full name
    #[arg(long, required_unless_present = "token")]
    organisation: Option<String>,
    /// Folder for the keys
    #[arg(long)]
    dir: PathBuf,
    /// Where the request goes [default: DIR/request.json]
    #[arg(short, long, conflicts_with = "token")]
    output: Option<PathBuf>,
    /// Join token that the governance holder made for you; it is secret
    #[arg(long, env = "SOTTO_JOIN_TOKEN", hide_env_values = true, requires = "coordinator")]
    token: Option<String>,
    /// host:port of the coordinator's mailbox
    #[arg(long, requires = "token")]
    coordinator: Option<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sotto enroll show *.request.json\n  sotto enroll show ann.request.json --signing-request ann.csr    for an authority of your own"
)]
pub struct Show {
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// Write the certificate signing request (PKCS#10, PEM) of a single request
    #[arg(long, value_name = "FILE")]
    signing_request: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll approve *.request.json --consortium ./consortium        asks for each, and founds the consortium in one step
  sotto enroll approve ann.request.json --consortium ./consortium \\
      --fingerprint \"3f9c 2b6e 8d0a 4f11\" -o ann.approval.json
  sotto enroll approve ann.request.json --consortium ./consortium --certificate ann.pem    issued by an authority of your own

A member's rotation (`sotto enroll rotate`) is recognised by its signature and needs no fingerprint and no --replace. Nothing is published before the fingerprint of every request is confirmed: have each member read its own to you by
telephone, and give it with --fingerprint or answer yes on the terminal.

The consortium's roster.json is signed again with each approval. Give the new one to the coordinator; agents receive it
over their stream and check the signature themselves.")]
pub struct Approve {
    /// Requests to grant
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// Folder that `sotto init` made
    #[arg(long)]
    consortium: PathBuf,
    /// A fingerprint as its member read it to you; once for each request
    #[arg(long, value_name = "HEX")]
    fingerprint: Vec<String>,
    /// Where the approval goes, for a single request [default: beside the request]
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Give a member new keys; the old ones stop working
    #[arg(long)]
    replace: bool,
    /// A certificate that another authority issued for a request, with what stands between, in PEM; once for each request
    #[arg(long, value_name = "FILE")]
    certificate: Vec<PathBuf>,
    /// Of a rotation: how many days the old transport key still counts
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    overlap: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sotto enroll install approval.json --dir ./identity --governance 5f0c..
  sotto enroll install approval.json --dir ./identity --governance 5f0c.. --roster roster.json
                                                   approved before the roster was complete")]
pub struct Install {
    approval: PathBuf,
    /// Folder that made the request
    #[arg(long)]
    dir: PathBuf,
    /// The governance key as you know it from another channel; needed once, it is pinned from then on
    #[arg(long)]
    governance: Option<String>,
    /// A newer roster than the approval carries
    #[arg(long)]
    roster: Option<PathBuf>,
}

impl Enroll {
    pub fn run(self, json: bool) -> Result<(), Problem> {
        match self {
            Self::Request(request) => request.run(json),
            Self::Show(show) => show.run(json),
            Self::Approve(approve) => approve.run(json),
            Self::Install(install) => install.run(json),
            Self::Token(token) => token.run(json),
            Self::Serve(serve) => serve.run(json),
            Self::Rotate(rotate) => rotate.run(json),
            Self::Remove(remove) => remove.run(json),
        }
    }
}

impl Request {
    fn run(self, json: bool) -> Result<(), Problem> {
        let role = self.role.map(Role::from);
        if let (Some(token), Some(coordinator)) = (&self.token, &self.coordinator) {
            let asked = enroll::Asked {
                role,
                name: self.name,
                organisation: self.organisation,
            };
            return join::with_token(token, &asked, &self.dir, coordinator, json);
        }
        let (Some(role), Some(name), Some(organisation)) = (role, self.name, self.organisation) else {
            return Err(Problem::usage(
                "--role, --name and --organisation, or --token and --coordinator",
            ));
        };
        let made = enroll::request(role, &name, &organisation, &self.dir, self.output.as_deref())?;
        if json {
            println!("{}", json!({ "request": made.file, "fingerprint": made.fingerprint }));
            return Ok(());
        }
        println!("Keys are in {} and stay there.", self.dir.display());
        println!("Send {} to the governance holder.", made.file.display());
        println!("Fingerprint: {}", made.fingerprint);
        Ok(())
    }
}

impl Show {
    fn run(self, json: bool) -> Result<(), Problem> {
        if self.signing_request.is_some() && self.requests.len() > 1 {
            return Err(Problem::usage(
                "--signing-request names one file, but there are several requests",
            ));
        }
        let mut shown = Vec::new();
        for file in &self.requests {
            let (body, fingerprint) = enroll::show(file)?;
            if let Some(output) = &self.signing_request {
                std::fs::write(output, &body.signing_request)
                    .map_err(|error| Problem::local(output.display(), error))?;
            }
            shown.push(json!({
                "request": file,
                "role": body.role.as_str(),
                "name": body.name,
                "organisation": body.organisation,
                "fingerprint": fingerprint,
                "signingKey": body.signing_key,
            }));
            if !json {
                let (role, name, organisation) = (body.role, body.name, body.organisation);
                println!("{role} {name} ({organisation})  fingerprint {fingerprint}");
                println!("  signing key {}", body.signing_key);
            }
        }
        if json {
            println!("{}", json!({ "requests": shown }));
        }
        Ok(())
    }
}

impl Approve {
    fn run(self, json: bool) -> Result<(), Problem> {
        if self.output.is_some() && self.requests.len() > 1 {
            return Err(Problem::usage("-o names one file, but there are several requests")
                .remedy("leave -o away: each approval is written beside its request"));
        }
        let told: Vec<String> = self.fingerprint.iter().map(|told| digits(told)).collect();
        let ask = !json && told.is_empty() && stdin().is_terminal();
        let mut confirm = |body: &enroll::RequestBody, fingerprint: &str| {
            told.contains(&digits(fingerprint)) || (ask && confirmed_by_hand(body, fingerprint))
        };
        let output = self.output.as_deref();
        let terms = enroll::Terms {
            replace: self.replace,
            certificates: self.certificate,
            overlap_ms: join::days(self.overlap),
        };
        let done = enroll::approve_confirmed(&self.consortium, &self.requests, output, &terms, &mut confirm)?;
        if json {
            let approved = done
                .members
                .iter()
                .map(|(who, fingerprint, file)| json!({ "member": who, "fingerprint": fingerprint, "approval": file }));
            let approved: Vec<_> = approved.collect();
            let (version, missing) = (done.roster_version, &done.missing);
            println!(
                "{}",
                json!({ "approved": approved, "rosterVersion": version, "missing": missing })
            );
            return Ok(());
        }
        for (who, fingerprint, file) in &done.members {
            println!("{who}  fingerprint {fingerprint}  -> {}", file.display());
        }
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

/// A fingerprint without the spaces and colons that people put between its digits.
fn digits(told: &str) -> String {
    let digits = told.chars().filter(char::is_ascii_alphanumeric);
    digits.map(|digit| digit.to_ascii_lowercase()).collect()
}

fn confirmed_by_hand(body: &enroll::RequestBody, fingerprint: &str) -> bool {
    eprintln!(
        "{} {} ({})  fingerprint {fingerprint}",
        body.role, body.name, body.organisation
    );
    eprint!("Did this member read just this fingerprint to you? [yes/no] ");
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

impl Install {
    fn run(self, json: bool) -> Result<(), Problem> {
        if self.governance.is_none() && !enroll::is_pinned(&self.dir) {
            return Err(Problem::usage("no governance key: the first installation pins it")
                .remedy("--governance KEY, as the governance holder told it to you by a channel of its own"));
        }
        let governance = self.governance.as_deref();
        let done = enroll::install(&self.approval, &self.dir, governance, self.roster.as_deref())?;
        let (member, version) = (done.member, done.roster_version);
        match json {
            true => println!(
                "{}",
                json!({ "member": member, "folder": self.dir, "rosterVersion": version })
            ),
            false => println!(
                "Installed {member} in {}, roster version {version}.",
                self.dir.display()
            ),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_however_its_digits_are_grouped() {
        assert_eq!(digits("3F9C 2b6e"), digits("3f:9c:2b:6e"));
        assert_ne!(digits("3f9c 2b6e"), digits("3f9c 2b6f"));
    }
}
