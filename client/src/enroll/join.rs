//! The newcomer's side of a token, and the member's of a rotation by the mailbox: leave the request, wait for the answer, verify and install it. Resumable at
//! every point: keys and request are on disk before anything is sent, and the same command goes on with them.

use std::path::Path;
use std::time::Duration;

use governance::ContentHash;
use governance::join::{Application, JoinError, Token, authority_hash};
use proto::identity::{Identity, NEXT_KEY, Role};
use proto::v1::collected::Answer;

use super::approve::Approval;
use super::install::{CERTIFICATE, Installed, install_approval};
use super::mailbox::Mailbox;
use super::request::{REQUEST, member, prepared};
use super::rotate::{ROTATION, rotation};
use super::{EnrollError, chain, files, now_ms, pki};
use crate::{Exit, Problem};

const LOOK: Duration = Duration::from_secs(2);

/// What a newcomer asks for beside its token: whatever is said here must be what the token says.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub role: Option<Role>,
    pub name: Option<String>,
    pub organisation: Option<String>,
}

/// Joins with a token: makes the keys in `folder`, asks, waits, installs. `tell` hears each step.
pub async fn join(
    token: &Token,
    asked: &Asked,
    folder: &Path,
    address: &str,
    tell: &mut dyn FnMut(&str),
) -> Result<Installed, Problem> {
    let terms = &token.terms;
    let role = Role::of_signer(terms.role).ok_or_else(|| JoinError::Token(format!("role {}", terms.role)));
    let role = role.map_err(EnrollError::from)?;
    let other = |expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        let (expected, found) = (expected.to_string(), found.to_string());
        Problem::from(EnrollError::from(JoinError::Other { expected, found }))
    };
    if let Some(found) = asked.role.filter(|found| *found != role) {
        return Err(other(&role, &found));
    }
    if let Some(found) = asked.name.as_ref().filter(|found| **found != terms.name) {
        return Err(other(&terms.name, found));
    }
    if let Some(found) = asked
        .organisation
        .as_ref()
        .filter(|found| **found != terms.organisation)
    {
        return Err(other(&terms.organisation, found));
    }
    if let Ok(identity) = Identity::load(folder)
        && (identity.member.role, &identity.member.name) == (role, &terms.name)
    {
        tell("installed already");
        return Ok(Installed {
            member: format!("{role} `{}`", terms.name),
            governance: identity.governance.to_string(),
            roster_version: identity.roster.version,
        });
    }
    let now_ms = now_ms();
    if now_ms >= terms.expires_at_ms && !folder.join(REQUEST).exists() {
        return Err(EnrollError::from(JoinError::Expired(now_ms - terms.expires_at_ms)).into());
    }
    let member = member(role, &terms.name, &terms.organisation)?;
    let request = prepared(&member, folder, &folder.join(REQUEST))?;
    tell(&format!("keys are in {} and stay there", folder.display()));
    let application = request.application(Some(token))?;
    let mut mailbox = Mailbox::connect(address, terms.ca, &terms.coordinator).await?;
    let approval = answered(&mut mailbox, &application, tell).await?;
    if authority_hash(&chain::anchor(&approval.ca)?) != terms.ca {
        return Err(EnrollError::Certificate("the approval names another authority than the token".into()).into());
    }
    let governance = terms.governance.to_string();
    Ok(install_approval(&approval, folder, Some(&governance), None)?)
}

/// Rotates by the mailbox: the same as [`super::rotate`], an approval by governance, and its installation.
pub async fn rotate_with(folder: &Path, address: &str, tell: &mut dyn FnMut(&str)) -> Result<Installed, Problem> {
    let request = rotation(folder, &folder.join(ROTATION))?;
    let identity = Identity::load(folder).map_err(|error| EnrollError::Malformed(error.to_string()))?;
    let authority = chain::anchor(&files::read_text(&folder.join(super::consortium::CA))?)?;
    let application = request.application(None)?;
    let coordinator = &identity.roster.coordinator.id;
    let mut mailbox = Mailbox::connect(address, authority_hash(&authority), coordinator).await?;
    let wanted = pki::tls_key_of(&files::read_text(&folder.join(NEXT_KEY))?)?;
    let approval = answered(&mut mailbox, &application, tell).await?;
    let governance = identity.governance.to_string();
    let installed = install_approval(&approval, folder, Some(&governance), None)?;
    // A mailbox may show an approval of before, which fits this folder as well.
    let now = Identity::load(folder).map_err(|error| EnrollError::Malformed(error.to_string()))?;
    if now.tls_key != wanted {
        return Err(EnrollError::OtherKey(folder.join(NEXT_KEY)).into());
    }
    tell(&format!(
        "the new certificate is in {}",
        folder.join(CERTIFICATE).display()
    ));
    Ok(installed)
}

/// Leaves the application and waits for the answer; leaves it again where the mailbox has forgotten it.
async fn answered(
    mailbox: &mut Mailbox,
    application: &Application,
    tell: &mut dyn FnMut(&str),
) -> Result<Approval, Problem> {
    let id: ContentHash = application.hash();
    mailbox.park(application).await?;
    tell("sent; waiting for the governance holder (`sotto enroll serve`); Ctrl-C is safe, the same command goes on");
    loop {
        match mailbox.collect(id).await? {
            None => mailbox.park(application).await?,
            Some(Answer::Waiting(_)) => {}
            Some(Answer::Approval(text)) => {
                let read: Result<Approval, _> = serde_json::from_str(&text);
                return Ok(read.map_err(EnrollError::malformed)?);
            }
            Some(Answer::Refused(refused)) => {
                let printable = |text: String| proto::printable(text);
                return Err(
                    Problem::new(Exit::Refused, printable(refused.code), printable(refused.message))
                        .remedy(refused.remedy.map(printable).unwrap_or_default()),
                );
            }
        }
        tokio::time::sleep(LOOK).await; // a person may sit at the other end
    }
}
