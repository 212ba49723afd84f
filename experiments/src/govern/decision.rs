//! The whole decision at an agent, by the code that a round runs: contract and suspensions, the grant that covers the question among
//! two hundred, consent of a thousand people as far as the engine asks for it, and Cedar in three layers with twenty policies. The
//! question reads thirty columns. The worst order: the grant that covers it is the oldest, and no policy forbids.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use engine::participant::Consent;
use governance::act::{By, Layer as Published};
use governance::canonical::Real;
use governance::decision::{ColumnsRead, Decide, LocalRules, Question, Verdict};
use governance::grant::{Action, Extent, Terms, Witnessed};
use governance::log::event::Role;
use governance::{Act, ContentHash, Contract, LogicalType, Register, Request, What};
use policy::{Bundle, Layer, Layers, Policies, Source};
use serde_json::{Map, Value, json};
use sotto_participant::consent::{Choice, Consents, People, Purposes, Terms as ConsentTerms, Window};
use sotto_participant::rules::Rules;
use tests::learn::Result;
use workload::query::UnitId;

const DECISIONS: usize = 20_000;
const COLUMNS: usize = 30;
const GRANTS: usize = 200;
const CONSENTS: i64 = 1_000;
/// Of the consortium, the owner and the agent itself.
const POLICIES: [usize; 3] = [8, 7, 5];
const NOW_MS: u64 = 1_767_261_600_000;
const DAY_MS: u64 = 86_400_000;
const CONSORTIUM: &str = "bench";
const OWNER: &str = "clinic";
const DATASET: &str = "visits";
const PEOPLE: &str = "patients";

/// Agreements that the agent's own witness saw: as its books keep them.
#[derive(Debug)]
struct Seen(BTreeSet<ContentHash>);

impl Witnessed for Seen {
    fn is_witnessed(&self, act: &ContentHash) -> bool {
        self.0.contains(act)
    }
}

pub(super) fn measure() -> Result<Map<String, Value>> {
    let contract = contract()?;
    let (mut register, seen) = granted()?;
    publish(&mut register)?;
    let mut local = Layers::default();
    let source = layer("local", POLICIES[2]);
    local.install(Policies::local("agent", vec![source])?)?;
    let rules = Rules::new(LocalRules::default(), local);
    let folder = tempfile::tempdir()?;
    let consents = consents(folder.path())?;
    let request = request(&contract);
    let columns = ColumnsRead::of(&contract, (0..COLUMNS).map(column).collect());
    let aggregates = ["AVG".to_owned(), "COUNT".to_owned()];
    let question = Question {
        request: &request,
        contract: &contract,
        contract_hash: request.contract,
        organisation: "university",
        owner: OWNER,
        register: &register,
        witnessed: &seen,
        consortium: CONSORTIUM,
        columns: &columns,
        aggregates: &aggregates,
        noise: true,
        s_min: 3,
        now_ms: NOW_MS,
    };
    let decide = || {
        let verdict = black_box(&rules).decide(black_box(&question));
        let stamp = consents.stamp(DATASET, NOW_MS);
        (verdict, stamp)
    };
    // The first one reads the published layers; a figure of a refusal would be one of something else.
    match decide() {
        (Verdict::Allow { grant: Some(_) }, stamp) if !stamp.overdue => {}
        (verdict, stamp) => return Err(format!("expected a grant to admit: {verdict:?}, {stamp:?}").into()),
    }
    let mut took: Vec<f64> = (0..DECISIONS)
        .map(|_| {
            let began = Instant::now();
            black_box(decide());
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let figures = json!({
        "decision_microseconds": took[DECISIONS / 2],
        "decision_microseconds_p99": took[DECISIONS * 99 / 100],
        "decision_policies": POLICIES.iter().sum::<usize>(),
        "decision_grants": GRANTS,
        "decision_consents": CONSENTS,
        "decision_columns": COLUMNS,
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}

fn column(number: usize) -> String {
    format!("c{number:02}")
}

fn contract() -> Result<Contract> {
    let columns: String = (0..COLUMNS)
        .map(|number| {
            format!(
                "[[schema.properties]]\nname = \"{}\"\nlogicalType = \"number\"\nrequired = true\n\
                 classification = \"clinical\"\nlogicalTypeOptions = {{ minimum = 0, maximum = 100 }}\n",
                column(number)
            )
        })
        .collect();
    let text = format!(
        "apiVersion = \"v3.1.0\"\nkind = \"DataContract\"\nname = \"{DATASET}\"\nversion = \"1.0.0\"\n\
         purposes = [\"research\", \"quality\"]\n[privacy]\nmaxRows = 100000\ndelta = 1e-6\n{columns}"
    );
    Ok(Contract::parse(&text)?)
}

fn by(role: Role, id: &str, organisation: &str) -> By {
    By {
        role,
        id: id.to_owned(),
        organisation: organisation.to_owned(),
    }
}

/// Two hundred grants of one analyst at one owner, all of them active. Only the first covers all columns; the newest is looked at first.
fn granted() -> Result<(Register, Seen)> {
    let (mut register, mut seen) = (Register::default(), BTreeSet::new());
    for number in 0..GRANTS {
        let columns = match number {
            0 => Extent::All,
            _ => Extent::Only((1..COLUMNS).map(column).collect()),
        };
        let terms = Terms {
            requester: "ada".to_owned(),
            organisation: "university".to_owned(),
            dataset: DATASET.to_owned(),
            owners: [OWNER.to_owned()].into(),
            columns,
            aggregates: Extent::All,
            purposes: ["research".to_owned()].into(),
            actions: Action::ALL.into(),
            epsilon: Real::new(3.0).ok_or("a number")?,
            delta: Real::new(1e-6).ok_or("a number")?,
            from_ms: NOW_MS - DAY_MS,
            until_ms: NOW_MS + DAY_MS,
        };
        let name = |what: &str| ContentHash::of(what, &[&number.to_le_bytes()]);
        let (grant, offer) = (name("asked"), name("offered"));
        let asked = What::GrantRequested {
            terms: terms.clone(),
            steward_agrees: false,
        };
        let offered = What::GrantOffered {
            grant,
            owner: OWNER.to_owned(),
            terms,
        };
        for (hash, by, what) in [
            (grant, by(Role::Analyst, "ada", "university"), asked),
            (offer, by(Role::Steward, "nora", OWNER), offered),
        ] {
            let (at_ms, note) = (NOW_MS - DAY_MS, String::new());
            register.apply(hash, &Act { by, at_ms, note, what })?;
            seen.insert(hash);
        }
    }
    Ok((register, Seen(seen)))
}

/// One policy that permits and the rest that could forbid: thresholds, columns, hours, purposes.
fn layer(name: &str, policies: usize) -> Source {
    let forbids = (1..policies).map(|number| {
        let when = match number % 4 {
            0 => format!("context.epsilon.greaterThan(decimal(\"{number}5.0\"))"),
            1 => format!(
                "context.columns.contains(\"identifier{number}\") && context.cohort < {}",
                10 + number
            ),
            2 => format!(
                "context.time.hour == {} && context.max_attempts > {}",
                number % 6,
                10 + number
            ),
            _ => format!(
                "context.classifications.contains(\"genetic{number}\") || context.delta_trillionths > 1000000000"
            ),
        };
        format!("@id(\"{name}-{number}\") forbid (principal, action, resource) when {{ {when} }};\n")
    });
    let permit = format!(
        "@id(\"{name}-open\") permit (principal, action, resource) when {{ context.purpose in Purpose::\"research\" }};\n"
    );
    Source {
        name: format!("{name}.cedar"),
        text: std::iter::once(permit).chain(forbids).collect(),
    }
}

fn publish(register: &mut Register) -> Result<()> {
    let layers = [
        (
            Published::Consortium,
            Layer::Consortium,
            CONSORTIUM,
            by(Role::Governance, CONSORTIUM, CONSORTIUM),
            POLICIES[0],
        ),
        (
            Published::Owner(OWNER.to_owned()),
            Layer::Owner,
            OWNER,
            by(Role::Steward, "nora", OWNER),
            POLICIES[1],
        ),
    ];
    for (published, layer_of, of, by, policies) in layers {
        let bundle = Bundle {
            layer: layer_of,
            of: of.to_owned(),
            version: 1,
            sources: vec![layer(of, policies)],
        };
        let what = What::PolicyPublished {
            layer: published,
            version: 1,
            bundle: bundle.published()?,
        };
        let (at_ms, note) = (NOW_MS - DAY_MS, String::new());
        register.apply(
            ContentHash::of("policies", &[of.as_bytes()]),
            &Act { by, at_ms, note, what },
        )?;
    }
    Ok(())
}

fn consents(folder: &std::path::Path) -> Result<Arc<Consents>> {
    let people = People {
        unit: LogicalType::Integer,
        purposes: ["research".to_owned()].into(),
    };
    let terms = ConsentTerms {
        populations: [(PEOPLE.to_owned(), people)].into(),
        datasets: [(DATASET.to_owned(), PEOPLE.to_owned())].into(),
        mapping: BTreeMap::new(),
        permit_means: BTreeSet::new(),
        permit_categories: BTreeSet::new(),
        publish_every_ms: DAY_MS,
        subsumed: Purposes::default(),
    };
    let consents = Consents::open(&folder.join("consents.sqlite"), &[7; 32], terms)?;
    let given = Choice::Given {
        purposes: ["research".to_owned()].into(),
        window: Window::ALWAYS,
    };
    let name = |id| consents.names().of(UnitId::integer(id));
    let choices: Vec<_> = (0..CONSENTS).map(|id| (name(id), &given)).collect();
    consents.change(PEOPLE, &choices, NOW_MS - DAY_MS)?;
    consents.publish_due(NOW_MS)?;
    Ok(Arc::new(consents))
}

fn request(contract: &Contract) -> Request {
    Request {
        nonce: ContentHash([1; 32]),
        analyst: "ada".to_owned(),
        dataset: DATASET.to_owned(),
        contract: contract.hash(),
        purpose: "research".to_owned(),
        kind: "query".to_owned(),
        task: String::new(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 2,
        issued_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + DAY_MS,
    }
}
