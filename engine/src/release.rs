//! An answer and its privacy statement, signed by the coordinator: the only thing that leaves the system.
//!
//! The signature covers the canonical JSON of the whole release, so a stored file verifies years later with the
//! coordinator's key from the roster alone.

use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// One answer to one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The job that made it: one job, one release.
    pub id: JobId,
    pub request_hash: governance::ContentHash,
    /// Only this analyst may read it.
    pub analyst: String,
    pub dataset: String,
    /// Canonical JSON of the workload: a table, a model.
    pub body: String,
    pub receipt: Receipt,
}

/// The privacy statement of a release. Every word of it must be true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// What is protected: the contract's unit column, or "row".
    pub unit: String,
    /// The neighbouring relation in words; that there is none for "secure aggregation only".
    pub neighbouring: String,
    /// Of the released answer, over all its rounds; none for "secure aggregation only".
    #[serde(with = "exact")]
    pub epsilon: Option<f64>,
    #[serde(with = "governance::canonical::real")]
    pub delta: f64,
    /// The largest Renyi divergence over its order: a zCDP parameter over the orders that are accounted.
    #[serde(with = "exact")]
    pub rho: Option<f64>,
    /// The most that any one participant was charged for this job, failed attempts included, by the coordinator's count. A participant's
    /// own ledger may hold one token more for each time that it restarted or that the cohort's terms changed.
    #[serde(with = "exact")]
    pub epsilon_charged: Option<f64>,
    pub mechanism: String,
    /// Contributions in the sum of the last round, of how many that accepted, of how many members.
    pub contributors: u32,
    pub cohort: u32,
    pub members: u32,
    pub s_min: u32,
    pub c: u32,
    pub rounds: u32,
    /// Attempts that were made, the successful ones included.
    pub attempts: u32,
    pub contract: governance::ContentHash,
    /// Identity of the plan, and of the sum that was read back.
    pub plan: secagg::Digest,
    pub sum: secagg::Digest,
    /// The earlier release that this one repeats at no cost.
    pub repeated: Option<JobId>,
}

/// A release as it is stored and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRelease {
    pub release: Release,
    pub signature: secagg::Signature,
}

const DOMAIN: &str = "sottovoce/engine/v1/release";

impl SignedRelease {
    /// Signs a release with the coordinator's key.
    pub fn sign(release: Release, key: &secagg::SigningKey) -> Self {
        let signature = key.sign(DOMAIN, &canonical(&release));
        Self { release, signature }
    }

    /// The name of exactly this in the log, signature included.
    pub fn hash(&self) -> governance::ContentHash {
        governance::ContentHash::of("release", &[&canonical(&self.release), &self.signature.0])
    }

    /// Whether the coordinator with this key signed exactly this.
    #[must_use]
    pub fn verify(&self, key: &secagg::VerifyingKey) -> bool {
        key.verify(DOMAIN, &canonical(&self.release), &self.signature)
    }
}

/// The bytes that are signed: fields as declared, real numbers as text in their shortest exact form.
fn canonical(release: &Release) -> Vec<u8> {
    // Unwrap safety: a release holds strings, numbers and hashes; real numbers are text.
    serde_json::to_vec(release).expect("a release has a JSON form")
}

/// A real number that may be missing, as text: a JSON reader may be off by one unit in the last place, and a signature may not.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        let hash = governance::ContentHash([1; 32]);
        Release {
            id: JobId([2; 16]),
            request_hash: hash,
            analyst: "ada".to_owned(),
            dataset: "plain".to_owned(),
            body: "{}".to_owned(),
            receipt: Receipt {
                unit: "row".to_owned(),
                neighbouring: "one row added or removed at one participant".to_owned(),
                epsilon: Some(0.1 + 0.2),
                delta: 1e-6,
                rho: None,
                epsilon_charged: Some(1.305_497_209_694_657),
                mechanism: "discrete Gaussian".to_owned(),
                contributors: 4,
                cohort: 4,
                members: 4,
                s_min: 3,
                c: 1,
                rounds: 1,
                attempts: 1,
                contract: hash,
                plan: secagg::Digest([3; 32]),
                sum: secagg::Digest([4; 32]),
                repeated: None,
            },
        }
    }

    #[test]
    fn a_release_verifies_after_it_was_on_disk() {
        let key = secagg::SigningKey::from_seed(&[5; 32]);
        let signed = SignedRelease::sign(release(), &key);
        let text = serde_json::to_string(&signed).unwrap();
        let read: SignedRelease = serde_json::from_str(&text).unwrap();
        assert_eq!(read, signed);
        assert!(read.verify(&key.verifying_key()));
    }

    #[test]
    fn a_changed_number_or_another_key_does_not_verify() {
        let key = secagg::SigningKey::from_seed(&[5; 32]);
        let mut signed = SignedRelease::sign(release(), &key);
        assert!(!signed.verify(&secagg::SigningKey::from_seed(&[6; 32]).verifying_key()));
        signed.release.receipt.epsilon = Some(0.1);
        assert!(!signed.verify(&key.verifying_key()));
    }
}
