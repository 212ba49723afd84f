//! An eye on an identity directory: whether its certificate was exchanged while the process runs. One small file is read at each look.

use std::path::PathBuf;

use super::{Identity, IdentityError, Member};

/// What a process runs with, and where a successor would appear.
pub struct Watch {
    directory: PathBuf,
    member: Member,
    signing_seed: zeroize::Zeroizing<[u8; 32]>,
    certificate: Vec<u8>,
    /// A certificate that was complained of already.
    faulty: Option<Vec<u8>>,
}

impl Watch {
    pub fn of(identity: &Identity) -> Self {
        Self {
            directory: identity.directory.clone(),
            member: identity.member.clone(),
            signing_seed: identity.seed.clone(),
            certificate: identity.certificate_pem.clone(),
            faulty: None,
        }
    }

    /// The identity with another certificate than before, once; or, once, why the directory cannot be read since it was changed. What
    /// cannot be read is looked at again.
    pub fn newer(&mut self) -> Option<Result<Identity, IdentityError>> {
        let found = std::fs::read(self.directory.join("certificate.pem")).ok()?;
        if found == self.certificate {
            return None;
        }
        let read = Identity::load(&self.directory).and_then(|identity| self.same_member(identity));
        match read {
            Ok(identity) => {
                self.certificate.clone_from(&identity.certificate_pem);
                self.faulty = None;
                Some(Ok(identity))
            }
            Err(_) if self.faulty.as_ref() == Some(&found) => None,
            Err(error) => {
                self.faulty = Some(found);
                Some(Err(error))
            }
        }
    }

    /// A certificate may change under a running process; who it is may not.
    fn same_member(&self, identity: Identity) -> Result<Identity, IdentityError> {
        if identity.member == self.member && identity.seed == self.signing_seed {
            return Ok(identity);
        }
        Err(IdentityError::Mismatch {
            path: self.directory.join("member.json"),
            reason: "another member or signing key than this process runs with: restart it to change who it is".into(),
        })
    }
}
