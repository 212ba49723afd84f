//! Join tokens at the governance holder: made from the folder, written down when they are used.
//!
//! A token's number is its key. Its use is durable, with the hash of the request that used it, before anything is published, and with the
//! approval before that leaves; so a token is used once, and the request that used it is answered the same way again.

use std::path::{Path, PathBuf};

use governance::ContentHash;
use governance::join::{JoinTerms, MAX_VALID_MS, Token, authority_hash};
use governance::{SigningKey, VerifyingKey};
use proto::identity::Role;
use serde::{Deserialize, Serialize};

use super::approve::Approval;
use super::desk::Desk;
use super::request::{json, member};
use super::{EnrollError, chain, files, new_seed, now_ms};

const JOINED: &str = "joined";

/// Makes a token for one newcomer.
pub fn token(folder: &Path, role: Role, name: &str, organisation: &str, valid_ms: u64) -> Result<Token, EnrollError> {
    member(role, name, organisation)?;
    let desk = Desk::open(folder)?;
    let (_, roster) = desk.roster()?;
    if role == Role::Coordinator {
        return Err(EnrollError::Coordinator(roster.coordinator.id));
    }
    if !desk.issues() {
        return Err(EnrollError::elsewhere(role, name));
    }
    if desk.members.find(role, name).is_some() {
        let (role, name) = (role.as_str(), name.to_owned());
        return Err(EnrollError::Member { role, name });
    }
    let seed = new_seed()?;
    let key = SigningKey::from_seed(&seed).map_err(EnrollError::malformed)?.public();
    let terms = JoinTerms {
        consortium: roster.consortium,
        role: role.into(),
        name: name.to_owned(),
        organisation: organisation.to_owned(),
        key,
        expires_at_ms: now_ms().saturating_add(valid_ms.min(MAX_VALID_MS)),
        governance: desk.governance()?,
        ca: authority_hash(&chain::anchor(desk.ca())?),
        coordinator: roster.coordinator.id,
    };
    Ok(Token::issue(terms, &desk.governance_key()?, seed)?)
}

/// A token's use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Hash of the request that used it.
    pub request: ContentHash,
    /// Absent if the process ended between taking the token and publishing the roster; then the request is taken up again.
    pub approval: Option<Approval>,
}

/// Whether and by what this token was used.
pub fn used(desk: &Desk, token: &VerifyingKey) -> Result<Option<Use>, EnrollError> {
    let path = path(desk, token);
    match path.exists() {
        true => Ok(Some(
            serde_json::from_slice(&files::read(&path)?).map_err(EnrollError::malformed)?,
        )),
        false => Ok(None),
    }
}

/// Writes a use down, durably.
pub fn write(desk: &Desk, token: &VerifyingKey, used: &Use) -> Result<(), EnrollError> {
    files::create_folder(&desk.folder().join(JOINED))?;
    files::replace(&path(desk, token), files::PUBLIC, &json(used)?)
}

fn path(desk: &Desk, token: &VerifyingKey) -> PathBuf {
    desk.folder().join(JOINED).join(format!("{token}.json"))
}
