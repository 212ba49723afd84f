//! What governance answers to a request that was carried to it: pure of network, so that what `serve` does can be read and tested without one.
//!
//! Everything is checked before anything is written: the token or the enrolled key, the request's own signature, names, duties, the certificate's
//! key. A refusal leaves the folder as it was.

use std::path::Path;

use governance::SignedRoster;
use governance::join::{Answer, Application, Authority, JoinError, JoinTerms};
use governance::{ContentHash, VerifyingKey};

use super::approve::Approval;
use super::desk::Desk;
use super::request::EnrolRequest;
use super::token::{Use, used, write};
use super::{EnrollError, now_ms};
use crate::Problem;

/// The answer, and the roster that holds it. An error means that nothing is answered now: the folder could not be read or written.
pub fn answer(
    folder: &Path,
    application: &Application,
    overlap_ms: u64,
) -> Result<(Answer, Option<SignedRoster>), EnrollError> {
    let mut desk = Desk::open(folder)?;
    match granted(&mut desk, application, overlap_ms) {
        Ok(approval) => {
            let approval = serde_json::to_string(&approval).map_err(EnrollError::malformed)?;
            Ok((Answer::Approved { approval }, Some(desk.roster()?.0)))
        }
        Err(error @ (EnrollError::Io { .. } | EnrollError::NoRoster)) => Err(error),
        Err(error) => {
            let problem = Problem::from(error);
            let answer = Answer::Refused {
                code: problem.code,
                message: problem.message,
                remedy: problem.remedy.unwrap_or_default(),
            };
            Ok((answer, None))
        }
    }
}

fn granted(desk: &mut Desk, application: &Application, overlap_ms: u64) -> Result<Approval, EnrollError> {
    let governance = desk.governance()?;
    if let Some(approval) = granted_before(desk, application, &governance)? {
        return Ok(approval);
    }
    let (_, roster) = desk.roster()?;
    match application.authority(&governance, &roster, now_ms())? {
        Authority::Token(terms) => joined(desk, application, &terms),
        Authority::Member { .. } => rotated(desk, application, overlap_ms),
    }
}

/// The approval of the very request that used its token, although the token may have expired since.
fn granted_before(
    desk: &Desk,
    application: &Application,
    governance: &VerifyingKey,
) -> Result<Option<Approval>, EnrollError> {
    let Some(token) = &application.token else {
        return Ok(None);
    };
    let terms = token.terms.verify(governance)?;
    match used(desk, &terms.key)? {
        None => Ok(None),
        Some(before) if before.request == application.hash() => Ok(before.approval),
        Some(_) => Err(EnrollError::TokenUsed),
    }
}

fn joined(desk: &mut Desk, application: &Application, terms: &JoinTerms) -> Result<Approval, EnrollError> {
    let body = EnrolRequest::carried(application).verify()?;
    if body.rotates.is_some() {
        return Err(JoinError::Request("a newcomer's request rotates no key".into()).into());
    }
    let certified = desk.certify(&body, &[])?;
    let tls_key = ContentHash(certified.tls_key);
    // A process that ended right after publishing has admitted this very request already.
    let again = used(desk, &terms.key)?.is_some();
    let (role, name) = (body.role, body.name.as_str());
    let known = desk.members.find(role, name);
    let same = known.is_some_and(|(signing, _, pinned)| signing == body.signing_key && pinned == tls_key);
    let mut tried = desk.members.clone();
    tried.admit(&body, tls_key, again && same)?;
    desk.could_publish(&tried)?;
    let request = application.hash();
    let taken = Use {
        request,
        approval: None,
    };
    write(desk, &terms.key, &taken)?;
    desk.members = tried;
    let roster = desk.publish()?.map_err(|_| EnrollError::NoRoster)?;
    let approval = desk.approval(&body, certified, Some(roster))?;
    let done = Use {
        approval: Some(approval.clone()),
        ..taken
    };
    write(desk, &terms.key, &done)?;
    Ok(approval)
}

fn rotated(desk: &mut Desk, application: &Application, overlap_ms: u64) -> Result<Approval, EnrollError> {
    let body = EnrolRequest::carried(application).verify()?;
    let certified = desk.certify(&body, &[])?;
    if !desk.members.rotates(&body, &certified.tls_key)? {
        return Err(EnrollError::Rotation {
            role: body.role.as_str(),
            name: body.name,
            reason: "the request is not one of a rotation".into(),
        });
    }
    desk.members
        .may_rotate_unasked(&body, &ContentHash(certified.tls_key), now_ms())?;
    let until_ms = now_ms().saturating_add(overlap_ms);
    let roster = match desk.members.rotate(&body, ContentHash(certified.tls_key), until_ms) {
        false if desk.roster()?.1.version == desk.members.version => desk.roster()?.0,
        // Also after a process that ended between the list and the roster.
        _ => desk.publish()?.map_err(|_| EnrollError::NoRoster)?,
    };
    desk.approval(&body, certified, Some(roster))
}
