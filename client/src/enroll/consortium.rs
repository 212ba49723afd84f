//! The governance holder's folder: `ca.key` (unless the authority is elsewhere), `ca.pem`, `governance.key`, `governance.pub`, `members.json`
//! and, as soon as the members make a valid roster (a coordinator and three agents), `roster.json`, signed; in `joined/` the join tokens that were used.
//!
//! `members.json` is the list that governance works on; `roster.json` is derived from it and is what travels.

use std::path::{Path, PathBuf};

use governance::{Agent, Analyst, CoordinatorEntry, Retiring, Roster, SignedRoster, SigningKey, Steward, VerifyingKey};
use proto::identity::Role;
use serde::{Deserialize, Serialize};

use super::{EnrollError, chain, check_organisation, files, new_seed, pki, signing_key};

pub const CA_KEY: &str = "ca.key";
pub const CA: &str = "ca.pem";
pub const GOVERNANCE_KEY: &str = "governance.key";
pub const GOVERNANCE: &str = "governance.pub";
pub const MEMBERS: &str = "members.json";
pub const ROSTER: &str = "roster.json";
/// Held while somebody changes the members. Never replaced, as the list is: whoever waited for a list that was replaced would hold nothing.
pub const LOCK: &str = "members.lock";

/// What `sotto init` is told.
#[derive(Clone, Debug)]
pub struct Founding {
    pub consortium: String,
    /// Agents that may collude with the coordinator without learning more than sums.
    pub colluders: u32,
    pub min_cohort: u32,
    /// An authority that the organisations have already.
    pub authority: Option<Existing>,
}

/// Certificate and key of an existing authority, in PEM. Without the key every certificate is issued there and brought to `approve`.
#[derive(Clone, Debug)]
pub struct Existing {
    pub certificate: PathBuf,
    pub key: Option<PathBuf>,
}

/// Makes a consortium's folder; answers its governance key in public form.
pub fn init(folder: &Path, founding: &Founding) -> Result<String, EnrollError> {
    check_organisation(&founding.consortium)?;
    if founding.colluders < 1 || founding.min_cohort < founding.colluders + 2 {
        return Err(EnrollError::Malformed(format!(
            "colluders {} and minimum cohort {}: expected at least 1 colluder and a cohort of at least colluders + 2",
            founding.colluders, founding.min_cohort
        )));
    }
    let (ca, ca_key) = match &founding.authority {
        Some(existing) => {
            let key = existing.key.as_deref().map(files::read_text).transpose()?;
            (files::read_text(&existing.certificate)?, key)
        }
        None => {
            let made = pki::new_authority(&founding.consortium)?;
            (made.certificate_pem, Some(made.key_pem))
        }
    };
    chain::anchor(&ca)?;
    let seed = new_seed()?;
    let governance = SigningKey::from_seed(&seed)
        .map_err(EnrollError::malformed)?
        .public()
        .to_string();
    let members = Members {
        consortium: founding.consortium.clone(),
        version: 0,
        c: founding.colluders,
        min_cohort: founding.min_cohort,
        agents: Vec::new(),
        analysts: Vec::new(),
        stewards: Vec::new(),
        coordinator: None,
        retiring: Vec::new(),
        former: Vec::new(),
    };
    files::create_folder(folder)?;
    if let Some(key) = ca_key {
        files::create(&folder.join(CA_KEY), files::PRIVATE, key.as_bytes())?;
    }
    files::create(
        &folder.join(GOVERNANCE_KEY),
        files::PRIVATE,
        hex::encode(seed).as_bytes(),
    )?;
    files::create(&folder.join(CA), files::PUBLIC, ca.as_bytes())?;
    files::create(&folder.join(GOVERNANCE), files::PUBLIC, governance.as_bytes())?;
    files::create(&folder.join(MEMBERS), files::PUBLIC, &members.to_json()?)?;
    files::create(&folder.join(LOCK), files::PUBLIC, b"")?;
    Ok(governance)
}

/// The members so far. Becomes a [`Roster`] as soon as it is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    pub consortium: String,
    pub version: u64,
    pub c: u32,
    pub min_cohort: u32,
    pub agents: Vec<Agent>,
    pub analysts: Vec<Analyst>,
    #[serde(default)]
    pub stewards: Vec<Steward>,
    pub coordinator: Option<CoordinatorEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
    /// Who left. A name is given to nobody else: what was asked, answered and decided under it stays its holder's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Former>,
}

/// A member that left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Former {
    pub role: Role,
    pub name: String,
    pub signing_key: VerifyingKey,
}

impl Members {
    pub fn read(folder: &Path) -> Result<Self, EnrollError> {
        serde_json::from_slice(&files::read(&folder.join(MEMBERS))?).map_err(EnrollError::malformed)
    }

    /// Writes the next version, and the signed roster if the members make one; says what is missing if they do not.
    pub fn publish(&mut self, folder: &Path) -> Result<Result<SignedRoster, String>, EnrollError> {
        self.version += 1;
        let signed = self.signed(folder)?;
        files::replace(&folder.join(MEMBERS), files::PUBLIC, &self.to_json()?)?;
        if let Ok(signed) = &signed {
            let bytes = serde_json::to_vec_pretty(signed).map_err(EnrollError::malformed)?;
            files::replace(&folder.join(ROSTER), files::PUBLIC, &bytes)?;
        }
        Ok(signed)
    }

    /// The roster that these members make; an error if one of them may not stand in it. Nothing is written.
    pub fn signed(&self, folder: &Path) -> Result<Result<SignedRoster, String>, EnrollError> {
        match self.roster() {
            Ok(roster) => Ok(Ok(roster.sign(&signing_key(&folder.join(GOVERNANCE_KEY))?)?)),
            Err(missing) => Ok(Err(missing)),
        }
    }

    fn roster(&self) -> Result<Roster, String> {
        let wanted = self.least_agents();
        let (agents, coordinator) = (self.agents.len(), self.coordinator.clone());
        match coordinator {
            Some(coordinator) if agents >= wanted => Ok(Roster {
                consortium: self.consortium.clone(),
                version: self.version,
                c: self.c,
                min_cohort: self.min_cohort,
                agents: self.agents.clone(),
                analysts: self.analysts.clone(),
                stewards: self.stewards.clone(),
                coordinator,
                retiring: self.retiring.clone(),
            }),
            coordinator => {
                let coordinator = if coordinator.is_some() {
                    "a coordinator"
                } else {
                    "no coordinator"
                };
                Err(format!("{agents} of at least {wanted} agents and {coordinator}"))
            }
        }
    }

    pub fn least_agents(&self) -> usize {
        (self.min_cohort as usize).max(3)
    }

    fn to_json(&self) -> Result<Vec<u8>, EnrollError> {
        serde_json::to_vec_pretty(self).map_err(EnrollError::malformed)
    }
}
