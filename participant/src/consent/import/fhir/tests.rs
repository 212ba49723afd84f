//! Resources that are understood, and those that are not.

use super::*;
use crate::consent::purposes::Purposes;
use governance::LogicalType;
use governance::purpose::{Term, Vocabulary};
use serde_json::json;
use std::collections::BTreeMap;

const HRESCH: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason|HRESCH";

fn terms() -> (Terms, People) {
    let people = People {
        unit: LogicalType::Integer,
        purposes: ["research", "care", "care.quality"].map(String::from).into(),
    };
    let terms = Terms {
        populations: BTreeMap::new(),
        datasets: BTreeMap::new(),
        mapping: [(HRESCH.to_owned(), "research".to_owned())].into(),
        permit_means: BTreeSet::new(),
        permit_categories: BTreeSet::from(["http://loinc.org|59284-0".to_owned()]),
        publish_every_ms: 1,
        subsumed: Purposes::default(),
    };
    (terms, people)
}

fn read(resource: &Value) -> Result<(String, Choice), Fault> {
    let (terms, people) = terms();
    decision(resource, &terms, &people)
}

/// Somebody permits research from 2024 through 2026-01-31.
fn opted_in() -> Value {
    json!({
        "resourceType": "Consent",
        "id": "c1",
        "status": "active",
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "subject": {"reference": "https://ehr.example.org/fhir/Patient/17/_history/3"},
        "date": "2024-01-01",
        "period": {"start": "2024-01-01", "end": "2026-01-31"},
        "decision": "deny",
        "provision": [{"purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]}]
    })
}

fn given(purposes: &[&str], from: &str, until: &str) -> Choice {
    Choice::Given {
        purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
        window: Window {
            from_ms: Instant::parse(from).unwrap().from_ms(),
            until_ms: Instant::parse(until).unwrap().until_ms(),
        },
    }
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut resource = opted_in();
    change(&mut resource);
    resource
}

#[test]
fn who_denies_but_for_a_purpose_permits_that_purpose() {
    let expected = given(&["research"], "2024-01-01", "2026-01-31");
    assert_eq!(read(&opted_in()).unwrap(), ("17".to_owned(), expected));
    let two = with(|c| {
        c["provision"] = json!([
            {"purpose": [{"code": "care"}], "period": {"start": "2025-01-01"}},
            {"purpose": [{"code": "research"}], "period": {"start": "2025-01-01"}}
        ]);
    });
    assert_eq!(
        read(&two).unwrap().1,
        given(&["research", "care"], "2025-01-01", "2026-01-31")
    );
}

#[test]
fn whatever_is_not_in_force_is_no_consent() {
    for status in ["inactive", "not-done", "entered-in-error"] {
        assert_eq!(
            read(&with(|c| c["status"] = json!(status))).unwrap().1,
            Choice::Withdrawn,
            "{status}"
        );
    }
    let denied = with(|c| drop(c.as_object_mut().unwrap().remove("provision")));
    assert_eq!(read(&denied).unwrap().1, Choice::Withdrawn);
}

/// Of the four uses of a Consent, three are consents to something else altogether.
#[test]
fn a_plain_permit_of_another_kind_or_to_somebody_in_particular_is_none() {
    let plain = |change: &dyn Fn(&mut Value)| {
        with(|c| {
            c["decision"] = json!("permit");
            c.as_object_mut().unwrap().remove("provision");
            change(c);
        })
    };
    let (mut terms, people) = terms();
    terms.permit_means = ["research".to_owned()].into();
    let choice = |resource: &Value, terms: &Terms| decision(resource, terms, &people);
    assert!(choice(&plain(&|_| {}), &terms).is_ok());
    let synonyms = plain(&|c| {
        c["category"][0]["coding"] = json!([{"code": "local"}, {"system": "http://loinc.org", "code": "59284-0"}])
    });
    assert!(choice(&synonyms, &terms).is_ok());
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("permit_categories", |c| {
            c["category"] = json!([{"coding": [{"code": "acd"}]}])
        }),
        ("permit_categories", |c| {
            c["category"]
                .as_array_mut()
                .unwrap()
                .push(json!({"coding": [{"code": "treatment"}]}))
        }),
        ("permit_categories", |c| c["category"] = json!([{"text": "privacy"}])),
        ("permit_categories", |c| {
            drop(c.as_object_mut().unwrap().remove("category"))
        }),
        ("grantee", |c| c["grantee"] = json!([{"reference": "Organization/1"}])),
        ("controller", |c| {
            c["controller"] = json!([{"reference": "Organization/1"}])
        }),
    ];
    for (says, change) in changes {
        match choice(&plain(&change), &terms) {
            Err(Fault::NotUnderstood(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{says}: {other:?}"),
        }
    }
    for whose in ["grantee", "controller"] {
        let to_one = with(|c| c[whose] = json!([{"reference": "Organization/1"}]));
        match choice(&to_one, &terms) {
            Err(Fault::NotUnderstood(text)) => assert!(text.contains(whose), "{text}"),
            other => panic!("by provision, to one {whose}: {other:?}"),
        }
    }
    terms.permit_categories = ["59284-0".to_owned()].into();
    assert!(choice(&plain(&|_| {}), &terms).is_ok(), "by its code alone");
    terms.permit_categories.clear();
    assert!(choice(&plain(&|_| {}), &terms).is_err(), "nobody said which kinds");
}

#[test]
fn a_plain_permit_stands_for_what_the_configuration_says_without_its_exceptions() {
    let plain = with(|c| {
        c["decision"] = json!("permit");
        c.as_object_mut().unwrap().remove("provision");
    });
    assert!(
        matches!(read(&plain), Err(Fault::NotUnderstood(_))),
        "for what? nobody said"
    );
    let (mut terms, people) = terms();
    terms.permit_means = ["research", "care"].map(String::from).into();
    let choice = |resource: &Value, terms: &Terms| decision(resource, terms, &people).map(|(_, choice)| choice);
    assert_eq!(
        choice(&plain, &terms).unwrap(),
        given(&["research", "care"], "2024-01-01", "2026-01-31")
    );
    let but_research = with(|c| c["decision"] = json!("permit"));
    assert_eq!(
        choice(&but_research, &terms).unwrap(),
        given(&["care"], "2024-01-01", "2026-01-31")
    );
    let but_both = with(|c| {
        c["decision"] = json!("permit");
        c["provision"][0]["purpose"] = json!([{"code": "research"}, {"code": "care"}]);
    });
    assert_eq!(choice(&but_both, &terms).unwrap(), Choice::Withdrawn);

    // Where purposes lie within others, all of a purpose but a part of it cannot be said; a whole branch can.
    let term = |id: &str, broader: &[&str]| Term {
        id: id.to_owned(),
        label: id.to_owned(),
        broader: broader.iter().map(|id| (*id).to_owned()).collect(),
    };
    let own = [term("care", &[]), term("care.quality", &["care"])];
    terms.subsumed.speak(1, &Vocabulary::new(&own).unwrap());
    let but_quality = with(|c| {
        c["decision"] = json!("permit");
        c["provision"][0]["purpose"] = json!([{"code": "care.quality"}]);
    });
    assert!(matches!(choice(&but_quality, &terms), Err(Fault::NotUnderstood(_))));
    terms.permit_means = ["research", "care.quality"].map(String::from).into();
    let but_care = with(|c| {
        c["decision"] = json!("permit");
        c["provision"][0]["purpose"] = json!([{"code": "care"}]);
    });
    assert_eq!(
        choice(&but_care, &terms).unwrap(),
        given(&["research"], "2024-01-01", "2026-01-31")
    );
}

#[test]
fn what_is_not_understood_is_a_refusal_and_never_a_permit() {
    let actor = json!([{"role": {"text": "recipient"}, "reference": {"reference": "Organization/1"}}]);
    let bad: Vec<Value> = vec![
        with(|c| c["resourceType"] = json!("Patient")),
        with(|c| c["modifierExtension"] = json!([{"url": "urn:not"}])),
        with(|c| c["implicitRules"] = json!("urn:rules")),
        with(|c| c["_status"] = json!({"extension": []})),
        with(|c| c["patient"] = json!({"reference": "Patient/17"})),
        with(|c| c["policyRule"] = json!({"text": "opt in"})),
        with(|c| c["status"] = json!("draft")),
        with(|c| c["status"] = json!("unknown")),
        with(|c| c["status"] = json!(7)),
        with(|c| drop(c.as_object_mut().unwrap().remove("status"))),
        with(|c| c["decision"] = json!("maybe")),
        with(|c| drop(c.as_object_mut().unwrap().remove("decision"))),
        with(|c| c["subject"] = json!({"display": "somebody"})),
        with(|c| c["subject"] = json!({"reference": "Group/17"})),
        with(|c| c["subject"] = json!({"reference": "urn:uuid:0f"})),
        with(|c| c["period"]["start"] = json!("2024")),
        with(|c| c["period"]["end"] = json!("2020-01-01")),
        with(|c| c["period"]["_end"] = json!({})),
        with(|c| c["provision"] = json!({"purpose": [{"code": "research"}]})),
        with(|c| c["provision"][0]["actor"] = actor),
        with(|c| c["provision"][0]["type"] = json!("permit")),
        with(|c| c["provision"][0]["dataPeriod"] = json!({"start": "2024-01-01"})),
        with(|c| c["provision"][0]["provision"] = json!([{"purpose": [{"code": "research"}]}])),
        with(|c| c["provision"][0]["modifierExtension"] = json!([])),
        with(|c| c["provision"][0]["purpose"] = json!([])),
        with(|c| c["provision"][0]["purpose"] = json!([{"code": "marketing"}])),
        with(|c| c["provision"][0]["purpose"] = json!([{"display": "research"}])),
        with(|c| c["verification"] = json!([{"verified": false}])),
        with(|c| {
            let later = json!({"purpose": [{"code": "care"}], "period": {"start": "2025-01-01"}});
            c["provision"].as_array_mut().unwrap().push(later);
        }),
    ];
    for resource in bad {
        assert!(read(&resource).is_err(), "{resource}");
    }
    assert!(read(&with(|c| c["verification"] = json!([{"verified": true}]))).is_ok());
}
