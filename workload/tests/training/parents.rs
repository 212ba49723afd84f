//! Models that continue from models: the parent stands in the signed plan, and nobody can put another one in its place.

use engine::Workload;
use governance::Addition;
use workload::training::{ModelKind, Start, State, TrainPlan, TrainTask, TrainWorkload};

use crate::common::{TERMS, data, points, real, request, rows, run};

fn task(rounds: u32) -> TrainTask {
    TrainTask {
        learning_rate: real(2.0),
        expected_units: Some(400),
        ..TrainTask::dp_sgd(&["a", "b", "c"], "label", ModelKind::Logistic, rounds)
    }
}

#[test]
fn a_run_continues_where_its_parent_ended() {
    let sites = data(&rows(5, 4, 100, "label"));
    let parent = run(&task(3), &points(), 8.0, &sites, 1);
    assert_eq!((parent.parent, parent.name.as_str()), (None, "points.label"));
    let start = Start::from_model(&parent.model).unwrap();
    let task = TrainTask {
        start: Some(start),
        name: Some("labels".to_owned()),
        ..task(2)
    };
    let plan = TrainPlan::new(task.clone(), &points(), &TERMS, 8.0, 1e-5).unwrap();
    let read = TrainPlan::from_bytes(&plan.to_bytes()).unwrap();
    assert_eq!(State::initial(&read).parameters, parent.model.weights().unwrap());
    let child = run(&task, &points(), 8.0, &sites, 2);
    assert_eq!(child.parent, Some(parent.model_hash));
    assert_ne!(child.model_hash, parent.model_hash);
    // And the registry hears of both.
    let body = governance::canonical::to_string(&child).unwrap();
    let adds = TrainWorkload.adds(&request(&task, &points(), 8.0), body.as_bytes());
    let Some(Addition::Version {
        name,
        model,
        parent: of,
    }) = adds
    else {
        panic!("a run adds a version");
    };
    assert_eq!((name.as_str(), model, of), ("labels", child.model_hash, child.parent));
}

#[test]
fn another_model_in_the_parents_place_is_refused_by_every_party() {
    let sites = data(&rows(5, 4, 60, "label"));
    let parent = run(&task(2), &points(), 8.0, &sites, 1);
    let good = Start::from_model(&parent.model).unwrap();
    let refused = |start: Start, features: &[&str]| {
        let task = TrainTask {
            start: Some(start),
            features: features.iter().map(|name| (*name).to_owned()).collect(),
            ..task(2)
        };
        TrainPlan::new(task, &points(), &TERMS, 8.0, 1e-5).unwrap_err().message
    };
    let all = ["a", "b", "c"];
    let other = run(&task(2), &points(), 8.0, &sites, 9);
    let swapped = Start {
        parameters: other.model.parameters.clone(),
        ..good.clone()
    };
    assert!(refused(swapped, &all).contains("does not fit this run"));
    // Other features in the same number have the same shape, and still make another model.
    assert!(refused(good.clone(), &["b", "a", "c"]).contains("does not fit this run"));
    assert!(refused(good.clone(), &["a", "b"]).contains("does not fit this run"));
    let not_numbers = Start {
        parameters: "AAAAAAAA+H8=".repeat(4),
        ..good
    };
    assert!(refused(not_numbers, &all).contains("does not fit this run"));
}

#[test]
fn a_name_that_no_command_could_spell_is_refused() {
    for name in ["", "a b", "x@y", &"n".repeat(65)] {
        let task = TrainTask {
            name: Some(name.to_owned()),
            ..task(2)
        };
        assert!(task.check().unwrap_err().message.contains("name out of range"));
    }
}
