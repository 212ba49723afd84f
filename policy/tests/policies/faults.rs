//! What is wrong with a text of policies is refused where it is loaded, all of it at once, each fault at its line.

use super::common::source;
use policy::{Fault, Policies, Source};

const GOOD: &str = "@id(\"all\")\npermit (principal, action, resource);\n";

fn faults(sources: Vec<Source>) -> Vec<(String, Fault)> {
    let faults = Policies::local("Cleveland Clinic", sources).unwrap_err();
    faults
        .iter()
        .map(|wrong| (wrong.place.to_string(), wrong.fault.clone()))
        .collect()
}

fn fault(text: &str) -> (String, Fault) {
    let mut all = faults(vec![source("a.cedar", text)]);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_policy_needs_an_id_of_its_own_and_the_fault_names_its_line() {
    let (place, found) = fault("// night\n\npermit (principal, action, resource);\n");
    assert!(matches!(found, Fault::NoId(_)), "{found}");
    assert_eq!(place, "a.cedar:3");

    let twice = format!("{GOOD}\n@id(\"all\")\nforbid (principal, action, resource);\n");
    let (place, found) = fault(&twice);
    assert_eq!(place, "a.cedar:4");
    assert_eq!(found.to_string(), "@id(\"all\") is taken by the policy at a.cedar:1");

    let across = faults(vec![source("a.cedar", GOOD), source("b.cedar", &format!("\n\n{GOOD}"))]);
    assert_eq!(across[0].0, "b.cedar:3");
    assert!(matches!(&across[0].1, Fault::RepeatedId { first, .. } if first.to_string() == "a.cedar:1"));

    let (place, found) = fault(&GOOD.replace("all", "all of them"));
    assert_eq!(
        (place.as_str(), found),
        ("a.cedar:1", Fault::BadId("all of them".into()))
    );
}

#[test]
fn the_id_becomes_the_policys_name_and_the_same_text_twice_has_two_places() {
    let unnamed = "permit (principal, action, resource);\n";
    let all = faults(vec![source("a.cedar", &format!("{unnamed}{unnamed}"))]);
    assert_eq!([all[0].0.as_str(), all[1].0.as_str()], ["a.cedar:1", "a.cedar:2"]);
    let policies = Policies::local("Cleveland Clinic", vec![source("a.cedar", GOOD)]).unwrap();
    assert_eq!(policies.ids().map(|(id, _, _)| id).collect::<Vec<_>>(), ["all"]);
}

#[test]
fn an_empty_section_is_a_fault_and_not_an_allow() {
    for nothing in ["", "\n", "// permit (principal, action, resource);\n"] {
        assert_eq!(fault(nothing), ("a.cedar".to_owned(), Fault::Empty));
    }
    assert_eq!(faults(Vec::new()), [("local layer".to_owned(), Fault::NoSource)]);
    let beside = faults(vec![source("a.cedar", GOOD), source("b.cedar", "")]);
    assert_eq!(beside, [("b.cedar".to_owned(), Fault::Empty)]);
}

#[test]
fn what_is_not_cedar_is_named_with_its_line() {
    let (place, found) = fault(&format!("{GOOD}\npermit (principal, action, resource\n"));
    assert!(matches!(found, Fault::Syntax(_)), "{found}");
    assert!(place.starts_with("a.cedar:"), "{place}");
    assert_ne!(place, "a.cedar:1");
}

#[test]
fn a_template_is_refused() {
    let (place, found) = fault(&format!(
        "{GOOD}@id(\"b\")\npermit (principal == ?principal, action, resource);\n"
    ));
    assert_eq!((place.as_str(), found), ("a.cedar:3", Fault::Template));
}

#[test]
fn a_policy_speaks_of_nothing_that_the_schema_does_not_have() {
    let when = |condition: &str| format!("@id(\"a\")\nforbid (principal, action, resource)\nwhen {{ {condition} }};\n");
    for (condition, says) in [
        ("context.purpos == Purpose::\"research\"", "purpos"),
        ("principal.rank == 1", "rank"),
        ("context.epsilon > 1", "decimal"),
        ("context.cohort == \"3\"", "Long"),
        ("principal in Hospital::\"x\"", "Hospital"),
        ("resource in Organisation::\"x\"", ""),
        ("context.columns.contains(1)", ""),
    ] {
        let all = faults(vec![source("a.cedar", &when(condition))]);
        let (place, found) = &all[0];
        assert!(
            matches!(found, Fault::Invalid { id, .. } if id == "a"),
            "{condition}: {found}"
        );
        assert!(found.to_string().contains(says), "{condition}: {found}");
        assert!(place == "a.cedar:3" || place == "a.cedar:1", "{condition}: {place}");
    }
    let all = faults(vec![source(
        "a.cedar",
        "@id(\"a\")\nforbid (principal, action == Action::\"querry\", resource);\n",
    )]);
    let meant =
        |(place, found): &(String, Fault)| place == "a.cedar:2" && found.to_string().contains("`Action::\"query\"`");
    assert!(all.iter().any(meant), "names what may be meant: {all:?}");
    let impossible = |(_, found): &(String, Fault)| found.to_string().contains("impossible");
    assert!(
        !all.iter().any(impossible),
        "what follows from a fault is not one more: {all:?}"
    );
}

#[test]
fn a_forbid_that_can_never_apply_is_a_fault() {
    let (place, found) = fault("\n@id(\"a\")\nforbid (principal, action, resource) when { false };\n");
    assert!(matches!(&found, Fault::Invalid { id, .. } if id == "a"), "{found}");
    assert_eq!(place, "a.cedar:2");
}

#[test]
fn what_no_agent_could_evaluate_in_time_is_refused_by_its_size() {
    let many: String = (0..1_001)
        .map(|i| format!("@id(\"p{i}\") permit (principal, action, resource);\n"))
        .collect();
    assert_eq!(
        fault(&many).1,
        Fault::TooMany {
            found: 1_001,
            most: 1_000
        }
    );
    let long = format!("//{}\n{GOOD}", "x".repeat(256 * 1024));
    assert!(matches!(fault(&long).1, Fault::TooLong { .. }));
}

#[test]
fn all_faults_are_told_in_the_order_of_the_text() {
    let text = "permit (principal, action, resource);\n@id(\"\")\npermit (principal, action, resource);\n";
    let all = faults(vec![source("b.cedar", text), source("a.cedar", "")]);
    let places: Vec<&str> = all.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["a.cedar", "b.cedar:1", "b.cedar:2"]);
}
