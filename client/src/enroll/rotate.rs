//! A new transport key for a member: made here, asked for under the signing key that the member is enrolled with, which stays. The old key goes on
//! working until its successor is installed, and in the roster for some days longer, so nothing is interrupted.

use std::path::Path;

use governance::ContentHash;
use proto::identity::{Identity, NEXT_KEY};

use super::install::adopt_next_key;
use super::request::{EnrolRequest, Requested, json, kept};
use super::{EnrollError, files, pki, signing_key};

pub const ROTATION: &str = "rotation.request.json";

/// Makes the next key in `folder` and writes the request to `output`, by default `folder/rotation.request.json`. The same again goes on with
/// the key that is there.
pub fn rotate(folder: &Path, output: Option<&Path>) -> Result<Requested, EnrollError> {
    let file = output.map_or_else(|| folder.join(ROTATION), Path::to_owned);
    let fingerprint = rotation(folder, &file)?.fingerprint();
    Ok(Requested { file, fingerprint })
}

/// The request of a rotation, kept in `file`.
pub fn rotation(folder: &Path, file: &Path) -> Result<EnrolRequest, EnrollError> {
    let identity = Identity::load(folder).map_err(|error| EnrollError::Malformed(error.to_string()))?;
    let (next, rotates) = (folder.join(NEXT_KEY), ContentHash(identity.tls_key));
    if next.exists() && pki::tls_key_of(&files::read_text(&next)?)? == identity.tls_key {
        // The last rotation's installation was interrupted at its last step.
        adopt_next_key(folder)?;
    }
    let next = kept(&next, pki::new_key)?;
    let key = signing_key(&folder.join(super::request::SIGNING_KEY))?;
    if file.exists() {
        let before = EnrolRequest::parse(&files::read(file)?)?;
        let body = before.verify()?;
        let asked = pki::key_of_request(body.role, &body.name, &body.signing_request)?;
        if body.rotates == Some(rotates) && asked == pki::tls_key_of(&next)? {
            return Ok(before);
        }
    }
    let request = EnrolRequest::sign(&identity.member, &next, Some(rotates), &key)?;
    files::replace(file, files::PUBLIC, &json(&request)?)?;
    Ok(request)
}
