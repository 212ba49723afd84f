//! Who is in a fuzzed consortium: owners with their own lists, caps and policies, analysts whose keys nobody else has, and the keys that
//! the fuzzer holds: the coordinator's, governance's, the stewards', those of colluding participants and of people whom it made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::participant::{self, Budget};
use governance::canonical::Real;
use governance::decision::LocalRules;
use governance::grant::{Action, Extent, Terms};
use governance::{Analyst, ContentHash, Roster, SignedRoster, SigningKey, Steward};
use policy::{Bundle, Layer, Layers, Policies, Rules, Source};
use privacy::{Cap, Renewal};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::work::Serials;
use super::super::{Consortium, Options};

pub const DELTA: f64 = 1e-5;
pub const OPEN: &str = "@id(\"open\") permit (principal, action, resource);";
/// The oracle looks for the id.
pub const NO_PLANNING: &str = "@id(\"open\") permit (principal, action, resource);\n\
    @id(\"no-planning\") forbid (principal, action, resource) when { context.purpose == Purpose::\"planning\" };";

/// Somebody who asks. The first three are real: what they sign, the fuzzer can replay and nothing else.
pub struct Person {
    pub id: &'static str,
    pub organisation: &'static str,
    pub key: SigningKey,
    /// The fuzzer has the key.
    pub invented: bool,
}

/// What one owner set up on its own disk, where no key of the fuzzer's reaches.
#[derive(Clone, Debug)]
pub struct Owner {
    pub organisation: String,
    /// Who speaks for it.
    pub steward: governance::VerifyingKey,
    pub list: BTreeSet<String>,
    /// Caps: of the population, of each analyst, `*` for the others.
    pub cap: f64,
    pub analysts: BTreeMap<String, f64>,
    pub without_noise: bool,
    pub no_planning: bool,
    pub tick_ms: Option<u64>,
    pub min_cohort: u32,
    /// Its agent's keys are the fuzzer's.
    pub colludes: bool,
}

/// Everybody.
pub struct People {
    pub consortium: Consortium,
    pub analysts: Vec<Person>,
    /// Speaks for `institute`, whose analyst needs its agreement.
    pub institute: SigningKey,
    pub owners: Vec<Owner>,
    /// Governance signs what the fuzzer likes, instead of what happened.
    pub hostile_governance: bool,
    /// The newest roster.
    pub roster: Roster,
    pub signed_roster: SignedRoster,
}

impl People {
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xf022);
        let agents = rng.random_range(4..=5);
        let mut consortium = Consortium::new(agents, 1, seed, &Serials);
        let key = |rng: &mut ChaCha8Rng| {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            SigningKey::from_seed(&seed).expect("a seed is a key")
        };
        let person = |rng: &mut ChaCha8Rng, id, organisation, invented| Person {
            id,
            organisation,
            key: key(rng),
            invented,
        };
        let analysts = vec![
            person(&mut rng, "ada", "university", false),
            person(&mut rng, "bob", "university", false),
            person(&mut rng, "eva", "institute", false),
            person(&mut rng, "mallory", "university", true),
        ];
        let institute = key(&mut rng);
        let colluder = rng.random_bool(0.5).then(|| rng.random_range(0..agents));
        let shared = rng.random_range(0..3);
        let owners = (0..agents).map(|place| Owner {
            organisation: consortium.roster.agents[place].organisation.clone(),
            steward: consortium.steward_keys[place].public(),
            list: match (shared, rng.random_range(0..10)) {
                (0, 0..9) | (_, 0) => ["ada".to_owned()].into(),
                (1, 1..9) => ["*".to_owned()].into(),
                _ => BTreeSet::new(),
            },
            cap: rng.random_range(0.3..1.5),
            analysts: match rng.random_range(0..10) {
                0 => BTreeMap::new(),
                1..4 => BTreeMap::from([("ada".to_owned(), rng.random_range(0.2..1.0))]),
                _ => BTreeMap::from([("*".to_owned(), rng.random_range(0.2..1.0))]),
            },
            without_noise: rng.random_bool(0.1),
            no_planning: rng.random_bool(0.2),
            tick_ms: rng.random_bool(0.2).then(|| rng.random_range(300..=1_500)),
            min_cohort: if rng.random_bool(0.2) { 4 } else { 0 },
            colludes: colluder == Some(place),
        });
        let owners: Vec<Owner> = owners.collect();
        let tls = |name: &str| ContentHash::of("tls", &[name.as_bytes()]);
        let mut roster = consortium.roster.clone();
        let real = analysts.iter().filter(|person| !person.invented);
        roster.analysts = real.map(|person| person.enrolled(&person.key)).collect();
        roster.stewards.push(Steward {
            id: "steward-institute".to_owned(),
            organisation: "institute".to_owned(),
            key: institute.public(),
            tls_key: tls("steward-institute"),
        });
        let signed_roster = roster.sign(&consortium.governance).expect("a roster");
        consortium.roster = roster.clone();
        consortium.signed_roster = signed_roster.clone();
        Self {
            consortium,
            analysts,
            institute,
            owners,
            hostile_governance: rng.random_bool(0.3),
            roster,
            signed_roster,
        }
    }

    /// One participant's configuration: its rules are those that ship.
    pub fn participant(&self, place: usize) -> participant::Config {
        let owner = &self.owners[place];
        let contract = self.consortium.contract.clone();
        let mut config = self
            .consortium
            .participant(place, &Options::quiet(self.owners.len(), 1));
        let list = LocalRules {
            analysts: BTreeMap::from([(contract.name.clone(), owner.list.clone())]),
            ..LocalRules::default()
        };
        let mut local = Layers::default();
        if owner.no_planning {
            let source = source(NO_PLANNING);
            let policies = Policies::local(&owner.organisation, vec![source]).expect("a local layer");
            local.install(policies).expect("the first of its layer");
        }
        config.rules = Arc::new(Rules::new(list, local));
        config.stewards = [owner.steward].into();
        let cap = |epsilon: f64| Cap::new(epsilon, DELTA, Renewal::Never).expect("a cap");
        let people = Budget {
            cap: cap(owner.cap),
            analysts: (owner.analysts.iter())
                .map(|(name, epsilon)| (name.clone(), cap(*epsilon)))
                .collect(),
            approvals: vec!["owner".to_owned(), "officer".to_owned()],
        };
        config.budgets = BTreeMap::from([("people".to_owned(), people)]);
        config.datasets[0].min_cohort = owner.min_cohort;
        config.datasets[0].without_noise = match owner.without_noise {
            true => vec!["first".to_owned(), "second".to_owned()],
            false => Vec::new(),
        };
        config.limits.tick_ms = owner.tick_ms;
        config
    }

    /// The key of a steward, all of which the fuzzer has.
    pub fn steward(&self, organisation: &str) -> Option<(String, &SigningKey)> {
        if organisation == "institute" {
            return Some(("steward-institute".to_owned(), &self.institute));
        }
        let place = self
            .owners
            .iter()
            .position(|owner| owner.organisation == organisation)?;
        Some((format!("steward-{place:02}"), &self.consortium.steward_keys[place]))
    }

    /// What an analyst asks to be granted.
    pub fn terms(&self, who: &Person, rng: &mut impl Rng, now_ms: u64) -> Terms {
        let all = Extent::All;
        let only = |name: &str| Extent::Only([name.to_owned()].into());
        let purposes: &[&str] = match rng.random_range(0..6) {
            0 => &["planning"],
            1 => &["DUO:0000006"],
            2 => &["quality"],
            _ => &["research"],
        };
        let minutes = if rng.random_bool(0.3) {
            rng.random_range(1..6)
        } else {
            600
        };
        Terms {
            requester: who.id.to_owned(),
            organisation: who.organisation.to_owned(),
            dataset: self.consortium.contract.name.clone(),
            owners: self.owners.iter().map(|owner| owner.organisation.clone()).collect(),
            columns: if rng.random_bool(0.1) {
                only("other")
            } else {
                all.clone()
            },
            aggregates: if rng.random_bool(0.1) { only("AVG") } else { all },
            purposes: purposes.iter().map(|purpose| (*purpose).to_owned()).collect(),
            actions: if rng.random_bool(0.1) {
                [Action::Train].into()
            } else {
                Action::ALL.into()
            },
            epsilon: Real::new(rng.random_range(0.1..0.8)).expect("a number"),
            delta: Real::new(DELTA).expect("a number"),
            from_ms: now_ms - 1_000,
            until_ms: now_ms + minutes * 60_000,
        }
    }
}

impl Person {
    /// As governance enrols this person, with this key or another.
    pub fn enrolled(&self, key: &SigningKey) -> Analyst {
        Analyst {
            id: self.id.to_owned(),
            organisation: self.organisation.to_owned(),
            key: key.public(),
            tls_key: ContentHash::of("tls", &[self.id.as_bytes()]),
        }
    }
}

pub fn source(text: &str) -> Source {
    Source {
        name: "policies.cedar".to_owned(),
        text: text.to_owned(),
    }
}

/// A layer's bundle as an act publishes it.
pub fn bundle(layer: Layer, of: &str, version: u64, text: &str) -> String {
    let bundle = Bundle {
        layer,
        of: of.to_owned(),
        version,
        sources: vec![source(text)],
    };
    bundle.published().expect("a layer that agents take")
}
