//! `sotto audit`: the transparency log, read and checked. Every act reads the whole log and believes nothing that the witnesses did not sign.

mod shown;
mod subject;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use governance::log::event::Event;
use governance::log::{Finding, Rosters, Trust, TrustFile, account, scan};
use serde_json::json;

use super::remote::{Remote, Shown, load_identity};
use crate::audit::{self, AuditLog};
use crate::output::Target;
use crate::{Client, Exit, Problem};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  sotto audit tail                                  what happened last
  sotto audit explain 3f9c..                        who allowed an answer, and what it cost them
  sotto audit scan                                  exit code 1 if it finds anything
  sotto audit usage --reconcile                     do the coordinator's books agree with the log?
  sotto audit trust -o trust.toml                   what an outsider needs
  sotto audit export -o log.json                    the log as a file, for the outsider
  sotto audit verify log.json --trust trust.toml    offline, with nothing else")]
pub struct Audit {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// The newest events
    Tail(Tail),
    /// One event, as it stands in the log
    Show(Show),
    /// Check an exported log with the trust file alone
    Verify(Verify),
    /// Replay the log: was every access covered by a permission that stood before it, every word a member's?
    Scan(Scan),
    /// What was asked and used, counted from the log alone
    Usage(super::usage::OfLog),
    /// What the log says of one answer: who asked, who decided, what it cost, who contributed
    Explain(Explain),
    /// Write the log, or a stretch of it, as a file that proves itself
    Export(Export),
    /// All that one analyst, steward, participant or organisation said, and all that was said of its requests and grants
    Subject(Subject),
    /// The trust file: the log's key, the witnesses' keys, and how many must agree
    Trust(TrustAct),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto audit tail --limit 50")]
struct Tail {
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto audit show 42")]
struct Show {
    index: u64,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto audit verify log.json --trust trust.toml")]
struct Verify {
    bundle: PathBuf,
    /// The trust file, as governance gave it to you
    #[arg(long)]
    trust: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sotto audit scan\n  sotto audit scan log.json --trust trust.toml")]
struct Scan {
    /// An exported log; without it the coordinator's
    #[arg(requires = "trust")]
    bundle: Option<PathBuf>,
    #[arg(long, requires = "bundle")]
    trust: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto audit explain 3f9c2b6e8d0a4f1199aa55bb66cc77dd --json")]
struct Explain {
    /// A release or job by its id, or the hash of a release or request; the first eight digits are enough if nothing else begins with them
    release: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sotto audit export -o log.json\n  sotto audit export --from 100 --to 200 -o part.json"
)]
struct Export {
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[arg(long)]
    to: Option<u64>,
    /// Output file; `-` is standard output
    #[arg(short = 'o', long, default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sotto audit subject ada\n  sotto audit subject \"Charité\" --format csv")]
struct Subject {
    /// The id of an analyst, a steward or an agent, or the name of an organisation
    name: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sotto audit trust -o trust.toml")]
struct TrustAct {
    /// Output file; `-` is standard output
    #[arg(short = 'o', long, default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

impl Audit {
    pub async fn run(self, json: bool) -> Result<(), Problem> {
        match self.act {
            Act::Tail(act) => {
                let (_, log) = read(&act.remote).await?;
                let from = log.size().saturating_sub(act.limit as u64);
                let newest = (from..).zip(log.events().skip(from as usize));
                act.shown.target(json)?.write(&shown::events(newest))
            }
            Act::Show(act) => {
                let (_, log) = read(&act.remote).await?;
                let event = log
                    .signed()
                    .get(act.index as usize)
                    .ok_or_else(|| Problem::usage(format!("the log has {} entries, counted from 0", log.size())))?;
                let leaf: serde_json::Value = serde_json::from_str(event.leaf()).unwrap_or_default();
                let hash = event.hash().to_string();
                match json {
                    true => println!("{}", json!({ "index": act.index, "hash": hash, "leaf": leaf })),
                    false => println!("entry {} of {}, hash {hash}\n{leaf:#}", act.index, log.size()),
                }
                Ok(())
            }
            Act::Verify(act) => act.run(json),
            Act::Scan(act) => act.run(json).await,
            Act::Usage(act) => act.run(json).await,
            Act::Explain(act) => {
                let (_, log) = read(&act.remote).await?;
                let request = audit::request_named(log.events(), &act.release)?;
                let account = account(log.events(), 0, &request);
                match json {
                    true => println!("{}", serde_json::to_value(&account).unwrap_or_default()),
                    false => print!("{}", shown::account(&account)),
                }
                Ok(())
            }
            Act::Export(act) => {
                let (_, log) = read(&act.remote).await?;
                let bundle = log.export(act.from, act.to.unwrap_or(log.size()))?;
                let text = serde_json::to_vec(&bundle).map_err(|error| Problem::local("bundle", error))?;
                write(act.output, &text)
            }
            Act::Subject(act) => {
                let (client, log) = read(&act.remote).await?;
                let identity = client.identity();
                let before = log.rosters(&identity.governance)?;
                let rosters: Vec<_> = before.all().chain([&identity.roster]).collect();
                let concerns = subject::concerning(log.events(), &rosters, &act.name)?;
                act.shown.target(json)?.write(&shown::events(concerns.into_iter()))
            }
            Act::Trust(act) => {
                let identity = load_identity(&act.remote.resolve()?)?;
                let file = TrustFile::of(&identity.roster).map_err(|error| Problem::local("trust file", error))?;
                let governance = Some(identity.governance);
                let file = TrustFile { governance, ..file };
                let text = toml::to_string(&file).map_err(|error| Problem::local("trust file", error))?;
                write(act.output, text.as_bytes())
            }
        }
    }
}

impl Verify {
    fn run(self, json: bool) -> Result<(), Problem> {
        let verified = audit::verify(&self.bundle, &audit::trust_file(&self.trust)?)?;
        let size = verified.checkpoint.checkpoint().size;
        let (from, count) = (verified.from, verified.events.len());
        let (whole, witnesses) = (verified.whole(), verified.witnesses.clone());
        if json {
            println!(
                "{}",
                json!({ "from": from, "entries": count, "size": size, "whole": whole, "witnesses": witnesses })
            );
        } else {
            let part = if whole { "all of it" } else { "a part of it" };
            println!(
                "{count} entries from {from} of a log of {size}, {part}: each is signed by its actor and in its place"
            );
            println!("cosigned by {}", witnesses.join(", "));
        }
        Ok(())
    }
}

impl Scan {
    async fn run(self, json: bool) -> Result<(), Problem> {
        let (events, rosters): (Vec<Event>, Rosters) = match (&self.bundle, &self.trust) {
            (Some(bundle), Some(trust)) => {
                let trust = audit::trust_file(trust)?;
                let verified = audit::verify(bundle, &trust)?;
                if !verified.whole() {
                    return Err(Problem::usage(
                        "a stretch of a log cannot be scanned: permissions may stand before it",
                    )
                    .remedy("export all of it: `sotto audit export -o log.json`"));
                }
                let events = verified.events.iter().map(|event| event.event().clone());
                (events.collect(), audit::rosters_of(&verified, &trust)?)
            }
            _ => {
                let (client, log) = read(&self.remote).await?;
                (
                    log.events().cloned().collect(),
                    log.rosters(&client.identity().governance)?,
                )
            }
        };
        let membership = rosters.are_there();
        if !membership {
            eprintln!(
                "nobody's membership was judged: the trust file names no governance key (`sotto audit trust` writes one)"
            );
        }
        let scanned = scan(&events, &rosters);
        let findings = scanned.findings;
        let told: Vec<String> = findings.iter().map(tell).collect();
        let crossed: Vec<String> = scanned.crossed.iter().map(tell).collect();
        match json {
            true => println!(
                "{}",
                json!({ "entries": events.len(), "findings": told, "crossed": crossed, "membership": membership })
            ),
            false => {
                told.iter().for_each(|line| println!("{line}"));
                if !crossed.is_empty() {
                    println!(
                        "by their agents' word these left before they had seen what stands before them, which is no fault:"
                    );
                    crossed.iter().for_each(|line| println!("  {line}"));
                }
                println!("{} entries, {} findings", events.len(), told.len());
            }
        }
        match findings.first() {
            None => Ok(()),
            Some(first) => Err(Problem::new(
                Exit::Local,
                "SOTTO-7611",
                format!("{} findings, the first at entry {}", findings.len(), first.index),
            )
            .remedy("`sotto audit show` prints an entry; ask that participant's organisation")
            .told(json)),
        }
    }
}

fn tell(found: &Finding) -> String {
    let Finding {
        index, actor, fault, ..
    } = found;
    match found.request {
        Some(request) => format!("entry {index}: {actor} contributed to request {request}: {fault}"),
        None => format!("entry {index}, by {actor}: {fault}"),
    }
}

/// The whole log, checked against what the members' roster says.
async fn read(remote: &Remote) -> Result<(Client, AuditLog), Problem> {
    let (mut client, _) = remote.connect().await?;
    let trust: Trust = audit::trust_of(&client.identity().roster)?;
    let log = AuditLog::open(client.read_log().await?, &trust)?;
    Ok((client, log))
}

fn write(file: PathBuf, bytes: &[u8]) -> Result<(), Problem> {
    Target::new(None, Some(file)).write_bytes(bytes)
}
