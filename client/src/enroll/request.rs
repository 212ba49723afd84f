//! Asking to be enrolled: two keys made here, and a request that may travel in the open.
//!
//! The request carries a certificate signing request (proof of the TLS key) and the public signing key, and is signed with
//! the latter as a whole (proof of the signing key): neither half can be exchanged on the way.

use std::path::{Path, PathBuf};

use governance::{ContentHash, SigningKey, VerifyingKey, canonical, keys};
use proto::identity::{Member, Role};
use serde::{Deserialize, Serialize};

use super::{EnrollError, check_name, check_organisation, files, fingerprint, new_seed, pki};

pub const TLS_KEY: &str = "tls.key";
pub const SIGNING_KEY: &str = "signing.key";
pub const MEMBER: &str = "member.json";
const DOMAIN: &str = "enrolment request";
const FORMAT: &str = "sottovoce enrolment request 1";

/// The file that travels. `body` is the canonical JSON of a [`RequestBody`], byte for byte as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    pub body: String,
    /// 128 hexadecimal digits.
    pub signature: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    pub format: String,
    pub role: Role,
    pub name: String,
    pub organisation: String,
    pub signing_request: String,
    pub signing_key: VerifyingKey,
}

/// What was written, and what to read over the telephone.
#[derive(Clone, Debug)]
pub struct Requested {
    pub file: PathBuf,
    pub fingerprint: String,
}

/// Makes keys in `folder` and writes the request to `output`, by default `folder/request.json`.
pub fn request(
    role: Role,
    name: &str,
    organisation: &str,
    folder: &Path,
    output: Option<&Path>,
) -> Result<Requested, EnrollError> {
    check_name(name)?;
    check_organisation(organisation)?;
    let tls = pki::new_member_key(role, name, organisation)?;
    let seed = new_seed()?;
    let key = SigningKey::from_seed(&seed).map_err(EnrollError::malformed)?;
    let member = Member {
        role,
        name: name.to_owned(),
        organisation: organisation.to_owned(),
    };
    let body = RequestBody {
        format: FORMAT.to_owned(),
        role,
        name: member.name.clone(),
        organisation: member.organisation.clone(),
        signing_request: tls.request_pem,
        signing_key: key.public(),
    };
    let body = canonical::to_string(&body).map_err(EnrollError::malformed)?;
    let signed = EnrolRequest {
        signature: hex::encode(key.sign(DOMAIN, body.as_bytes())),
        body,
    };

    let file = output.map_or_else(|| folder.join("request.json"), Path::to_owned);
    if file.exists() {
        return Err(EnrollError::Exists(file));
    }
    files::create_folder(folder)?;
    files::create(&folder.join(TLS_KEY), files::PRIVATE, tls.key_pem.as_bytes())?;
    files::create(&folder.join(SIGNING_KEY), files::PRIVATE, hex::encode(seed).as_bytes())?;
    files::create(&folder.join(MEMBER), files::PUBLIC, &json(&member)?)?;
    files::create(&file, files::PUBLIC, &json(&signed)?)?;
    Ok(Requested {
        file,
        fingerprint: signed.fingerprint(),
    })
}

/// Who asks, verified, and the fingerprint to compare.
pub fn show(file: &Path) -> Result<(RequestBody, String), EnrollError> {
    let request = EnrolRequest::parse(&files::read(file)?)?;
    Ok((request.verify()?, request.fingerprint()))
}

impl EnrolRequest {
    pub fn parse(bytes: &[u8]) -> Result<Self, EnrollError> {
        serde_json::from_slice(bytes).map_err(EnrollError::malformed)
    }

    pub fn fingerprint(&self) -> String {
        fingerprint(&ContentHash::of(DOMAIN, &[self.body.as_bytes()]))
    }

    /// The body, if the signing key that it names signed it and the names can be used.
    pub fn verify(&self) -> Result<RequestBody, EnrollError> {
        let body: RequestBody = serde_json::from_str(&self.body).map_err(EnrollError::malformed)?;
        if body.format != FORMAT {
            return Err(EnrollError::Malformed(format!(
                "expected `{FORMAT}`, got `{}`",
                body.format
            )));
        }
        let signature = hex::decode(&self.signature).map_err(EnrollError::malformed)?;
        keys::verify(&body.signing_key, DOMAIN, self.body.as_bytes(), &signature)
            .map_err(|_| EnrollError::Possession)?;
        check_name(&body.name)?;
        check_organisation(&body.organisation)?;
        Ok(body)
    }
}

pub fn json(value: &impl Serialize) -> Result<Vec<u8>, EnrollError> {
    serde_json::to_vec_pretty(value).map_err(EnrollError::malformed)
}
