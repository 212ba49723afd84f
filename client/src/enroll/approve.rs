//! The governance holder's answer: certificates, and the next version of the roster.
//!
//! All requests of one call are verified before the first is granted, and the answers carry the roster that holds them
//! all: a consortium is founded by one call with everybody's request.

use std::fs::File;
use std::path::{Path, PathBuf};

use governance::{Agent, Analyst, ContentHash, CoordinatorEntry, SignedRoster, Steward};
use proto::identity::Role;
use serde::{Deserialize, Serialize};

use super::consortium::{CA, CA_KEY, GOVERNANCE, MEMBERS, Members};
use super::request::{EnrolRequest, RequestBody, json};
use super::{EnrollError, files, pki};

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

/// Grants the requests in `requests`, whoever sent them: for a consortium whose requests were made here.
pub fn approve(
    folder: &Path,
    requests: &[PathBuf],
    output: Option<&Path>,
    replace: bool,
) -> Result<Approved, EnrollError> {
    approve_confirmed(folder, requests, output, replace, &mut |_, _| true)
}

/// Grants the requests in `requests` if `confirm` says yes to the fingerprint of each; before that nothing is published.
/// Answers lie beside the requests, or in `output` if there is one request only.
pub fn approve_confirmed(
    folder: &Path,
    requests: &[PathBuf],
    output: Option<&Path>,
    replace: bool,
    confirm: &mut dyn FnMut(&RequestBody, &str) -> bool,
) -> Result<Approved, EnrollError> {
    // Two approvals at once would each publish a roster without the other's member.
    let lock = File::open(folder.join(MEMBERS)).map_err(|error| EnrollError::io(&folder.join(MEMBERS), error))?;
    lock.lock()
        .map_err(|error| EnrollError::io(&folder.join(MEMBERS), error))?;
    let mut members = Members::read(folder)?;
    let authority = pki::Authority {
        certificate_pem: files::read_text(&folder.join(CA))?,
        key_pem: files::read_text(&folder.join(CA_KEY))?,
    };
    let governance = files::read_text(&folder.join(GOVERNANCE))?;

    let mut granted = Vec::new();
    for path in requests {
        let request = EnrolRequest::parse(&files::read(path)?)?;
        let body = request.verify()?;
        let fingerprint = request.fingerprint();
        if !confirm(&body, &fingerprint) {
            let (role, name) = (body.role.as_str(), body.name);
            return Err(EnrollError::Unconfirmed {
                role,
                name,
                fingerprint,
            });
        }
        let issued = pki::issue(
            &authority,
            body.role,
            &body.name,
            &body.organisation,
            &body.signing_request,
        )?;
        members.admit(&body, ContentHash(issued.tls_key), replace)?;
        let file = output.map_or_else(|| answer_beside(path), Path::to_owned);
        if file.exists() {
            return Err(EnrollError::Exists(file));
        }
        granted.push((fingerprint, body, issued.certificate_pem, file));
    }

    let roster = members.publish(folder)?;
    let mut approved = Approved {
        members: Vec::new(),
        roster_version: members.version,
        missing: roster.as_ref().err().cloned(),
    };
    for (fingerprint, body, certificate, file) in granted {
        let who = format!("{} {}", body.role, body.name);
        let approval = Approval {
            role: body.role,
            name: body.name,
            organisation: body.organisation,
            certificate,
            ca: authority.certificate_pem.clone(),
            governance: governance.clone(),
            roster: roster.as_ref().ok().cloned(),
        };
        files::create(&file, files::PUBLIC, &json(&approval)?)?;
        approved.members.push((who, fingerprint, file));
    }
    Ok(approved)
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

impl Members {
    fn admit(&mut self, body: &RequestBody, tls_key: ContentHash, replace: bool) -> Result<(), EnrollError> {
        let role = body.role;
        let known = match role {
            Role::Agent => self.agents.iter().any(|agent| agent.id == body.name),
            Role::Analyst => self.analysts.iter().any(|analyst| analyst.id == body.name),
            Role::Steward => self.stewards.iter().any(|steward| steward.id == body.name),
            Role::Coordinator => self
                .coordinator
                .as_ref()
                .is_some_and(|coordinator| coordinator.id == body.name),
        };
        if known && !replace {
            return Err(EnrollError::Member {
                role: role.as_str(),
                name: body.name.clone(),
            });
        }
        let (id, organisation) = (body.name.clone(), body.organisation.clone());
        match role {
            Role::Agent => {
                self.agents.retain(|agent| agent.id != id);
                if self.agents.iter().any(|agent| agent.organisation == organisation) {
                    return Err(EnrollError::Organisations(organisation));
                }
                self.agents.push(Agent {
                    id,
                    organisation,
                    signing_key: body.signing_key,
                    tls_key,
                });
                self.agents.sort_by(|a, b| a.id.cmp(&b.id));
            }
            Role::Analyst => {
                if self.stewards.iter().any(|steward| steward.id == id) {
                    return Err(EnrollError::Duties(id));
                }
                self.analysts.retain(|analyst| analyst.id != id);
                self.analysts.push(Analyst {
                    id,
                    organisation,
                    key: body.signing_key,
                    tls_key,
                });
                self.analysts.sort_by(|a, b| a.id.cmp(&b.id));
            }
            Role::Steward => {
                if self.analysts.iter().any(|analyst| analyst.id == id) {
                    return Err(EnrollError::Duties(id));
                }
                self.stewards.retain(|steward| steward.id != id);
                self.stewards.push(Steward {
                    id,
                    organisation,
                    key: body.signing_key,
                    tls_key,
                });
                self.stewards.sort_by(|a, b| a.id.cmp(&b.id));
            }
            Role::Coordinator => {
                if let Some(current) = self.coordinator.as_ref().filter(|_| !replace) {
                    return Err(EnrollError::Coordinator(current.id.clone()));
                }
                self.coordinator = Some(CoordinatorEntry {
                    id,
                    tls_key,
                    signing_key: body.signing_key,
                });
            }
        }
        Ok(())
    }
}
