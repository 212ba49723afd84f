//! The governance holder's desk: the folder, locked, and what may be done with a request that lies on it. Everybody who grants, `approve` and
//! `serve`, grants through it.

use std::fs::File;
use std::path::{Path, PathBuf};

use governance::{
    Agent, Analyst, ContentHash, CoordinatorEntry, Retiring, Roster, SignedRoster, SigningKey, Steward, VerifyingKey,
};
use proto::identity::Role;

use super::approve::Approval;
use super::consortium::{CA, CA_KEY, Former, GOVERNANCE, GOVERNANCE_KEY, LOCK, MEMBERS, Members, ROSTER};
use super::request::RequestBody;
use super::{EnrollError, chain, files, now_ms, pki, signing_key};

/// How long the transport key before a rotation still counts.
pub const OVERLAP_MS: u64 = 7 * 24 * 3_600_000;

/// A locked folder: two approvals at once would each publish a roster without the other's member.
pub struct Desk {
    folder: PathBuf,
    pub members: Members,
    ca: String,
    /// Absent where the authority's key is somebody else's: then every certificate is brought along.
    authority: Option<pki::Authority>,
    _lock: File,
}

/// A certificate for a request, and the key that the roster pins.
pub struct Certified {
    pub certificate: String,
    pub tls_key: [u8; 32],
}

impl Desk {
    pub fn open(folder: &Path) -> Result<Self, EnrollError> {
        let list = folder.join(MEMBERS);
        if !list.exists() {
            return Err(EnrollError::io(&list, std::io::ErrorKind::NotFound.into()));
        }
        let place = folder.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&place);
        let lock = lock.map_err(|error| EnrollError::io(&place, error))?;
        lock.lock().map_err(|error| EnrollError::io(&place, error))?;
        let ca = files::read_text(&folder.join(CA))?;
        let key = folder.join(CA_KEY);
        let authority = match key.exists() {
            true => Some(pki::Authority {
                certificate_pem: ca.clone(),
                key_pem: files::read_text(&key)?,
            }),
            false => None,
        };
        Ok(Self {
            members: Members::read(folder)?,
            folder: folder.to_owned(),
            ca,
            authority,
            _lock: lock,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Whether certificates are issued here.
    pub fn issues(&self) -> bool {
        self.authority.is_some()
    }

    pub fn governance(&self) -> Result<VerifyingKey, EnrollError> {
        Ok(self.governance_key()?.public())
    }

    pub fn governance_key(&self) -> Result<SigningKey, EnrollError> {
        signing_key(&self.folder.join(GOVERNANCE_KEY))
    }

    /// The roster in force.
    pub fn roster(&self) -> Result<(SignedRoster, Roster), EnrollError> {
        let path = self.folder.join(ROSTER);
        if !path.exists() {
            return Err(EnrollError::NoRoster);
        }
        let signed: SignedRoster = serde_json::from_slice(&files::read(&path)?).map_err(EnrollError::malformed)?;
        let roster = signed.verify(&self.governance()?)?;
        Ok((signed, roster))
    }

    /// A certificate for the request: issued here, or the one among `brought` that another authority issued for its key.
    pub fn certify(&self, body: &RequestBody, brought: &[String]) -> Result<Certified, EnrollError> {
        let (role, name) = (body.role, body.name.as_str());
        let asked = pki::key_of_request(role, name, &body.signing_request)?;
        for certificate in brought {
            if chain::check(&self.ca, certificate, role, name).ok() == Some(asked) {
                return Ok(Certified {
                    certificate: certificate.clone(),
                    tls_key: asked,
                });
            }
        }
        let Some(authority) = &self.authority else {
            return Err(EnrollError::Elsewhere {
                role: role.as_str(),
                name: name.to_owned(),
                reason: match brought {
                    [one] => chain::check(&self.ca, one, role, name).map_or_else(
                        |error| error.to_string(),
                        |_| "it is for another key than the request's".into(),
                    ),
                    [] => "none was given".into(),
                    _ => "none of those given is for its name and its key".into(),
                },
            });
        };
        let certificate = pki::issue(authority, role, name, &body.organisation, &body.signing_request)?;
        Ok(Certified {
            certificate,
            tls_key: asked,
        })
    }

    /// Whether the next version of the roster could be these members.
    pub fn could_publish(&self, members: &Members) -> Result<(), EnrollError> {
        let signed = members.signed(&self.folder)?;
        signed.map(drop).map_err(|_| EnrollError::NoRoster)
    }

    /// Writes the next version of the list, and of the roster if the members make one.
    pub fn publish(&mut self) -> Result<Result<SignedRoster, String>, EnrollError> {
        self.members.retiring.retain(|old| old.until_ms > now_ms());
        self.members.publish(&self.folder)
    }

    pub fn approval(
        &self,
        body: &RequestBody,
        certified: Certified,
        roster: Option<SignedRoster>,
    ) -> Result<Approval, EnrollError> {
        Ok(Approval {
            role: body.role,
            name: body.name.clone(),
            organisation: body.organisation.clone(),
            certificate: certified.certificate,
            ca: self.ca.clone(),
            governance: files::read_text(&self.folder.join(GOVERNANCE))?,
            roster,
        })
    }
}

impl Members {
    /// Whether the request is a member's own for a new transport key, signed by the key that it is enrolled with. One that names another
    /// key than the one in force is refused: an old request that is shown again must not bring an old key back.
    pub fn rotates(&self, body: &RequestBody, tls_key: &[u8; 32]) -> Result<bool, EnrollError> {
        let Some(before) = body.rotates else { return Ok(false) };
        let (role, name) = (body.role, &body.name);
        let refused = |reason: &str| {
            Err(EnrollError::Rotation {
                role: role.as_str(),
                name: name.clone(),
                reason: reason.to_owned(),
            })
        };
        match self.find(role, name) {
            None => refused("no such member"),
            Some((signing, ..)) if signing != body.signing_key => {
                refused("it is not signed by the enrolled signing key")
            }
            Some((_, organisation, _)) if organisation != body.organisation => refused("it names another organisation"),
            Some((.., current)) if current == before || current.0 == *tls_key => Ok(true),
            Some(_) => refused("it does not follow on the transport key in force"),
        }
    }

    /// Whether a member rotates without anybody being asked: once in an overlap. Each new roster ends the rounds that are open for everybody, and a
    /// member that rotated without pause would end them all.
    pub fn may_rotate_unasked(
        &self,
        body: &RequestBody,
        tls_key: &ContentHash,
        now_ms: u64,
    ) -> Result<(), EnrollError> {
        let role = governance::log::event::Role::from(body.role);
        let done = self
            .find(body.role, &body.name)
            .is_some_and(|(.., pinned)| pinned == *tls_key);
        let recent = |old: &Retiring| old.role == role && old.id == body.name && old.until_ms > now_ms;
        match !done && self.retiring.iter().any(recent) {
            false => Ok(()),
            true => Err(EnrollError::Rotation {
                role: body.role.as_str(),
                name: body.name.clone(),
                reason: "its key before is still accepted: a second rotation within the overlap is approved by hand"
                    .to_owned(),
            }),
        }
    }

    /// Puts the new transport key in its place and keeps the old one beside it until `until_ms`. The same rotation again changes nothing.
    pub fn rotate(&mut self, body: &RequestBody, tls_key: ContentHash, until_ms: u64) -> bool {
        let (role, id) = (governance::log::event::Role::from(body.role), body.name.clone());
        let Some(pinned) = self.pinned(body.role, &body.name) else {
            return false;
        };
        if *pinned == tls_key {
            return false;
        }
        let before = std::mem::replace(pinned, tls_key);
        self.retiring.retain(|old| old.role != role || old.id != id);
        self.retiring.push(Retiring {
            role,
            id,
            tls_key: before,
            until_ms,
        });
        true
    }

    /// Adds a member, or gives it new keys.
    pub fn admit(&mut self, body: &RequestBody, tls_key: ContentHash, replace: bool) -> Result<(), EnrollError> {
        let role = body.role;
        let (id, organisation) = (body.name.clone(), body.organisation.clone());
        if self.find(role, &id).is_some() && !replace {
            let role = role.as_str();
            return Err(EnrollError::Member { role, name: id });
        }
        let left = |former: &Former| former.role == role && former.name == id;
        if self.find(role, &id).is_none()
            && self
                .former
                .iter()
                .any(|former| left(former) && former.signing_key != body.signing_key)
        {
            let role = role.as_str();
            return Err(EnrollError::Former { role, name: id });
        }
        self.former.retain(|former| !left(former));
        let signer = governance::log::event::Role::from(role);
        self.retiring.retain(|old| old.role != signer || old.id != id);
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
                self.retiring.retain(|old| old.role != signer);
                self.coordinator = Some(CoordinatorEntry {
                    id,
                    organisation: Some(organisation),
                    tls_key,
                    signing_key: body.signing_key,
                });
            }
        }
        Ok(())
    }

    /// Takes a member out. A consortium keeps a coordinator, and enough agents for what its members were promised.
    pub fn remove(&mut self, role: Role, name: &str) -> Result<(), EnrollError> {
        let refused = |reason: String| {
            Err(EnrollError::Removal {
                role: role.as_str(),
                name: name.to_owned(),
                reason,
            })
        };
        let Some((signing_key, ..)) = self.find(role, name) else {
            return refused("no such member".into());
        };
        match role {
            Role::Coordinator => {
                return refused("a consortium has one; `approve --replace` puts another in its place".into());
            }
            Role::Agent => self.agents.retain(|agent| agent.id != name),
            Role::Analyst => self.analysts.retain(|analyst| analyst.id != name),
            Role::Steward => self.stewards.retain(|steward| steward.id != name),
        }
        let left = self.agents.len();
        let wanted = self.least_agents();
        if role == Role::Agent && left < wanted {
            return refused(format!(
                "{left} agents would be left, and {} colluders with a minimum cohort of {} need {wanted}",
                self.c, self.min_cohort
            ));
        }
        let signer = governance::log::event::Role::from(role);
        self.retiring.retain(|old| old.role != signer || old.id != name);
        self.former.push(Former {
            role,
            name: name.to_owned(),
            signing_key,
        });
        Ok(())
    }

    /// Signing key, organisation and transport key of a member.
    pub fn find(&self, role: Role, name: &str) -> Option<(VerifyingKey, &str, ContentHash)> {
        match role {
            Role::Agent => {
                let found = self.agents.iter().find(|agent| agent.id == name)?;
                Some((found.signing_key, &found.organisation, found.tls_key))
            }
            Role::Analyst => {
                let found = self.analysts.iter().find(|analyst| analyst.id == name)?;
                Some((found.key, &found.organisation, found.tls_key))
            }
            Role::Steward => {
                let found = self.stewards.iter().find(|steward| steward.id == name)?;
                Some((found.key, &found.organisation, found.tls_key))
            }
            Role::Coordinator => {
                let found = self.coordinator.as_ref().filter(|found| found.id == name)?;
                Some((found.signing_key, found.organisation(), found.tls_key))
            }
        }
    }

    fn pinned(&mut self, role: Role, name: &str) -> Option<&mut ContentHash> {
        match role {
            Role::Agent => self.agents.iter_mut().find(|a| a.id == name).map(|a| &mut a.tls_key),
            Role::Analyst => self.analysts.iter_mut().find(|a| a.id == name).map(|a| &mut a.tls_key),
            Role::Steward => self.stewards.iter_mut().find(|s| s.id == name).map(|s| &mut s.tls_key),
            Role::Coordinator => {
                let found = self.coordinator.as_mut().filter(|found| found.id == name);
                found.map(|found| &mut found.tls_key)
            }
        }
    }
}
