//! The governance holder's answer: certificates, and the next version of the roster.
//!
//! All requests of one call are verified before the first is granted, and the answers carry the roster that holds them
//! all: a consortium is founded by one call with everybody's request.

use std::path::{Path, PathBuf};

use governance::{ContentHash, SignedRoster};
use proto::identity::Role;
use serde::{Deserialize, Serialize};

use super::desk::{Desk, OVERLAP_MS};
use super::request::{EnrolRequest, RequestBody, json};
use super::{EnrollError, files, now_ms};

/// What travels back to the member. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub role: Role,
    pub name: String,
    pub organisation: String,
    pub certificate: String,
    pub ca: String,
    pub governance: String,
    /// Absent while the consortium has no coordinator or too few agents.
    pub roster: Option<SignedRoster>,
}

/// What one call did.
#[derive(Clone, Debug)]
pub struct Approved {
    /// Per request: who, the fingerprint to compare, and the file to send back.
    pub members: Vec<(String, String, PathBuf)>,
    pub roster_version: u64,
    /// What is still missing before there is a roster.
    pub missing: Option<String>,
}

/// How requests are granted.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Give a member new keys although it is one already; the old ones stop working.
    pub replace: bool,
    /// Certificates that another authority issued, with what stands between; PEM. The fitting one is found by its key.
    pub certificates: Vec<PathBuf>,
    /// How long the key before a rotation still counts.
    pub overlap_ms: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            replace: false,
            certificates: Vec::new(),
            overlap_ms: OVERLAP_MS,
        }
    }
}

/// Grants the requests in `requests`, whoever sent them: for a consortium whose requests were made here.
pub fn approve(
    folder: &Path,
    requests: &[PathBuf],
    output: Option<&Path>,
    replace: bool,
) -> Result<Approved, EnrollError> {
    let terms = Terms {
        replace,
        ..Terms::default()
    };
    approve_confirmed(folder, requests, output, &terms, &mut |_, _| true)
}

/// Grants the requests in `requests` if `confirm` says yes to the fingerprint of each; before that nothing is published. A rotation needs no
/// confirmation: the member's enrolled key signed it. Answers lie beside the requests, or in `output` if there is one request only.
pub fn approve_confirmed(
    folder: &Path,
    requests: &[PathBuf],
    output: Option<&Path>,
    terms: &Terms,
    confirm: &mut dyn FnMut(&RequestBody, &str) -> bool,
) -> Result<Approved, EnrollError> {
    let mut desk = Desk::open(folder)?;
    let brought = terms.certificates.iter().map(|path| files::read_text(path));
    let brought = brought.collect::<Result<Vec<_>, _>>()?;
    let mut granted = Vec::new();
    for path in requests {
        let request = EnrolRequest::parse(&files::read(path)?)?;
        let body = request.verify()?;
        let fingerprint = request.fingerprint();
        let certified = desk.certify(&body, &brought)?;
        if desk.members.rotates(&body, &certified.tls_key)? {
            let until_ms = now_ms().saturating_add(terms.overlap_ms);
            desk.members.rotate(&body, ContentHash(certified.tls_key), until_ms);
        } else if confirm(&body, &fingerprint) {
            desk.members
                .admit(&body, ContentHash(certified.tls_key), terms.replace)?;
        } else {
            let (role, name) = (body.role.as_str(), body.name);
            return Err(EnrollError::Unconfirmed {
                role,
                name,
                fingerprint,
            });
        }
        let file = output.map_or_else(|| answer_beside(path), Path::to_owned);
        if file.exists() {
            return Err(EnrollError::Exists(file));
        }
        granted.push((fingerprint, body, certified, file));
    }

    let roster = desk.publish()?;
    let mut approved = Approved {
        members: Vec::new(),
        roster_version: desk.members.version,
        missing: roster.as_ref().err().cloned(),
    };
    for (fingerprint, body, certified, file) in granted {
        let who = format!("{} {}", body.role, body.name);
        let approval = desk.approval(&body, certified, roster.as_ref().ok().cloned())?;
        files::create(&file, files::PUBLIC, &json(&approval)?)?;
        approved.members.push((who, fingerprint, file));
    }
    Ok(approved)
}

/// Takes a member out and signs the next roster; answers its version. Whatever it holds open ends when the coordinator has the roster.
pub fn remove(folder: &Path, role: Role, name: &str) -> Result<u64, EnrollError> {
    let mut desk = Desk::open(folder)?;
    desk.members.remove(role, name)?;
    // Before there is a roster there is nobody to tell.
    let _missing = desk.publish()?;
    Ok(desk.members.version)
}

/// `x/request.json` is answered by `x/approval.json`, `cleveland.request.json` by `cleveland.approval.json`.
fn answer_beside(request: &Path) -> PathBuf {
    let name = request
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let answer = match name.rsplit_once("request") {
        Some((before, after)) => format!("{before}approval{after}"),
        None => format!("{name}.approval"),
    };
    request.with_file_name(answer)
}
