//! Founding a consortium and becoming a member of it, as an exchange of files.
//!
//! `init` makes a certificate authority, a governance key and a list of members. A member makes its own keys and a signed
//! request (`request`), the holder of the governance key answers it (`approve`), the member installs the answer
//! (`install`). Private keys are made where they are used, mode 0600, and never travel; no file of the exchange is secret.
//!
//! Who approves compares the fingerprint of the request by another channel (a telephone): that is the one step on which
//! everything rests and which no program can do.
//!
//! A *token* takes the telephone's place (`token`): governance sends it to one newcomer by a confidential channel, and the newcomer's request proves it. Then
//! the files may travel by the coordinator's mailbox (`mailbox`), between `join` at the newcomer and `serve` at the governance holder. A member's
//! *rotation* of its transport key (`rotate`) rests on the signing key that it is enrolled with.
//!
//! Deliberately absent: a certificate authority that listens, and the coordinator's word on who is who.

mod answer;
mod approve;
mod chain;
pub(crate) mod consortium;
mod desk;
pub(crate) mod files;
mod install;
mod join;
mod mailbox;
mod pki;
mod request;
mod rotate;
mod serve;
#[cfg(test)]
mod tests;
mod token;

use std::path::{Path, PathBuf};

use governance::join::JoinError;
use governance::{ContentHash, SigningKey};
use proto::identity::Role;

pub use answer::answer;
pub use approve::{Approval, Approved, Terms, approve, approve_confirmed, remove};
pub use consortium::{Existing, Founding, Members, init};
pub use desk::OVERLAP_MS;
pub(crate) use install::adopt;
pub use install::{Installed, install, is_pinned};
pub use join::{Asked, join, rotate_with};
pub use request::{EnrolRequest, RequestBody, Requested, request, show};
pub use rotate::rotate;
pub use serve::{Answered, Serving};
pub use token::token;

pub(crate) use crate::client::now_ms;

/// What can go wrong between two files. None of it names a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    #[error("{0} exists already and is not overwritten")]
    Exists(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("malformed file: {0}")]
    Malformed(String),
    #[error("certificate: {0}")]
    Certificate(String),
    #[error("mismatched name: the request is not for {role} `{name}` alone")]
    WrongName { role: &'static str, name: String },
    #[error("name `{0}`: expected 1 to 40 lower-case letters, digits or hyphens, starting with a letter")]
    Name(String),
    #[error("organisation: expected 1 to 100 printable characters")]
    Organisation,
    #[error("the request is not signed by the signing key that it names")]
    Possession,
    #[error("{role} `{name}`: fingerprint {fingerprint} was not confirmed, so nothing was published")]
    Unconfirmed {
        role: &'static str,
        name: String,
        fingerprint: String,
    },
    #[error("{role} `{name}` is a member already")]
    Member { role: &'static str, name: String },
    #[error("{role} `{name}` was somebody's name who left: what was asked and answered under it stays theirs")]
    Former { role: &'static str, name: String },
    #[error("the consortium has a coordinator already: `{0}`")]
    Coordinator(String),
    #[error("organisation `{0}` has an agent already: one organisation, one agent")]
    Organisations(String),
    #[error("`{0}` cannot be both analyst and steward: whoever asks approves nothing")]
    Duties(String),
    #[error("the approval is for {found}, this folder belongs to {expected}")]
    OtherMember { expected: String, found: String },
    #[error("the certificate does not belong to the key in {0}")]
    OtherKey(PathBuf),
    #[error("the governance key is {found}, expected {expected}")]
    OtherGovernance { expected: String, found: String },
    #[error("the roster does not name this member with the keys in this folder")]
    NotInRoster,
    #[error("the approval was given before the roster was complete")]
    NoRoster,
    #[error("the join token was used already, by another request")]
    TokenUsed,
    #[error("the authority has {0} certificates: expected one, on which everything rests")]
    Anchor(usize),
    #[error("{role} `{name}` cannot rotate its key: {reason}")]
    Rotation {
        role: &'static str,
        name: String,
        reason: String,
    },
    #[error("{role} `{name}` cannot be removed: {reason}")]
    Removal {
        role: &'static str,
        name: String,
        reason: String,
    },
    #[error(
        "no certificate for {role} `{name}`: the authority's key is not in this folder, and of the certificates with --certificate {reason}"
    )]
    Elsewhere {
        role: &'static str,
        name: String,
        reason: String,
    },
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Roster(#[from] governance::RosterError),
}

impl EnrollError {
    fn certificate(error: impl std::fmt::Display) -> Self {
        Self::Certificate(error.to_string())
    }

    fn malformed(error: impl std::fmt::Display) -> Self {
        Self::Malformed(error.to_string())
    }

    fn elsewhere(role: Role, name: &str) -> Self {
        Self::Elsewhere {
            role: role.as_str(),
            name: name.to_owned(),
            reason: "none was given".into(),
        }
    }

    fn io(path: &Path, error: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            error,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Exists(_) => "choose another folder or file, or move the old one away yourself",
            Self::Io { .. } => "check that the path exists and that you may read and write it",
            Self::Malformed(_) | Self::Certificate(_) => "ask for the file again: it is damaged or of another kind",
            Self::WrongName { .. } | Self::Possession => {
                "do not approve it: the request was altered on its way, or made by another tool"
            }
            Self::Name(_) => {
                "use a short name such as `cleveland`; the organisation's full name goes into --organisation"
            }
            Self::Organisation => "give the organisation's name in plain words",
            Self::Unconfirmed { .. } => {
                "have the member read its fingerprint to you by telephone, then give it with --fingerprint, or answer yes"
            }
            Self::Member { .. } => {
                "`sotto enroll approve --replace` gives the member new keys; the old ones stop working"
            }
            Self::Former { .. } => {
                "give a newcomer another name; whoever comes back makes the request with the signing key that it had"
            }
            Self::Coordinator(_) => "`sotto enroll approve --replace` puts the new coordinator in its place",
            Self::Organisations(_) => {
                "two agents of one organisation would count twice against the colluders tolerated"
            }
            Self::Duties(_) => "enrol another person for the other duty",
            Self::OtherMember { .. } | Self::OtherKey(_) => "install the approval in the folder that made the request",
            Self::OtherGovernance { .. } => {
                "stop and ask the governance holder, by another channel, which key is right"
            }
            Self::NotInRoster => "ask the governance holder for the current roster.json and give it with --roster",
            Self::NoRoster => "ask the governance holder for roster.json and give it with --roster",
            Self::TokenUsed => {
                "ask the governance holder for a new token, unless you hold the keys of the request that used this one"
            }
            Self::Anchor(_) => {
                "keep the root, or whichever certificate all members trust; what stands below it travels with the members' certificates"
            }
            Self::Rotation { .. } => {
                "`sotto enroll rotate` again, from the member's newest folder; for lost keys `sotto enroll request` and `approve --replace`"
            }
            Self::Removal { .. } => "`members.json` has everybody's name; enrol another first if too few would be left",
            Self::Elsewhere { .. } => {
                "`sotto enroll show REQUEST --signing-request FILE.csr`, have the authority issue from it, then `approve --certificate FILE.pem`"
            }
            Self::Join(error) => error.code().1,
            Self::Roster(_) => "the governance holder runs `sotto enroll approve` for the members that are missing",
        }
    }
}

impl From<EnrollError> for crate::Problem {
    fn from(error: EnrollError) -> Self {
        let code = match &error {
            EnrollError::Io { .. } => "SOTTO-7001",
            EnrollError::Exists(_) => "SOTTO-7101",
            EnrollError::Malformed(_) | EnrollError::Certificate(_) => "SOTTO-7102",
            EnrollError::WrongName { .. } | EnrollError::Possession => "SOTTO-7103",
            EnrollError::Name(_) | EnrollError::Organisation => "SOTTO-7104",
            EnrollError::Member { .. }
            | EnrollError::Coordinator(_)
            | EnrollError::Organisations(_)
            | EnrollError::Duties(_) => "SOTTO-7105",
            EnrollError::OtherMember { .. } | EnrollError::OtherKey(_) => "SOTTO-7106",
            EnrollError::OtherGovernance { .. } => "SOTTO-7107",
            EnrollError::Unconfirmed { .. } => "SOTTO-7110",
            EnrollError::TokenUsed => "SOTTO-7111",
            EnrollError::Rotation { .. } => "SOTTO-7112",
            EnrollError::Removal { .. } => "SOTTO-7113",
            EnrollError::Elsewhere { .. } => "SOTTO-7114",
            EnrollError::Anchor(_) => "SOTTO-7115",
            EnrollError::Former { .. } => "SOTTO-7117",
            EnrollError::Join(error) => error.code().0,
            EnrollError::NotInRoster | EnrollError::NoRoster | EnrollError::Roster(_) => "SOTTO-7108",
        };
        Self::new(crate::Exit::Local, code, error.to_string()).remedy(error.remedy())
    }
}

/// A name becomes a label of a DNS name, a folder and a column in tables.
fn check_name(name: &str) -> Result<(), EnrollError> {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if letters && starts && name.len() <= 40 && !name.ends_with('-') {
        Ok(())
    } else {
        Err(EnrollError::Name(name.to_owned()))
    }
}

fn check_organisation(organisation: &str) -> Result<(), EnrollError> {
    let length = organisation.chars().count();
    let printable = !organisation.chars().any(char::is_control) && !organisation.trim().is_empty();
    if printable && length <= 100 {
        Ok(())
    } else {
        Err(EnrollError::Organisation)
    }
}

/// 32 bytes of the operating system's randomness.
fn new_seed() -> Result<[u8; 32], EnrollError> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| EnrollError::Malformed("no randomness from the system".into()))?;
    Ok(seed)
}

pub(crate) fn signing_key(path: &Path) -> Result<SigningKey, EnrollError> {
    let mut seed = [0; 32];
    let bad = || EnrollError::Malformed(format!("{}: expected a key of 64 hexadecimal digits", path.display()));
    hex::decode_to_slice(files::read_text(path)?.trim(), &mut seed).map_err(|_| bad())?;
    SigningKey::from_seed(&seed).map_err(|_| bad())
}

/// What two people read to each other: 16 hexadecimal digits in groups of four.
fn fingerprint(of: &ContentHash) -> String {
    let digits = of.to_string();
    [&digits[..4], &digits[4..8], &digits[8..12], &digits[12..16]].join(" ")
}
