//! What this agent offers: datasets whose files match their contracts, rules, budgets, and who computes. A dataset that does
//! not match is refused by name and the others are served; that a budget is absent is not an error, it is zero.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::AgentId;
use engine::approval::{Approval, Approvers};
use engine::coordinator::Workloads;
use engine::participant::{self, Budget, ComputeFailed, Limits, NotAsked};
use engine::record::ParticipantRecord;
use governance::decision::LocalRules;
use governance::{BadSignature, Contract, SigningKey, VerifyingKey};
use privacy::{Cap, Noised, Renewal};
use proto::identity::Identity;
use proto::store::Store;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::compute;
use crate::config::{self, Config, Population, Renews};
use crate::consent::{self, Consents, Terms};
use crate::data::{Dataset, Version, versions};
use crate::driver::{Executor, now_ms};
use crate::problem::Problem;
use crate::rules::{self, PolicyError, Rules};
use crate::watch::{Served, Watch};

const DAY_MS: u64 = 86_400_000;

/// Everything an agent brings to a round beside its identity.
pub struct Serving {
    pub datasets: Vec<participant::Dataset>,
    /// Dataset or contract file, and why it is not served.
    pub refused: BTreeMap<String, String>,
    pub rules: Rules,
    /// Whose word counts here beside the operator's.
    pub stewards: BTreeSet<VerifyingKey>,
    pub budgets: BTreeMap<String, Budget>,
    /// Who signs that one of them allows more than the ledger, and what they signed.
    pub approvers: Approvers,
    pub approvals: Vec<Approval>,
    /// Patience, and how often this owner lets itself be asked.
    pub limits: Limits,
    pub executor: Arc<dyn Executor>,
    /// Whose rows may be used; none where no dataset requires consent.
    pub consents: Option<Arc<Consents>>,
    /// Takes datasets off the offers when their files change; none where no files are behind them.
    pub watch: Option<Watch>,
}

impl Serving {
    /// Opens every dataset of a configuration.
    pub fn open(config: &Config) -> Result<Self, ServingError> {
        let key = bounding_key(&config.store.with_extension("key"))?;
        let policies = rules::policies(config)?;
        let mut owner = LocalRules::default();
        let mut readable: Vec<(config::Dataset, Contract)> = Vec::new();
        let mut hopeless = BTreeMap::new();
        for entry in &config.datasets {
            let mut name = None;
            for Version { entry, contract } in versions(entry) {
                match contract {
                    Ok(contract) => {
                        name.get_or_insert_with(|| contract.name.clone());
                        readable.push((entry, contract));
                    }
                    Err(error) => {
                        tracing::error!(contract = %entry.contract.display(), %error, "dataset refused");
                        hopeless.insert(entry.contract.display().to_string(), error.to_string());
                    }
                }
            }
            let Some(name) = name else { continue };
            if owner.analysts.insert(name.clone(), entry.analysts.clone()).is_some() {
                return Err(ServingError::Twice(name));
            }
            owner.forbidden_columns.insert(name, entry.forbidden_columns.clone());
        }
        let consents = consents(config, &readable, &key)?;
        let mut executor = compute::Engine::new([], &key);
        if let Some(consents) = &consents {
            executor = executor.requiring(consents.clone());
        }
        let executor = Arc::new(executor);
        let snapshot_key = blake3::derive_key("sottovoce 2026 participant snapshot", key.as_slice());
        let mut watch = Watch::new(
            executor.clone(),
            hopeless,
            snapshot_key,
            config.reopen_s,
            consents.clone(),
        );
        for (entry, contract) in readable {
            let opened = Dataset::open(contract.clone(), &entry.files, entry.mapping.clone());
            if let Err(error) = &opened {
                tracing::error!(contract = %entry.contract.display(), %error, "dataset refused");
            }
            watch.add(entry, contract, opened);
        }
        let approvals = config.approvals.iter().map(|file| crate::budget::read(file));
        let approvals = approvals.collect::<Result<_, _>>()?;
        let Served { datasets, refused } = watch.served();
        Ok(Self {
            datasets,
            refused,
            rules: Rules::new(owner, policies),
            stewards: config.stewards.clone(),
            budgets: budgets(config)?,
            approvers: config.approvers.clone(),
            approvals,
            limits: Limits {
                requests_per_hour: config.limits.requests_per_hour,
                organisation_requests_per_hour: config.limits.organisation_requests_per_hour,
                keep_payloads_ms: config.payload_days.map(|days| u64::from(days.get()) * DAY_MS),
                ..Limits::default()
            },
            executor,
            consents,
            watch: Some(watch),
        })
    }

    pub(crate) fn engine_config(
        self,
        identity: &Identity,
        workloads: Workloads,
        tick_ms: u64,
    ) -> Result<participant::Config, BadSignature> {
        let actor_key = Arc::new(SigningKey::from_seed(identity.signing_seed())?);
        Ok(participant::Config {
            agent: AgentId::from(identity.member.name.as_str()),
            signing_key: Arc::new(engine::SigningKey::from_seed(identity.signing_seed())),
            actor_key,
            governance_key: identity.governance,
            roster: identity.signed_roster.clone(),
            workloads,
            rules: Arc::new(self.rules),
            stewards: self.stewards,
            consent: match self.consents {
                Some(consents) => consents,
                None => Arc::new(NotAsked),
            },
            datasets: self.datasets,
            budgets: self.budgets,
            approvers: self.approvers,
            approvals: self.approvals,
            limits: Limits {
                tick_ms: (tick_ms > 0).then_some(tick_ms),
                ..self.limits
            },
        })
    }
}

impl Executor for compute::Engine {
    fn run(&self, job: &engine::step::Compute) -> Result<Noised, ComputeFailed> {
        self.compute(job).map_err(|error| ComputeFailed(error.to_string()))
    }

    fn prepare_next(&self, job: &engine::step::Compute) {
        compute::Engine::prepare_next(self, job);
    }
}

/// The consents that some dataset requires, published for the period that has begun.
fn consents(
    config: &Config,
    datasets: &[(config::Dataset, Contract)],
    key: &[u8; 32],
) -> Result<Option<Arc<Consents>>, ServingError> {
    let datasets = datasets.iter().map(|(entry, contract)| (entry, contract));
    let Some(terms) = Terms::of(config, datasets)? else {
        return Ok(None);
    };
    let consents = Consents::open(&consent::path(&config.store), key, terms)?;
    consents.publish_due(now_ms())?;
    Ok(Some(Arc::new(consents)))
}

/// The consents of a configuration whose agent does not run.
pub fn consents_of(config: &Config) -> Result<Option<Arc<Consents>>, ServingError> {
    let read = |version: Version| Some((version.entry, version.contract.ok()?));
    let readable: Vec<_> = config.datasets.iter().flat_map(versions).filter_map(read).collect();
    let key = bounding_key(&config.store.with_extension("key"))?;
    consents(config, &readable, &key)
}

/// The secret that chooses which rows of a unit count, that names units in the file of consents, and that snapshots are keyed with: made once, beside the store, so
/// that all are the same in every round. Lost, it is made anew: other rows count, nobody's consent is known, and no earlier
/// answer is repeated free.
fn bounding_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, ServingError> {
    let fail = |error: io::Error| ServingError::BoundingKey {
        path: path.to_owned(),
        error,
    };
    let mut key = Zeroizing::new([0; 32]);
    match std::fs::read(path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            let stored: &[u8; 32] = bytes
                .as_slice()
                .try_into()
                .map_err(|_| fail(io::Error::other("expected 32 bytes")))?;
            key.copy_from_slice(stored);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                crate::make_folder(folder).map_err(fail)?;
            }
            SysRng
                .try_fill_bytes(key.as_mut_slice())
                .map_err(|error| fail(io::Error::other(error)))?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(fail)?;
            file.write_all(key.as_slice())
                .and_then(|()| file.sync_all())
                .map_err(fail)?;
        }
        Err(error) => return Err(fail(error)),
    }
    Ok(key)
}

/// What each population of a configuration may spend.
pub(crate) fn budgets(config: &Config) -> Result<BTreeMap<String, Budget>, ServingError> {
    let granted = config.populations.iter().filter_map(|p| budget(p).transpose());
    granted.collect()
}

/// `None` where the configuration grants nothing.
fn budget(population: &Population) -> Result<Option<(String, Budget)>, ServingError> {
    if population.epsilon == 0.0 || population.delta == 0.0 {
        return Ok(None);
    }
    let renews = match population.renews {
        Renews::Never => Renewal::Never,
        Renews::Month => Renewal::Month,
        Renews::Quarter => Renewal::Quarter,
        Renews::Year => Renewal::Year,
    };
    let cap = |epsilon: f64| {
        Cap::new(epsilon, population.delta, renews).map_err(|error| ServingError::Budget {
            population: population.id.clone(),
            error,
        })
    };
    let mut analysts = BTreeMap::new();
    for (analyst, epsilon) in &population.analysts {
        analysts.insert(analyst.clone(), cap(*epsilon)?);
    }
    let budget = Budget {
        cap: cap(population.epsilon)?,
        analysts,
        approvals: population.approved_by.clone(),
    };
    Ok(Some((population.id.clone(), budget)))
}

/// Every record of a store, in order.
pub(crate) fn recovered(store: &impl Store) -> Result<Vec<ParticipantRecord>, ServingError> {
    store
        .rows()?
        .iter()
        .map(|row| ParticipantRecord::from_row(row).map_err(ServingError::from))
        .collect()
}

/// What stops an agent from starting.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    #[error("two datasets are called `{0}`: further versions of one stand in its `other_versions`")]
    Twice(String),
    #[error("budget of population `{population}`: {error}")]
    Budget {
        population: String,
        error: privacy::CapError,
    },
    #[error("{}: the key that chooses a unit's rows cannot be read or made: {error}", .path.display())]
    BoundingKey { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Approval(#[from] Problem),
    #[error(transparent)]
    Terms(#[from] consent::BadTerms),
    #[error(transparent)]
    Consent(#[from] consent::ConsentError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Store(#[from] proto::store::StoreError),
    #[error("the store holds a record this version cannot read: {0}")]
    Record(#[from] engine::record::BadRow),
}
