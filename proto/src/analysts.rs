//! Answers on their way to an analyst: the signed release as canonical JSON, so that what is stored, sent and verified
//! are the same bytes.

use engine::{JobId, SignedRelease};
use governance::{ContentHash, SignedRequest};
use prost::bytes::Bytes;

use crate::v1;
use crate::wire::{MAX_NAME, Malformed, fixed, required, text};

/// A release and the request that it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub signed: SignedRelease,
    pub released_at_ms: u64,
    pub request: SignedRequest,
    /// Grants that it was made under and that were revoked since, with the owners who granted.
    pub revoked: Vec<(ContentHash, String)>,
}

/// One of them on the wire.
pub fn revoked_grant(release: String, (grant, owner): (ContentHash, String)) -> v1::RevokedGrant {
    v1::RevokedGrant {
        grant: Bytes::copy_from_slice(&grant.0),
        owner,
        release_id: release,
    }
}

/// Release, grant and owner.
pub fn revoked(said: v1::RevokedGrant) -> Result<(String, ContentHash, String), Malformed> {
    let grant = ContentHash(fixed("grant", &said.grant)?);
    Ok((said.release_id, grant, text("owner", MAX_NAME, said.owner)?))
}

impl From<&Answer> for v1::Release {
    fn from(answer: &Answer) -> Self {
        // Unwrap safety: a release holds strings, numbers and hashes, which all have a JSON form.
        let signed = serde_json::to_vec(&answer.signed).expect("a release has a JSON form");
        Self {
            id: answer.signed.release.id.to_string(),
            signed: Bytes::from(signed),
            released_at_ms: answer.released_at_ms,
            request: Some((&answer.request).into()),
            revoked: (answer.revoked.iter().cloned())
                .map(|grant| revoked_grant(answer.signed.release.id.to_string(), grant))
                .collect(),
        }
    }
}

impl TryFrom<v1::Release> for Answer {
    type Error = Malformed;

    fn try_from(release: v1::Release) -> Result<Self, Malformed> {
        let signed = serde_json::from_slice(&release.signed).map_err(|_| Malformed::Unreadable("release"))?;
        Ok(Self {
            signed,
            released_at_ms: release.released_at_ms,
            request: required("request of a release", release.request)?.try_into()?,
            revoked: (release.revoked.into_iter())
                .map(|said| revoked(said).map(|(_, grant, owner)| (grant, owner)))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Reads a job id that somebody typed.
pub fn job_id(id: String) -> Result<JobId, Malformed> {
    JobId::parse(&text("job id", MAX_NAME, id)?).ok_or(Malformed::Unreadable("job id"))
}
