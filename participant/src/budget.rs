//! `sotto-participant budget key | propose | sign`: how two people raise a cap. `engine::approval` says what their signatures are worth.
//!
//! Nothing here needs a running agent, and signing needs no agent at all: a person signs on a machine of their own, where the key is, and sends
//! the file back. The agent reads the files that `approvals` of its configuration names when it starts, and what was signed for another
//! state of the ledger than the present one counts for nothing there.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use engine::approval::{Approval, Approvers, Change, Proposal};
use engine::participant::{Books, to_be_signed};
use engine::record::ParticipantRecord;
use governance::SigningKey;
use proto::identity::Identity;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::problem::{APPROVAL_FILE, CONFIGURATION, NOT_SIGNED, Problem};
use crate::{SCHEMA, serving};

/// Of a name that is shown to be signed, in bytes.
const LONGEST_NAME: usize = 128;
/// A file of approvals is a few kilobytes.
const LONGEST_FILE: u64 = 1 << 20;

#[derive(Debug, Clone, Subcommand)]
pub enum Order {
    /// Make the key with which one person signs; prints that person's line for `[approvers]`
    #[command(after_help = "Example:\n  sotto-participant budget key ada -o ada.key        on Ada's own machine")]
    Key {
        /// Whose it is: lower-case letters, digits, hyphens
        name: String,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// What two people would have to sign for the caps in the configuration to hold
    #[command(after_help = "Example:\n  sotto-participant budget propose -o raise.json")]
    Propose {
        /// Where to write what is to be signed; printed only, if left out
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Sign a file of `budget propose` or `ledger replay`, after reading what it allows
    #[command(after_help = "Example:\n  sotto-participant budget sign raise.json --key ada.key")]
    Sign {
        file: PathBuf,
        /// Of `budget key`, or the `signing.key` of an identity
        #[arg(long)]
        key: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Order {
    /// What it comes to. `config` is read only where it is needed.
    pub fn carry_out(&self, config: &Path) -> Result<Value, Problem> {
        match self {
            Self::Key { name, output } => made(name, output),
            Self::Propose { output } => proposed(config, output.as_deref()),
            Self::Sign { file, key, yes } => signed(file, key, *yes),
        }
    }
}

/// The agent need not run: caps are read off its store.
fn proposed(config: &Path, output: Option<&Path>) -> Result<Value, Problem> {
    let wrong = |error: &dyn std::fmt::Display| Problem::new(CONFIGURATION, error.to_string());
    let config = Config::load(config).map_err(|error| wrong(&error))?;
    let identity = Identity::load(&config.identity).map_err(|error| wrong(&error))?;
    let key = SigningKey::from_seed(identity.signing_seed()).map_err(|error| wrong(&error))?;
    let budgets = serving::budgets(&config).map_err(|error| wrong(&error))?;
    let books = caps_of(&config.store)?;
    let changes = to_be_signed(&books, &budgets, &config.approvers);
    let proposal = Proposal {
        agent: identity.member.name.clone(),
        key: key.public(),
        changes,
    };
    let people = match books.approvers() {
        Some((_, pinned)) if !pinned.is_empty() => pinned,
        _ => &config.approvers,
    };
    written(proposal, people, output)
}

/// What is to be signed, for people and in a file. An existing file may hold a signature, so it is not overwritten.
pub fn written(proposal: Proposal, people: &Approvers, output: Option<&Path>) -> Result<Value, Problem> {
    let changes: Vec<String> = proposal.changes.iter().map(ToString::to_string).collect();
    if changes.is_empty() {
        return Ok(json!({ "to_be_signed": "nothing", "file": null }));
    }
    let names: Vec<&String> = people.keys().collect();
    let approval = Approval {
        proposal,
        signatures: Vec::new(),
    };
    if let Some(output) = output {
        let mut file = OpenOptions::new().write(true).create_new(true).open(output);
        let text = pretty(&approval)?;
        let done = file.as_mut().map(|file| file.write_all(text.as_bytes()));
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(at(output, &error)),
            Err(error) => return Err(at(output, error)),
        }
    }
    let file = output.map(|output| output.display().to_string());
    Ok(json!({ "to_be_signed": changes, "by_two_of": names, "file": file }))
}

/// The part of the books that caps rest on. Works beside a running agent.
fn caps_of(store: &Path) -> Result<Books, Problem> {
    let mut books = Books::default();
    if !store.exists() {
        return Ok(books);
    }
    let unreadable = |error: &dyn std::fmt::Display| Problem::new(CONFIGURATION, error.to_string());
    for kind in ["ledger", "approvers_set"] {
        for row in proto::store::rows_of(store, &SCHEMA, kind).map_err(|error| unreadable(&error))? {
            let record = ParticipantRecord::from_row(&row).map_err(|error| unreadable(&error))?;
            books.apply(&record).map_err(|error| unreadable(&error))?;
        }
    }
    Ok(books)
}

fn signed(file: &Path, key: &Path, yes: bool) -> Result<Value, Problem> {
    let mut approval = read(file)?;
    let key = key_of(key)?;
    let mut names = vec![approval.proposal.agent.as_str()];
    names.extend(approval.proposal.changes.iter().flat_map(Change::names));
    if let Some(name) = names.into_iter().find(|name| !is_plain(name)) {
        let text = format!(
            "the name {name:?} in it has more than a-z, A-Z, 0-9, single blanks and -_.@*/', or is over {LONGEST_NAME} bytes long: what is \
             shown could be taken for something else than what is signed"
        );
        return Err(at(file, &text));
    }
    // For people alone: what a script reads is the answer.
    eprintln!("of agent {} ({}):", approval.proposal.agent, approval.proposal.key);
    approval
        .proposal
        .changes
        .iter()
        .for_each(|change| eprintln!("  {change}"));
    if !yes && !confirmed()? {
        return Err(Problem::new(NOT_SIGNED, "nothing was signed")
            .remedy("read what it allows, then answer `yes`, or say --yes"));
    }
    approval.sign(&key).map_err(|error| at(file, &error))?;
    let next = file.with_extension("signing");
    std::fs::write(&next, pretty(&approval)?)
        .and_then(|()| std::fs::rename(&next, file))
        .map_err(|error| at(file, &error))?;
    let changes: Vec<String> = approval.proposal.changes.iter().map(ToString::to_string).collect();
    Ok(json!({ "signed": changes, "by": key.public(), "signatures": approval.signatures.len() }))
}

/// Whether a name can be taken for nothing else where it is shown.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@*/' ".contains(c);
    name.len() <= LONGEST_NAME && name.chars().all(plain) && name.trim() == name && !name.contains("  ")
}

fn confirmed() -> Result<bool, Problem> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("sign this? ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| Problem::new(NOT_SIGNED, error.to_string()))?;
    Ok(matches!(line.trim(), "y" | "yes"))
}

/// A file of approvals.
pub fn read(file: &Path) -> Result<Approval, Problem> {
    let found = std::fs::metadata(file).map_err(|error| at(file, &error))?;
    if found.len() > LONGEST_FILE {
        return Err(at(
            file,
            &format!("expected at most {LONGEST_FILE} bytes, found {}", found.len()),
        ));
    }
    let text = std::fs::read(file).map_err(|error| at(file, &error))?;
    serde_json::from_slice(&text).map_err(|error| at(file, &error))
}

fn made(name: &str, output: &Path) -> Result<Value, Problem> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        let text = format!("malformed name `{name}`: expected lower-case letters, digits and hyphens");
        return Err(Problem::new(APPROVAL_FILE, text).remedy("name a person, such as `ada`"));
    }
    let mut seed = Zeroizing::new([0; 32]);
    let drawn = SysRng.try_fill_bytes(seed.as_mut_slice());
    drawn.map_err(|error| at(output, &error))?;
    let key = SigningKey::from_seed(&seed).map_err(|error| at(output, &error))?;
    let text = Zeroizing::new(format!("{}\n", hex::encode(seed.as_slice())));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(output)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| at(output, &error))?;
    let line = format!("{name} = \"{}\"", key.public());
    Ok(json!({ "key": output.display().to_string(), "approvers": line }))
}

/// A seed in hex that nobody else may read: as identities keep theirs.
fn key_of(path: &Path) -> Result<SigningKey, Problem> {
    let mode = std::fs::metadata(path)
        .map_err(|error| at(path, &error))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("mode {mode:o}: expected a key that nobody else may read");
        return Err(at(path, &text).remedy(format!("chmod 600 {}", path.display())));
    }
    let text = Zeroizing::new(std::fs::read(path).map_err(|error| at(path, &error))?);
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii(), seed.as_mut_slice())
        .map_err(|_| at(path, &"expected 64 hexadecimal digits"))?;
    SigningKey::from_seed(&seed).map_err(|error| at(path, &error))
}

fn pretty(approval: &Approval) -> Result<String, Problem> {
    let text = serde_json::to_string_pretty(approval);
    Ok(format!(
        "{}\n",
        text.map_err(|error| Problem::new(APPROVAL_FILE, error.to_string()))?
    ))
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem::new(APPROVAL_FILE, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal() -> Proposal {
        serde_json::from_value(json!({
            "agent": "north", "key": "11".repeat(32),
            "changes": [{ "change": "replay", "missing": "22".repeat(32), "events": 3 }],
        }))
        .unwrap()
    }

    #[test]
    fn two_people_sign_one_file_each_with_a_key_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["ada", "bo"] {
            let made = made(name, &path(name)).unwrap();
            assert!(made["approvers"].as_str().unwrap().starts_with(&format!("{name} = \"")));
            assert_eq!(
                std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let file = path("replay.json");
        let written_first = written(proposal(), &Approvers::new(), Some(&file)).unwrap();
        assert!(written_first["to_be_signed"][0].as_str().unwrap().contains("3 events"));
        assert!(
            written(proposal(), &Approvers::new(), Some(&file)).is_err(),
            "it may hold a signature"
        );
        for (name, count) in [("ada", 1), ("ada", 1), ("bo", 2)] {
            let answer = signed(&file, &path(name), true).unwrap();
            assert_eq!(answer["signatures"], count, "{name}");
        }
        assert_eq!(read(&file).unwrap().proposal, proposal());
        // Whoever does not say so signs nothing.
        assert_eq!(signed(&file, &path("ada"), false).unwrap_err().code, NOT_SIGNED);
    }

    #[test]
    fn a_key_that_others_may_read_signs_nothing_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (key, file) = (folder.path().join("ada.key"), folder.path().join("raise.json"));
        made("ada", &key).unwrap();
        assert_eq!(made("ada", &key).unwrap_err().code, APPROVAL_FILE);
        assert!(made("Ada King", &folder.path().join("other")).is_err());
        written(proposal(), &Approvers::new(), Some(&file)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = signed(&file, &key, true).unwrap_err();
        assert!(refused.message.contains("mode 640"), "{refused}");
        assert_eq!(read(&file).unwrap().signatures, Vec::new());
    }
}
