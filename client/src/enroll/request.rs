//! Asking to be enrolled: two keys made here, and a request that may travel in the open.
//!
//! The request carries a certificate signing request (proof of the TLS key) and the public signing key, and is signed with
//! the latter as a whole (proof of the signing key): neither half can be exchanged on the way.

use std::path::{Path, PathBuf};

use governance::join::{Application, REQUEST_DOMAIN, Token};
use governance::{ContentHash, SigningKey, VerifyingKey, canonical, keys};
use proto::identity::{Member, Role};
use serde::{Deserialize, Serialize};

use super::{EnrollError, check_name, check_organisation, files, fingerprint, new_seed, pki, signing_key};

pub const TLS_KEY: &str = "tls.key";
pub const SIGNING_KEY: &str = "signing.key";
pub const MEMBER: &str = "member.json";
pub const REQUEST: &str = "request.json";
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
    /// Of a rotation: the transport key in force, which the new one follows. Absent in a newcomer's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotates: Option<ContentHash>,
}

/// What was written, and what to read over the telephone.
#[derive(Clone, Debug)]
pub struct Requested {
    pub file: PathBuf,
    pub fingerprint: String,
}

/// Makes keys in `folder` and writes the request to `output`, by default `folder/request.json`. Nothing may be there yet.
pub fn request(
    role: Role,
    name: &str,
    organisation: &str,
    folder: &Path,
    output: Option<&Path>,
) -> Result<Requested, EnrollError> {
    let member = member(role, name, organisation)?;
    let file = output.map_or_else(|| folder.join(REQUEST), Path::to_owned);
    for path in [
        &file,
        &folder.join(TLS_KEY),
        &folder.join(SIGNING_KEY),
        &folder.join(MEMBER),
    ] {
        if path.exists() {
            return Err(EnrollError::Exists(path.clone()));
        }
    }
    let fingerprint = prepared(&member, folder, &file)?.fingerprint();
    Ok(Requested { file, fingerprint })
}

/// Who asks, if the names can be used.
pub fn member(role: Role, name: &str, organisation: &str) -> Result<Member, EnrollError> {
    check_name(name)?;
    check_organisation(organisation)?;
    Ok(Member {
        role,
        name: name.to_owned(),
        organisation: organisation.to_owned(),
    })
}

/// The request in `file` with its keys in `folder`. What is there already is used: one that was interrupted goes on.
pub fn prepared(member: &Member, folder: &Path, file: &Path) -> Result<EnrolRequest, EnrollError> {
    files::create_folder(folder)?;
    let path = folder.join(MEMBER);
    if path.exists() {
        let found: Member = serde_json::from_slice(&files::read(&path)?).map_err(EnrollError::malformed)?;
        if found != *member {
            return Err(EnrollError::OtherMember {
                expected: format!("{} `{}`", found.role, found.name),
                found: format!("{} `{}`", member.role, member.name),
            });
        }
    }
    let tls_key = kept(&folder.join(TLS_KEY), pki::new_key)?;
    kept(&folder.join(SIGNING_KEY), || Ok(hex::encode(new_seed()?)))?;
    if !path.exists() {
        files::create(&path, files::PUBLIC, &json(member)?)?;
    }
    let key = signing_key(&folder.join(SIGNING_KEY))?;
    if file.exists() {
        let request = EnrolRequest::parse(&files::read(file)?)?;
        if request.verify()?.signing_key == key.public() {
            return Ok(request);
        }
        return Err(EnrollError::Exists(file.to_owned()));
    }
    let request = EnrolRequest::sign(member, &tls_key, None, &key)?;
    files::create(file, files::PUBLIC, &json(&request)?)?;
    Ok(request)
}

/// The private text in a file, made now if there is none.
pub fn kept(path: &Path, make: impl FnOnce() -> Result<String, EnrollError>) -> Result<String, EnrollError> {
    if !path.exists() {
        files::create(path, files::PRIVATE, make()?.as_bytes())?;
    }
    files::read_text(path)
}

/// Who asks, verified, and the fingerprint to compare.
pub fn show(file: &Path) -> Result<(RequestBody, String), EnrollError> {
    let request = EnrolRequest::parse(&files::read(file)?)?;
    Ok((request.verify()?, request.fingerprint()))
}

impl EnrolRequest {
    /// Signs a request for the TLS key in PEM. `rotates` names the one that it follows.
    pub fn sign(
        member: &Member,
        tls_key: &str,
        rotates: Option<ContentHash>,
        key: &SigningKey,
    ) -> Result<Self, EnrollError> {
        let body = RequestBody {
            format: FORMAT.to_owned(),
            role: member.role,
            name: member.name.clone(),
            organisation: member.organisation.clone(),
            signing_request: pki::request(tls_key, member.role, &member.name, &member.organisation)?,
            signing_key: key.public(),
            rotates,
        };
        let body = canonical::to_string(&body).map_err(EnrollError::malformed)?;
        let signature = hex::encode(key.sign(REQUEST_DOMAIN, body.as_bytes()));
        Ok(Self { body, signature })
    }

    /// As it is carried to governance, with the proof that it holds a token if it is a newcomer's.
    pub fn application(&self, token: Option<&Token>) -> Result<Application, EnrollError> {
        Ok(Application {
            body: self.body.clone(),
            signature: hex::decode(&self.signature).map_err(EnrollError::malformed)?,
            token: token.map(|token| token.prove(&self.body)).transpose()?,
        })
    }

    /// What was carried.
    pub fn carried(application: &Application) -> Self {
        Self {
            body: application.body.clone(),
            signature: hex::encode(&application.signature),
        }
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, EnrollError> {
        serde_json::from_slice(bytes).map_err(EnrollError::malformed)
    }

    pub fn fingerprint(&self) -> String {
        fingerprint(&ContentHash::of(REQUEST_DOMAIN, &[self.body.as_bytes()]))
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
        keys::verify(&body.signing_key, REQUEST_DOMAIN, self.body.as_bytes(), &signature)
            .map_err(|_| EnrollError::Possession)?;
        check_name(&body.name)?;
        check_organisation(&body.organisation)?;
        Ok(body)
    }
}

pub fn json(value: &impl Serialize) -> Result<Vec<u8>, EnrollError> {
    serde_json::to_vec_pretty(value).map_err(EnrollError::malformed)
}
