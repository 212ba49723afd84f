//! Installing an approval: everything that governance said is checked against the keys on this disk before a byte is
//! written, and what is written once stays: but for certificate, key and roster of a rotation, which are exchanged so that an interruption at any point
//! leaves a usable identity.

use std::path::Path;

use governance::{ContentHash, Roster, SignedRoster, SigningKey, VerifyingKey};
use proto::identity::{Identity, Member, NEXT_KEY};

use super::approve::Approval;
use super::consortium::{CA, GOVERNANCE, ROSTER};
use super::request::{MEMBER, SIGNING_KEY, TLS_KEY, json};
use super::{EnrollError, chain, files, now_ms, pki, signing_key};

pub const CERTIFICATE: &str = "certificate.pem";

/// What was installed, for the person to compare.
#[derive(Clone, Debug)]
pub struct Installed {
    pub member: String,
    pub governance: String,
    pub roster_version: u64,
}

/// Whether a governance key is pinned in `folder`: after the first installation it is.
pub fn is_pinned(folder: &Path) -> bool {
    folder.join(GOVERNANCE).exists()
}

/// Checks the approval in `file` against `folder` and installs it. `governance` pins the governance key, if it is known
/// from another channel; `roster` is a newer roster than the approval carries.
pub fn install(
    file: &Path,
    folder: &Path,
    governance: Option<&str>,
    roster: Option<&Path>,
) -> Result<Installed, EnrollError> {
    let approval: Approval = serde_json::from_slice(&files::read(file)?).map_err(EnrollError::malformed)?;
    let roster = match roster {
        Some(path) => Some(serde_json::from_slice(&files::read(path)?).map_err(EnrollError::malformed)?),
        None => None,
    };
    install_approval(&approval, folder, governance, roster)
}

/// The same of an approval that came by another way than a file.
pub fn install_approval(
    approval: &Approval,
    folder: &Path,
    governance: Option<&str>,
    roster: Option<SignedRoster>,
) -> Result<Installed, EnrollError> {
    let member: Member = serde_json::from_slice(&files::read(&folder.join(MEMBER))?).map_err(EnrollError::malformed)?;
    let (expected, found) = (describe(&member), format!("{} `{}`", approval.role, approval.name));
    if expected != found {
        return Err(EnrollError::OtherMember { expected, found });
    }
    let role = member.role;
    let tls_key = chain::check(&approval.ca, &approval.certificate, role, &approval.name)?;
    let key = key_of(folder, &tls_key)?;

    let pinned = folder.join(GOVERNANCE);
    let pinned = if pinned.exists() {
        Some(files::read_text(&pinned)?)
    } else {
        None
    };
    for expected in [governance, pinned.as_deref()].into_iter().flatten().map(str::trim) {
        if expected != approval.governance.trim() {
            return Err(EnrollError::OtherGovernance {
                expected: expected.to_owned(),
                found: approval.governance.trim().to_owned(),
            });
        }
    }
    let governance = VerifyingKey::from_hex(&approval.governance)
        .ok_or_else(|| EnrollError::Malformed("governance key: expected 64 hexadecimal digits".into()))?;
    let signed = roster
        .or_else(|| approval.roster.clone())
        .ok_or(EnrollError::NoRoster)?;
    let roster = signed.verify(&governance)?;
    let signing = signing_key(&folder.join(SIGNING_KEY))?.public();
    let names = |roster: &Roster| names_me(roster, &member, &tls_key, &signing);
    if !names(&roster) {
        return Err(EnrollError::NotInRoster);
    }
    files::create_or_same(&folder.join(CA), files::PUBLIC, approval.ca.as_bytes())?;
    files::create_or_same(&folder.join(GOVERNANCE), files::PUBLIC, approval.governance.as_bytes())?;
    match key {
        Key::First => {
            let path = folder.join(ROSTER);
            if !path.exists() || !is_kept(&path, &signed, &roster, &governance, &names)? {
                files::create_or_same(&path, files::PUBLIC, &json(&signed)?)?;
            }
            files::create_or_same(
                &folder.join(CERTIFICATE),
                files::PUBLIC,
                approval.certificate.as_bytes(),
            )?;
        }
        Key::Next => {
            let path = folder.join(ROSTER);
            if !is_kept(&path, &signed, &roster, &governance, &names)? {
                roster.supersedes(&installed_roster(&path)?.verify(&governance)?)?;
                files::replace(&path, files::PUBLIC, &json(&signed)?)?;
            }
            exchange(folder, &approval.certificate)?;
        }
    }
    let kept = installed_roster(&folder.join(ROSTER))?.read()?;
    Ok(Installed {
        member: expected,
        governance: approval.governance.clone(),
        roster_version: kept.version,
    })
}

/// Puts a newer roster of governance's into a member's folder, if it still names the member as it is.
pub fn adopt(identity: &Identity, newer: &Roster, signed: &SignedRoster) -> Result<(), EnrollError> {
    let member = &identity.member;
    let signing = SigningKey::from_seed(identity.signing_seed()).map_err(EnrollError::malformed)?;
    let (role, tls_key) = (member.role.into(), ContentHash(identity.tls_key));
    let accepted = newer.accepts(role, &member.name, &tls_key, now_ms());
    if accepted != Some(true) || newer.signing_key(role, &member.name) != Some(signing.public()) {
        return Err(EnrollError::NotInRoster);
    }
    // Another process may have installed one since this one began.
    let path = identity.directory().join(ROSTER);
    let installed = installed_roster(&path)?.verify(&identity.governance)?;
    match installed.version < newer.version {
        true => files::replace(&path, files::PUBLIC, &json(signed)?),
        false => Ok(()),
    }
}

/// Which key of the folder a certificate is for.
enum Key {
    First,
    /// Of a rotation.
    Next,
}

fn key_of(folder: &Path, tls_key: &[u8; 32]) -> Result<Key, EnrollError> {
    let (first, next) = (folder.join(TLS_KEY), folder.join(NEXT_KEY));
    if next.exists() && pki::tls_key_of(&files::read_text(&next)?)? == *tls_key {
        return Ok(Key::Next);
    }
    match pki::tls_key_of(&files::read_text(&first)?)? == *tls_key {
        true => Ok(Key::First),
        false => Err(EnrollError::OtherKey(first)),
    }
}

/// Whether the roster that is installed is this one, or a newer one that came from the coordinator and names the member as this does.
fn is_kept(
    path: &Path,
    signed: &SignedRoster,
    roster: &Roster,
    governance: &VerifyingKey,
    names: &dyn Fn(&Roster) -> bool,
) -> Result<bool, EnrollError> {
    let current = installed_roster(path)?;
    if current.hash() == signed.hash() {
        return Ok(true);
    }
    let current = current.verify(governance)?;
    Ok(current.version > roster.version && names(&current))
}

/// After the roster, certificate and key, each replaced as a whole and in this order, so that after every step the folder is an identity: the new
/// roster accepts both keys, and with the new certificate the new key is looked for in both places.
fn exchange(folder: &Path, certificate: &str) -> Result<(), EnrollError> {
    files::replace(&folder.join(CERTIFICATE), files::PUBLIC, certificate.as_bytes())?;
    adopt_next_key(folder)
}

fn installed_roster(path: &Path) -> Result<SignedRoster, EnrollError> {
    serde_json::from_slice(&files::read(path)?).map_err(EnrollError::malformed)
}

/// The last step of an exchange.
pub fn adopt_next_key(folder: &Path) -> Result<(), EnrollError> {
    let (next, key) = (folder.join(NEXT_KEY), folder.join(TLS_KEY));
    std::fs::rename(&next, &key).map_err(|error| EnrollError::io(&next, error))?;
    let opened = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    opened.map_err(|error| EnrollError::io(folder, error))
}

fn describe(member: &Member) -> String {
    format!("{} `{}`", member.role, member.name)
}

fn names_me(roster: &Roster, me: &Member, tls_key: &[u8; 32], signing: &VerifyingKey) -> bool {
    let (role, name) = (me.role.into(), me.name.as_str());
    roster.tls_key(role, name) == Some(ContentHash(*tls_key)) && roster.signing_key(role, name) == Some(*signing)
}
