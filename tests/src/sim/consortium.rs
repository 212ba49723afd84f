//! Keys, roster, contract and configurations of a simulated consortium, all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::approval::Approval;
use engine::coordinator::{self, Limits, Workloads};
use engine::participant::{self, Budget, Consent, Dataset, Stamp};
use engine::{AgentId, Entropy};
use governance::decision::LocalRules;
use governance::{
    Agent, Analyst, ContentHash, Contract, CoordinatorEntry, Request, Roster, SignedRequest, SignedRoster, SignedTrial,
    Steward,
};
use policy::{Layers, Rules};
use privacy::{Cap, Renewal};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{Options, Work};
use crate::plain;

/// What the analyst is called.
pub const ANALYST: &str = "ada";

/// Seeded entropy: the simulator's stand-in for the operating system's.
pub struct SeededEntropy(pub ChaCha20Rng);

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// Who consents at one site, as far as the engine sees it; stories move it on.
#[derive(Default)]
pub struct Consents(AtomicU64);

impl Consents {
    pub fn change(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Consent for Consents {
    fn stamp(&self, _dataset: &str, _now_ms: u64) -> Stamp {
        Stamp {
            generation: self.0.load(Ordering::Relaxed),
            overdue: false,
        }
    }
}

/// Everything that stands before the first message.
pub struct Consortium {
    pub governance: governance::SigningKey,
    pub analyst: governance::SigningKey,
    /// Analysts who joined later, in stories.
    pub others: BTreeMap<String, governance::SigningKey>,
    pub roster: Roster,
    pub signed_roster: SignedRoster,
    pub contract: Arc<Contract>,
    pub workloads: Workloads,
    pub coordinator_key: Arc<engine::SigningKey>,
    pub agent_keys: Vec<Arc<engine::SigningKey>>,
    /// The same keys as they sign events and checkpoints: the coordinator's, and each agent's.
    pub log_key: Arc<governance::SigningKey>,
    pub actor_keys: Vec<Arc<governance::SigningKey>>,
    pub steward_keys: Vec<governance::SigningKey>,
    /// Every owner's two people, by name: who raises a cap.
    pub approvers: Vec<(&'static str, governance::SigningKey)>,
    /// What every owner's configuration shows of what they signed, from its agent's next start on.
    pub approvals: Vec<Approval>,
    pub names: Vec<AgentId>,
    pub consents: Vec<Arc<Consents>>,
    /// What every owner's configuration calls the people of its dataset, from its agent's next start on.
    pub population: String,
    /// Each agent's own policies, from its next start on.
    pub local: Vec<Layers>,
}

impl Consortium {
    /// `agents` agents that tolerate `c` colluders.
    pub fn new(agents: usize, c: u32, seed: u64, work: &dyn Work) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x5077);
        let mut draw = || {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            seed
        };
        let governance = governance::SigningKey::from_seed(&draw()).expect("a seed is a key");
        let analyst = governance::SigningKey::from_seed(&draw()).expect("a seed is a key");
        let both = |seed: [u8; 32]| {
            let actor = governance::SigningKey::from_seed(&seed).expect("a seed is a key");
            (engine::SigningKey::from_seed(&seed), Arc::new(actor))
        };
        let (coordinator_key, log_key) = both(draw());
        let (agent_keys, actor_keys): (Vec<_>, Vec<_>) = (0..agents).map(|_| both(draw())).unzip();
        let person = |seed: [u8; 32]| governance::SigningKey::from_seed(&seed).expect("a seed is a key");
        let steward_keys: Vec<_> = (0..agents).map(|_| person(draw())).collect();
        let names: Vec<AgentId> = (0..agents).map(|i| AgentId::from(format!("site-{i:02}"))).collect();
        let tls = |name: &str| ContentHash::of("tls", &[name.as_bytes()]);
        let agent = |(name, key): (&AgentId, &engine::SigningKey)| Agent {
            id: name.to_string(),
            organisation: format!("{name} organisation"),
            signing_key: governance::VerifyingKey(key.verifying_key().0),
            tls_key: tls(name.as_str()),
        };
        let roster = Roster {
            consortium: "simulated".to_owned(),
            version: 1,
            c,
            min_cohort: c + 2,
            agents: names.iter().zip(&agent_keys).map(agent).collect(),
            analysts: vec![Analyst {
                id: ANALYST.to_owned(),
                organisation: "university".to_owned(),
                key: analyst.public(),
                tls_key: tls(ANALYST),
            }],
            stewards: (steward_keys.iter().enumerate())
                .map(|(i, key)| Steward {
                    id: format!("steward-{i:02}"),
                    organisation: format!("{} organisation", names[i]),
                    key: key.public(),
                    tls_key: tls(&format!("steward-{i:02}")),
                })
                .collect(),
            coordinator: CoordinatorEntry {
                id: "coordinator".to_owned(),
                organisation: None,
                tls_key: tls("coordinator"),
                signing_key: governance::VerifyingKey(coordinator_key.verifying_key().0),
            },
            retiring: Vec::new(),
        };
        let signed_roster = roster.sign(&governance).expect("a simulated roster is valid");
        Self {
            governance,
            analyst,
            others: BTreeMap::new(),
            roster,
            signed_roster,
            contract: Arc::new(work.contract()),
            workloads: work.workloads(),
            coordinator_key: Arc::new(coordinator_key),
            agent_keys: agent_keys.into_iter().map(Arc::new).collect(),
            log_key,
            actor_keys,
            steward_keys,
            approvers: [("owner", [0x0a; 32]), ("officer", [0x0b; 32])]
                .map(|(name, seed)| (name, person(seed)))
                .into(),
            approvals: Vec::new(),
            names,
            consents: (0..agents).map(|_| Arc::default()).collect(),
            population: "people".to_owned(),
            local: vec![Layers::default(); agents],
        }
    }

    /// The coordinator's configuration.
    pub fn coordinator(&self, options: &Options) -> coordinator::Config {
        coordinator::Config {
            signing_key: self.coordinator_key.clone(),
            actor_key: self.log_key.clone(),
            governance_key: self.governance.public(),
            roster: self.signed_roster.clone(),
            workloads: self.workloads.clone(),
            limits: Limits {
                slots: Some(options.slots),
                beat_ms: options.beat_ms,
                unasked_bytes: if options.grants { 0 } else { 1 << 20 },
                ..Limits::default()
            },
        }
    }

    /// One participant's configuration.
    pub fn participant(&self, place: usize, options: &Options) -> participant::Config {
        let cap = Cap::new(options.budget.into(), 1e-5, Renewal::Never).expect("a cap");
        let budget = Budget {
            cap,
            analysts: BTreeMap::from([("*".to_owned(), cap)]),
            approvals: vec!["owner".to_owned(), "officer".to_owned()],
        };
        let list = match options.by_grant {
            true => LocalRules::default(),
            false => LocalRules {
                analysts: BTreeMap::from([(self.contract.name.clone(), BTreeSet::from(["*".to_owned()]))]),
                ..LocalRules::default()
            },
        };
        participant::Config {
            agent: self.names[place].clone(),
            signing_key: self.agent_keys[place].clone(),
            actor_key: self.actor_keys[place].clone(),
            governance_key: self.governance.public(),
            roster: self.signed_roster.clone(),
            workloads: self.workloads.clone(),
            rules: Arc::new(Rules::new(list, self.local[place].clone())),
            stewards: self.steward_keys.iter().map(|key| key.public()).collect(),
            consent: self.consents[place].clone(),
            datasets: vec![Dataset {
                contract: self.contract.clone(),
                snapshot: "1".to_owned(),
                population: self.population.clone(),
                min_cohort: 0,
                paused: false,
                without_noise: match options.without_noise {
                    true => vec!["first".to_owned(), "second".to_owned()],
                    false => Vec::new(),
                },
                show_budget: true,
            }],
            budgets: BTreeMap::from([(self.population.clone(), budget)]),
            approvers: (self.approvers.iter())
                .map(|(name, key)| ((*name).to_owned(), key.public()))
                .collect(),
            approvals: self.approvals.clone(),
            limits: participant::Limits {
                tick_ms: options.tick_ms,
                beat_ms: options.beat_ms,
                requests_per_hour: (options.requests_per_hour)
                    .unwrap_or(participant::Limits::default().requests_per_hour),
                keep_payloads_ms: options.keep_payloads_ms,
                ..participant::Limits::default()
            },
        }
    }

    /// The analyst's question: components for each agent and one more, at 1000 squared noise units a share.
    pub fn question(&self, nonce: u64, now_ms: u64, rounds: u32) -> Request {
        let task = plain::Task {
            dim: self.names.len() + 1,
            ring: "z64".to_owned(),
            rounds,
            variance: 1000,
        };
        self.request(nonce, now_ms, plain::KIND, task.to_json(), 1.0)
    }

    /// A request about the contract's dataset, at its delta.
    pub fn request(&self, nonce: u64, now_ms: u64, kind: &str, task: String, epsilon: f64) -> Request {
        Request {
            nonce: ContentHash::of("nonce", &[&nonce.to_le_bytes()]),
            analyst: ANALYST.to_owned(),
            dataset: self.contract.name.clone(),
            contract: self.contract.hash(),
            purpose: "research".to_owned(),
            kind: kind.to_owned(),
            task,
            epsilon,
            delta: self.contract.delta.get(),
            max_attempts: 5,
            issued_at_ms: now_ms,
            expires_at_ms: now_ms + 3_600_000,
        }
    }

    /// The same words as a trial, valid for as long as a trial may be.
    pub fn trial(&self, request: &Request) -> SignedTrial {
        let request = Request {
            expires_at_ms: request.issued_at_ms + governance::request::MAX_TRIAL_MS,
            ..request.clone()
        };
        request.sign_trial(&self.analyst).expect("a simulated trial is valid")
    }

    /// The same, signed by the analyst whom it names.
    pub fn signed(&self, request: &Request) -> SignedRequest {
        let key = self.others.get(&request.analyst).unwrap_or(&self.analyst);
        request.sign(key).expect("a simulated request is valid")
    }
}
