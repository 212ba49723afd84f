//! A consortium on paper: an authority, a roster, an identity directory for each member, a coordinator's configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use governance::{Agent, Analyst, ContentHash, CoordinatorEntry, Retiring, Roster, SignedRoster, SigningKey, Steward};
use proto::identity::{Identity, Role};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use tonic::transport::{Certificate, ClientTlsConfig};

pub const AGENTS: [&str; 3] = ["north", "south", "west"];
pub const GOVERNANCE: u8 = 200;

pub struct Consortium {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    pub roster: Roster,
}

fn signing_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

/// The governance key.
pub fn governance() -> SigningKey {
    signing_key(GOVERNANCE)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Consortium {
    /// `limits` are lines of the coordinator's `[limits]`.
    pub fn new(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut members = vec![
            (Role::Coordinator, "hub", 1),
            (Role::Analyst, "ann", 2),
            (Role::Analyst, "bob", 3),
            (Role::Steward, "sue", 4),
        ];
        members.extend(AGENTS.iter().zip(10..).map(|(name, seed)| (Role::Agent, *name, seed)));
        let mut roster = Roster {
            consortium: "hearts".to_owned(),
            version: 1,
            c: 1,
            min_cohort: 3,
            agents: Vec::new(),
            analysts: Vec::new(),
            stewards: Vec::new(),
            coordinator: CoordinatorEntry {
                id: "hub".to_owned(),
                organisation: None,
                tls_key: ContentHash([0; 32]),
                signing_key: signing_key(1).public(),
            },
            retiring: Vec::new(),
        };
        for (role, name, seed) in &members {
            let tls = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![role.dns_name(name)]).unwrap();
            let certificate = certificate.signed_by(&tls, &authority).unwrap();
            let tls_key = ContentHash(*blake3::hash(&tls.subject_public_key_info()).as_bytes());
            let (id, organisation) = ((*name).to_owned(), format!("{name} ltd"));
            match role {
                Role::Coordinator => roster.coordinator.tls_key = tls_key,
                Role::Analyst => roster.analysts.push(Analyst {
                    id,
                    organisation,
                    key: signing_key(*seed).public(),
                    tls_key,
                }),
                Role::Steward => roster.stewards.push(Steward {
                    id,
                    // She speaks for the owner with the first agent.
                    organisation: format!("{} ltd", AGENTS[0]),
                    key: signing_key(*seed).public(),
                    tls_key,
                }),
                Role::Agent => roster.agents.push(Agent {
                    id,
                    organisation,
                    signing_key: signing_key(*seed).public(),
                    tls_key,
                }),
            }
            let directory = folder.path().join(name);
            fs::create_dir(&directory).unwrap();
            write(&directory.join("tls.key"), &tls.serialize_pem());
            write(&directory.join("certificate.pem"), &certificate.pem());
            write(&directory.join("ca.pem"), &authority.pem());
            write(&directory.join("signing.key"), &hex::encode([*seed; 32]));
            write(
                &directory.join("governance.pub"),
                &signing_key(GOVERNANCE).public().to_string(),
            );
            let organisation = match role {
                Role::Steward => format!("{} ltd", AGENTS[0]),
                _ => format!("{name} ltd"),
            };
            let member = serde_json::json!({ "role": role, "name": name, "organisation": organisation });
            write(&directory.join("member.json"), &member.to_string());
        }
        let consortium = Self {
            folder,
            authority,
            roster,
        };
        for (_, name, _) in &members {
            consortium.publish(&consortium.roster, &consortium.path(name).join("roster.json"));
        }
        consortium.publish(&consortium.roster, &consortium.path("roster.json"));
        let config = format!(
            "listen = \"127.0.0.1:0\"\nidentity = \"hub\"\nroster = \"roster.json\"\nstore = \"c.sqlite\"\n[limits]\n{limits}\n"
        );
        write(&consortium.config(), &config);
        consortium
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new key and certificate for a member, in the folder `next` beside its own, and the roster that names it with the old key retiring.
    pub fn rotated(&self, role: Role, name: &str, until_ms: u64) -> (PathBuf, Roster) {
        let (folder, next) = (self.path(name), self.path(&format!("{name}.next")));
        let tls = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![role.dns_name(name)]).unwrap();
        let certificate = certificate.signed_by(&tls, &self.authority).unwrap();
        let tls_key = ContentHash(*blake3::hash(&tls.subject_public_key_info()).as_bytes());
        let mut roster = self.roster.clone();
        roster.version += 1;
        let pinned = match role {
            Role::Coordinator => &mut roster.coordinator.tls_key,
            _ => &mut roster.agents.iter_mut().find(|agent| agent.id == name).unwrap().tls_key,
        };
        let old = std::mem::replace(pinned, tls_key);
        roster.retiring.push(Retiring {
            role: role.into(),
            id: name.to_owned(),
            tls_key: old,
            until_ms,
        });
        fs::create_dir(&next).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, next.join(from.file_name().unwrap())).unwrap();
        }
        write(&next.join("tls.key"), &tls.serialize_pem());
        write(&next.join("certificate.pem"), &certificate.pem());
        self.publish(&roster, &next.join("roster.json"));
        (next, roster)
    }

    pub fn sign(&self, roster: &Roster) -> SignedRoster {
        roster.sign(&governance()).unwrap()
    }

    pub fn config(&self) -> PathBuf {
        self.path("coordinator.toml")
    }

    pub fn identity(&self, name: &str) -> Identity {
        Identity::load(&self.path(name)).unwrap()
    }

    /// TLS that trusts this consortium's coordinator and shows no certificate.
    pub fn trusting(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.authority.pem()))
            .domain_name(Role::Coordinator.dns_name("hub"))
    }

    /// The same, with a fresh certificate of this authority for a name of any kind.
    pub fn certified(&self, tls: ClientTlsConfig, name: &str) -> ClientTlsConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &self.authority).unwrap();
        tls.identity(tonic::transport::Identity::from_pem(
            certificate.pem(),
            key.serialize_pem(),
        ))
    }

    /// A certificate that the roster does not name.
    pub fn minted(&self, name: &str) -> ClientTlsConfig {
        self.certified(self.trusting(), name)
    }

    /// Governance signs a roster into a file.
    pub fn publish(&self, roster: &Roster, path: &Path) {
        let signed = roster.sign(&signing_key(GOVERNANCE)).unwrap();
        write(path, &serde_json::to_string(&signed).unwrap());
    }
}
