//! The file, its imports and what is published of it.

use super::*;
use governance::LogicalType;
use governance::purpose::Term;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const PATIENTS: &str = "patients";
const HOUR_MS: u64 = 3_600_000;
/// 2027-01-15.
const NOW_MS: u64 = 1_800_000_000_000;

pub(super) fn terms() -> Terms {
    let people = People {
        unit: LogicalType::Integer,
        purposes: ["research", "care"].map(String::from).into(),
    };
    Terms {
        populations: [(PATIENTS.to_owned(), people)].into(),
        datasets: [("heart".to_owned(), PATIENTS.to_owned())].into(),
        mapping: BTreeMap::new(),
        permit_means: Default::default(),
        permit_categories: Default::default(),
        publish_every_ms: 24 * HOUR_MS,
        subsumed: Purposes::default(),
    }
}

struct World {
    folder: tempfile::TempDir,
    consents: Option<Consents>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            consents: None,
        };
        world.restart();
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("participant.consent.sqlite")
    }

    fn restart(&mut self) {
        self.consents = None; // a file is open once
        self.consents = Some(Consents::open(&self.path(), &[3; 32], terms()).unwrap());
    }

    fn consents(&self) -> &Consents {
        self.consents.as_ref().unwrap()
    }

    fn import(&self, name: &str, text: &str) -> Result<u64, ConsentError> {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        Ok(self.consents().import(PATIENTS, &file, false, NOW_MS)?.changed)
    }

    fn order(&self, order: serde_json::Value) -> Result<serde_json::Value, OrderError> {
        let order: Order = serde_json::from_value(order).unwrap();
        self.consents().order(&order, NOW_MS)
    }

    /// Which of the units 1 to 9 consent.
    fn who(&self, purpose: &str, now_ms: u64) -> Vec<u64> {
        let unit = |id: i64| {
            let id = UnitId::integer(id);
            (id, self.consents().names().of(id))
        };
        let units: Vec<_> = (1..10).map(unit).collect();
        let (_, found) = self.consents().consenting(PATIENTS, purpose, now_ms, &units).unwrap();
        found.into_iter().map(|unit| unit.words()[0]).collect()
    }

    fn stamp(&self, now_ms: u64) -> Stamp {
        self.consents().stamp("heart", now_ms)
    }
}

#[test]
fn what_was_recorded_is_there_after_a_restart() {
    let mut world = World::new();
    let file = "unit,purposes,until,status\n1,research,,\n2,research;care,2027-01-20,\n3,,,withdrawn\n";
    assert_eq!(world.import("c.csv", file).unwrap(), 3);
    world
        .order(serde_json::json!({"act": "give", "unit": "4", "purposes": ["care"]}))
        .unwrap();
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "1"}))
        .unwrap();
    for _ in 0..2 {
        assert_eq!(world.who("research", NOW_MS), [2]);
        assert_eq!(world.who("care", NOW_MS), [2, 4]);
        let later_ms = Instant::parse("2027-01-20").unwrap().until_ms();
        assert_eq!(world.who("care", later_ms - 1), [2, 4]);
        assert_eq!(world.who("care", later_ms), [4], "expired by the clock");
        let status = world.order(serde_json::json!({"act": "status"})).unwrap();
        assert_eq!(status[PATIENTS]["version"], 5);
        assert_eq!(status[PATIENTS]["counts"]["withdrawn"], 2);
        assert_eq!(status[PATIENTS]["counts"]["by_purpose"]["care"], 2);
        world.restart();
    }
    assert_eq!(
        world.import("c.csv", "unit,purposes\n2,research\n4,care\n").unwrap(),
        2,
        "windows changed"
    );
    assert_eq!(world.import("c.csv", "unit,purposes\n2,research\n4,care\n").unwrap(), 0);
}

/// Somebody withdraws at ten; the nightly export is of nine, and still says that consent was given.
#[test]
fn an_import_does_not_turn_a_withdrawal_back_into_a_consent() {
    let mut world = World::new();
    world
        .import("c.csv", "unit,purposes\n1,research\n2,research\n")
        .unwrap();
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "1"}))
        .unwrap();
    world.restart();
    let old = "unit,purposes\n2,research\n1,research\n";
    let error = world.import("old.csv", old).unwrap_err().to_string();
    assert!(
        error.contains("line 3") && error.contains("--overrule-withdrawals"),
        "{error}"
    );
    // NOW_MS is in the morning of 2027-01-15: a decision of that day may be the earlier one, and one of the next day is none yet.
    for (day, at_ms) in [
        ("2027-01-14", NOW_MS + 1),
        ("2027-01-15", NOW_MS + 1),
        ("2027-01-16", NOW_MS + 1),
    ] {
        let text = format!("unit,purposes,decided\n1,research,{day}\n");
        fs::write(world.folder.path().join("d.csv"), text).unwrap();
        let file = world.folder.path().join("d.csv");
        assert!(world.consents().import(PATIENTS, &file, false, at_ms).is_err(), "{day}");
    }
    assert_eq!(world.who("research", NOW_MS), [2]);
    let file = world.folder.path().join("d.csv");
    let imported = world
        .consents()
        .import(PATIENTS, &file, false, NOW_MS + 48 * HOUR_MS)
        .unwrap();
    assert_eq!((imported.changed, imported.overruled), (1, 1));
    assert_eq!(world.who("research", NOW_MS), [1, 2]);
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "2"}))
        .unwrap();
    let order = serde_json::json!({
        "act": "import", "file": world.folder.path().join("old.csv"), "overrule_withdrawals": true
    });
    let answer = world.order(order).unwrap();
    assert_eq!(answer["withdrawals_overruled"], 1);
    assert_eq!(world.who("research", NOW_MS), [1, 2]);
}

#[test]
fn an_import_does_not_give_again_what_was_taken_back_in_part() {
    let world = World::new();
    let export = "unit,purposes,until\n1,research;care,\n2,research,\n3,research,2027-06-01\n";
    world.import("export.csv", export).unwrap();
    let give = |unit: &str, purpose: &str, until: Option<&str>| {
        let order = serde_json::json!({"act": "give", "unit": unit, "purposes": [purpose], "until": until});
        world.order(order).unwrap()
    };
    give("1", "care", None);
    give("2", "research", Some("2027-02-01"));
    let refused = |text: &str| world.import("e.csv", text).unwrap_err().to_string();
    assert!(refused("unit,purposes\n1,research;care\n").contains("line 2"));
    assert!(
        refused("unit,purposes\n2,research\n").contains("line 2"),
        "for longer than it gave"
    );
    // No more than holds is welcome, and makes nothing of it undone.
    world.import("e.csv", "unit,purposes\n1,care\n").unwrap();
    assert!(refused("unit,purposes\n1,research;care\n").contains("line 2"));
    // Nor does giving something else meanwhile make it undone.
    give("1", "care", Some("2027-02-01"));
    give("1", "care", None);
    assert!(refused("unit,purposes\n1,research;care\n").contains("line 2"));
    // Whoever took nothing back may give more by a file, as ever.
    assert_eq!(world.import("e.csv", "unit,purposes\n3,research;care\n").unwrap(), 1);
    assert_eq!(world.who("research", NOW_MS), [2, 3]);
    let file = world.folder.path().join("later.csv");
    fs::write(&file, "unit,purposes,decided\n1,research;care,2027-01-16\n").unwrap();
    let later = NOW_MS + 48 * HOUR_MS;
    assert_eq!(
        world
            .consents()
            .import(PATIENTS, &file, false, later)
            .unwrap()
            .overruled,
        1
    );
    assert_eq!(world.who("research", NOW_MS), [1, 2, 3]);
}

#[test]
fn a_fhir_consent_overrules_a_withdrawal_by_its_date() {
    let world = World::new();
    let consent = |date: &str| {
        format!(
            r#"{{"resourceType": "Consent", "status": "active", "decision": "deny", "date": "{date}", "subject": {{"reference": "Patient/1"}}, "provision": [{{"purpose": [{{"code": "research"}}]}}]}}"#
        )
    };
    world.import("a.json", &consent("2026-01-01")).unwrap();
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "1"}))
        .unwrap();
    let later = |date: &str| {
        let file = world.folder.path().join("b.json");
        fs::write(&file, consent(date)).unwrap();
        world.consents().import(PATIENTS, &file, false, NOW_MS + 48 * HOUR_MS)
    };
    assert!(later("2026-01-01").is_err());
    assert!(later("2027").is_err(), "a year is no day");
    assert_eq!(later("2027-01-16").unwrap().overruled, 1);
}

#[test]
fn a_withdrawal_of_somebody_who_is_not_on_record_is_not_reported_as_done() {
    let world = World::new();
    world.import("c.csv", "unit,purposes\n1,research\n").unwrap();
    let withdraw = |even: bool| serde_json::json!({"act": "withdraw", "unit": "11", "even_if_unknown": even});
    let error = world.order(withdraw(false)).unwrap_err();
    assert!(matches!(&error, OrderError::Unknown(population) if population == PATIENTS));
    assert!(!error.to_string().contains("11"), "no unit in an answer");
    assert_eq!(world.order(withdraw(true)).unwrap()["changed"], 1);
    assert_eq!(
        world.order(withdraw(false)).unwrap()["changed"],
        0,
        "now it is on record"
    );
    let file = world.folder.path().join("w.csv");
    fs::write(
        &file,
        "unit,purposes,status\n1,,withdrawn\n2,,withdrawn\n3,,withdrawn\n",
    )
    .unwrap();
    let imported = world.consents().import(PATIENTS, &file, false, NOW_MS).unwrap();
    assert_eq!((imported.changed, imported.not_on_record), (3, 2));
}

#[test]
fn an_id_with_white_space_around_it_names_nobody() {
    let mut terms = terms();
    terms.populations.get_mut(PATIENTS).unwrap().unit = LogicalType::String;
    let folder = tempfile::tempdir().unwrap();
    let consents = Consents::open(&folder.path().join("c.sqlite"), &[3; 32], terms).unwrap();
    let file = folder.path().join("c.csv");
    fs::write(&file, "unit,purposes\nA16,research\nA17 ,research\n").unwrap();
    let error = consents.import(PATIENTS, &file, false, NOW_MS).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("white space"), "{error}");
    let order = |unit: &str| {
        let order = serde_json::json!({"act": "withdraw", "unit": unit, "even_if_unknown": true});
        consents.order(&serde_json::from_value(order).unwrap(), NOW_MS)
    };
    assert!(matches!(order(" A16"), Err(OrderError::Fault(Fault::Spaces))));
    assert!(order("A16").is_ok());
}

#[test]
fn a_file_that_is_refused_changes_nothing() {
    let world = World::new();
    world.import("c.csv", "unit,purposes\n1,research\n").unwrap();
    let before = (world.stamp(NOW_MS), world.consents().kept().file.version().unwrap());
    for (name, text, place) in [
        ("a.csv", "unit,purposes\n2,research\n3,marketing\n", "line 3"),
        ("b.csv", "unit,purposes\n2,research\n3,care\n02,care\n", "line 4"),
        ("c.csv", "unit,purposes,until\n2,research,2020-13-01\n", "line 2"),
        ("d.csv", "unit,purposes\n2,research\nsomebody,care\n", "line 3"),
        ("e.csv", "unit,purposes,status\n2,research,perhaps\n", "line 2"),
        ("f.ndjson", "\n{\"resourceType\": \"Consent\"}\n", "line 2"),
        ("g.json", "{", "line 1"),
    ] {
        let error = world.import(name, text).unwrap_err().to_string();
        assert!(
            error.contains(place) && error.contains("nothing was imported"),
            "{name}: {error}"
        );
        assert!(!error.contains("somebody"), "{error}");
    }
    assert_eq!(
        (world.stamp(NOW_MS), world.consents().kept().file.version().unwrap()),
        before
    );
    assert_eq!(world.who("research", NOW_MS), [1]);
}

#[test]
fn a_bundle_of_fhir_consents_is_taken_whole_or_refused_by_line() {
    let world = World::new();
    let consent = |unit: u32, status: &str| {
        serde_json::json!({ "resource": {
            "resourceType": "Consent", "status": status, "decision": "deny",
            "subject": { "reference": format!("Patient/{unit}") },
            "provision": [{ "purpose": [{ "code": "research" }] }]
        }})
    };
    let bundle = |entries: &[serde_json::Value]| {
        let entries: Vec<String> = entries.iter().map(|entry| entry.to_string()).collect();
        let entries = entries.join(",\n");
        format!("{{\"resourceType\": \"Bundle\", \"type\": \"collection\", \"entry\": [\n{entries}\n]}}")
    };
    let good = [consent(1, "active"), consent(2, "inactive"), consent(3, "active")];
    assert_eq!(world.import("b.json", &bundle(&good)).unwrap(), 3);
    assert_eq!(world.who("research", NOW_MS), [1, 3]);
    let twice = [consent(4, "active"), consent(5, "active"), consent(4, "inactive")];
    let error = world.import("b.json", &bundle(&twice)).unwrap_err().to_string();
    assert!(error.contains("line 4") && error.contains("line 2"), "{error}");
    let draft = [consent(4, "active"), consent(5, "draft")];
    assert!(
        world
            .import("b.json", &bundle(&draft))
            .unwrap_err()
            .to_string()
            .contains("line 3")
    );
    assert_eq!(world.who("research", NOW_MS), [1, 3]);
    let lines: Vec<String> = good.iter().map(|entry| entry["resource"].to_string()).collect();
    assert_eq!(
        world.import("n.ndjson", &lines.join("\n")).unwrap(),
        0,
        "they say the same"
    );
}

#[test]
fn the_file_is_private_names_nobody_and_is_open_once() {
    let world = World::new();
    let text = "unit,purposes\n987654321098765,research\n";
    world.import("c.csv", text).unwrap();
    assert_eq!(fs::metadata(world.path()).unwrap().permissions().mode() & 0o777, 0o600);
    for entry in fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending != "csv") {
            let bytes = fs::read(&path).unwrap();
            for spelled in [
                &b"987654321098765"[..],
                &987_654_321_098_765i64.to_le_bytes(),
                &987_654_321_098_765i64.to_be_bytes(),
            ] {
                assert!(
                    !bytes.windows(spelled.len()).any(|w| w == spelled),
                    "{}",
                    path.display()
                );
            }
        }
    }
    assert!(
        Consents::open(&world.path(), &[3; 32], terms()).is_err(),
        "by the running agent"
    );
}

#[test]
fn a_stamp_is_another_one_after_every_change_and_whenever_a_consent_begins_or_ends() {
    let world = World::new();
    world
        .import("c.csv", "unit,purposes,from,until\n1,research,2027-01-16,2027-01-17\n")
        .unwrap();
    let first = world.stamp(NOW_MS);
    assert_eq!(world.stamp(NOW_MS + HOUR_MS), first);
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "2", "even_if_unknown": true}))
        .unwrap();
    let second = world.stamp(NOW_MS);
    assert_ne!(
        second, first,
        "a unit that was not on record may be in the data all the same"
    );
    world
        .order(serde_json::json!({"act": "withdraw", "unit": "2", "even_if_unknown": true}))
        .unwrap();
    assert_eq!(world.stamp(NOW_MS), second, "nothing changed");
    let mut seen = vec![second];
    for day in ["2027-01-16", "2027-01-18"] {
        let begins_ms = Instant::parse(day).unwrap().from_ms();
        assert_eq!(world.stamp(begins_ms - 1), seen[seen.len() - 1]);
        let stamp = world.stamp(begins_ms);
        assert!(!seen.contains(&stamp), "{day}");
        seen.push(stamp);
    }
    assert!(!seen.contains(&world.stamp(NOW_MS)), "a clock that was put back");
    let held = world.consents().kept();
    let overdue = world.stamp(NOW_MS + 40 * 24 * HOUR_MS);
    drop(held);
    assert!(overdue.overdue, "while somebody imports nothing is sure");
    assert_eq!(world.consents().stamp("another", NOW_MS), Stamp::default());
}

#[test]
fn what_is_published_follows_the_clock_and_never_a_change() {
    let mut world = World::new();
    assert_eq!(world.consents().published("heart"), None);
    let published = |world: &World, now_ms| {
        world.consents().publish_due(now_ms).unwrap();
        world.consents().published("heart").unwrap()
    };
    let first = published(&world, NOW_MS);
    world.import("c.csv", "unit,purposes\n1,research\n").unwrap();
    world.restart();
    assert_eq!(
        published(&world, NOW_MS + 1),
        first,
        "neither a change nor a restart moves it"
    );
    let day = 24 * HOUR_MS;
    let second = published(&world, NOW_MS + day);
    let third = published(&world, NOW_MS + 2 * day);
    assert_eq!((second.number, third.number), (first.number + 1, first.number + 2));
    assert_ne!(first.root, second.root);
    assert_ne!(second.root, third.root, "though nothing had changed");
    assert_eq!(world.consents().published("another"), None);
}

#[test]
fn an_order_says_what_it_lacks() {
    let world = World::new();
    let error = |order| world.order(order).unwrap_err().to_string();
    let give = |purpose: &str, until: &str| {
        error(serde_json::json!({"act": "give", "unit": "1", "purposes": [purpose], "until": until}))
    };
    assert!(give("marketing", "2028-01-01").contains("known here are care, research"));
    assert!(give("care", "tomorrow").contains("2027-01-31"));
    assert!(give("care", "2027-01-01").contains("ends before it begins"));
    assert!(error(serde_json::json!({"act": "withdraw", "unit": "x"})).contains("names no unit"));
    assert!(error(serde_json::json!({"act": "status", "population": "pets"})).contains("`pets`"));
}

#[derive(Debug, Clone)]
enum Act {
    Give {
        unit: i64,
        purpose: &'static str,
        from: u64,
        long: u64,
    },
    Withdraw {
        unit: i64,
    },
    Restart,
}

fn any_act() -> impl Strategy<Value = Act> {
    let purpose = prop::sample::select(vec!["research", "care"]);
    prop_oneof![
        4 => (1..5i64, purpose, 0..20u64, 1..20u64).prop_map(|(unit, purpose, from, long)| Act::Give { unit, purpose, from, long }),
        2 => (1..5i64).prop_map(|unit| Act::Withdraw { unit }),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Through the file and through restarts; and two equal stamps never stand before different answers.
    #[test]
    fn the_filter_of_any_schedule_is_the_definition(acts in prop::collection::vec((any_act(), 0..40u64), 1..16)) {
        let mut world = World::new();
        let mut definition: BTreeMap<i64, (&str, u64, u64)> = BTreeMap::new();
        let mut answers: Vec<(Stamp, Vec<u64>)> = Vec::new();
        for (act, now_ms) in acts {
            match act {
                Act::Give { unit, purpose, from, long } => {
                    let window = Window { from_ms: from, until_ms: from + long };
                    let choice = Choice::Given { purposes: [purpose.to_owned()].into(), window };
                    let name = world.consents().names().of(UnitId::integer(unit));
                    world.consents().change(PATIENTS, &[(name, &choice)], now_ms).unwrap();
                    definition.insert(unit, (purpose, from, from + long));
                }
                Act::Withdraw { unit } => {
                    let name = world.consents().names().of(UnitId::integer(unit));
                    world.consents().change(PATIENTS, &[(name, &Choice::Withdrawn)], now_ms).unwrap();
                    definition.remove(&unit);
                }
                Act::Restart => {
                    world.restart();
                    answers.clear(); // so were the epoch's secrets: no vector outlives a restart
                }
            }
            let expected: Vec<u64> = definition
                .iter()
                .filter(|(_, (purpose, from, until))| *purpose == "research" && (*from..*until).contains(&now_ms))
                .map(|(unit, _)| *unit as u64)
                .collect();
            let found = world.who("research", now_ms);
            prop_assert_eq!(&found, &expected);
            let stamp = world.stamp(now_ms);
            for (known, answer) in &answers {
                prop_assert!(*known != stamp || *answer == found, "{:?} stands before two answers", stamp);
            }
            answers.push((stamp, found));
        }
    }
}

fn vocabulary(terms: &[(&str, &[&str])]) -> Vocabulary {
    let term = |(id, broader): &(&str, &[&str])| Term {
        id: (*id).to_owned(),
        label: (*id).to_owned(),
        broader: broader.iter().map(|id| (*id).to_owned()).collect(),
    };
    Vocabulary::new(&terms.iter().map(term).collect::<Vec<_>>()).unwrap()
}

#[test]
fn another_vocabulary_is_a_change_of_everybodys_consent() {
    let mut world = World::new();
    world.import("c.csv", "unit,purposes\n1,research\n2,care\n").unwrap();
    let before = world.stamp(NOW_MS);
    assert_eq!(world.who("stroke", NOW_MS), [0; 0], "it is in no vocabulary");
    let narrow = vocabulary(&[("research", &[]), ("care", &[]), ("stroke", &["research"])]);
    world.consents().speaks(1, &narrow);
    let after = world.stamp(NOW_MS);
    assert_ne!(before, after, "a vector that was computed by the old one stays");
    assert_eq!(world.who("stroke", NOW_MS), [1]);
    assert_eq!(world.who("research", NOW_MS), [1], "never the other way round");
    world.consents().speaks(1, &narrow);
    assert_eq!(world.stamp(NOW_MS), after);
    let (generation, _) = world.consents().consenting(PATIENTS, "stroke", NOW_MS, &[]).unwrap();
    assert_eq!(generation, after.generation, "filter and stamp name one state");
    // What a form was signed for may be wider than what anybody asks here.
    let wide = vocabulary(&[("anything", &[]), ("research", &["anything"]), ("care", &[])]);
    world.consents().speaks(2, &wide);
    world.import("d.csv", "unit,purposes\n3,anything\n").unwrap();
    assert_eq!(world.who("research", NOW_MS), [1, 3]);
    assert!(world.import("e.csv", "unit,purposes\n3,stroke\n").is_err());
    world.restart();
    assert_eq!(world.who("research", NOW_MS), [1], "what ships knows no such purpose");
}

proptest! {
    /// The definition: a way upwards from what is asked to what was consented to.
    #[test]
    fn a_consent_covers_what_lies_within_it_and_nothing_else(
        edges in prop::collection::btree_set((0..6usize, 0..6usize), 0..12),
        given in prop::collection::vec(0..7usize, 1..9),
        asked in 0..7usize,
    ) {
        // Wider terms have smaller numbers, so there is no circle; the last is in no vocabulary.
        let names: Vec<String> = (0..7).map(|i| format!("t{i}")).collect();
        let broader = |of: usize| edges.iter().filter(move |(a, b)| a != b && *a.max(b) == of).map(|(a, b)| *a.min(b));
        fn within(asked: usize, by: usize, broader: &dyn Fn(usize) -> Vec<usize>) -> bool {
            asked == by || broader(asked).into_iter().any(|wide| within(wide, by, broader))
        }
        let terms: Vec<Term> = (0..6)
            .map(|i| Term {
                id: names[i].clone(),
                label: names[i].clone(),
                broader: broader(i).map(|wide| names[wide].clone()).collect(),
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let people = People { unit: LogicalType::Integer, purposes: names.iter().cloned().collect() };
        let terms_of_consent = Terms { populations: [(PATIENTS.to_owned(), people)].into(), ..super::tests::terms() };
        let consents = Consents::open(&folder.path().join("c.sqlite"), &[3; 32], terms_of_consent).unwrap();
        consents.speaks(1, &Vocabulary::new(&terms).unwrap());
        let units: Vec<_> = (0..given.len() as i64)
            .map(UnitId::integer)
            .map(|unit| (unit, consents.names().of(unit)))
            .collect();
        for ((_, name), purpose) in units.iter().zip(&given) {
            let choice = Choice::Given { purposes: [names[*purpose].clone()].into(), window: Window::ALWAYS };
            consents.change(PATIENTS, &[(*name, &choice)], NOW_MS).unwrap();
        }
        let (_, found) = consents.consenting(PATIENTS, &names[asked], NOW_MS, &units).unwrap();
        let up = |of: usize| broader(of).collect::<Vec<_>>();
        let expected: Vec<UnitId> = units
            .iter()
            .zip(&given)
            .filter(|(_, by)| within(asked, **by, &up))
            .map(|((unit, _), _)| *unit)
            .collect();
        prop_assert!(found == expected, "asked {asked}, given {given:?}, edges {edges:?}");
    }
}
