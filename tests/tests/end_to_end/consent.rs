//! Consent over real sockets: three clinics that require it, whose people give it and take it back while the agents run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sotto_participant::consent::Order;
use sotto_participant::socket;
use sotto_participant::status::Command;
use sottovoce::local::Spec;
use workload::query::Cell;

use crate::world::World;

const COUNT: &str = "SELECT COUNT(DISTINCT patient) FROM visits";
const CLINICS: [&str; 3] = ["north", "south", "east"];

fn clinics() -> PathBuf {
    Path::new("../client/examples/clinics").canonicalize().unwrap()
}

/// The example of three clinics, each of which requires consent and has a budget to speak of.
async fn world() -> World {
    let folder = clinics();
    let text = std::fs::read_to_string(folder.join("consortium.toml")).unwrap();
    let example = Spec::parse(&text, "consortium.toml", &folder).unwrap();
    World::with(move |spec| {
        let listen = spec.listen;
        *spec = example;
        spec.listen = listen;
        for site in &mut spec.participants {
            let set = |table: &mut toml::Value, key: &str, value: toml::Value| {
                table.as_table_mut().unwrap().insert(key.to_owned(), value);
            };
            set(&mut site.config["dataset"][0], "consent", "required".into());
            set(&mut site.config["population"][0], "epsilon", 500.0.into());
            let everybody = toml::Table::from_iter([("*".to_owned(), 500.0.into())]);
            set(&mut site.config["population"][0], "analysts", everybody.into());
        }
    })
    .await
}

/// Whoever a clinic's file is about.
fn people(clinic: &str) -> Vec<String> {
    let text = std::fs::read_to_string(clinics().join(format!("{clinic}.csv"))).unwrap();
    let ids = text.lines().skip(1).filter_map(|line| line.split(',').next());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}

async fn order(world: &World, clinic: &str, order: Order) -> Value {
    let path = world.state().join(format!("participants/{clinic}/participant.sock"));
    let answer = socket::ask(&path, &Command::Consent { order }).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

async fn import(world: &World, clinic: &str, people: &[String], rest: &str) -> Value {
    let file = world.folder.path().join(format!("{clinic}-consents.csv"));
    let lines: String = people.iter().map(|id| format!("{id},{rest}\n")).collect();
    std::fs::write(&file, format!("unit,purposes,status\n{lines}")).unwrap();
    let population = None;
    let all = Order::Import {
        file,
        population,
        overrule_withdrawals: false,
    };
    order(world, clinic, all).await
}

/// The count of a question, and whether the answer was one of before.
async fn count(world: &World, sql: &str) -> (f64, bool) {
    let mut analyst = world.analyst().await;
    let asked = sottovoce::ask::ask(&mut analyst, sql, 20.0, "research");
    let answer = tokio::time::timeout(Duration::from_secs(90), asked)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        answer.receipt().contributors,
        3,
        "who has nobody's consent answers all the same"
    );
    match &answer.table().rows[0][0] {
        Cell::Estimate { value: Some(value), .. } => (*value, answer.repeated()),
        other => panic!("expected an estimate, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_consent_are_counted_and_whoever_withdraws_no_more() {
    let world = world().await;
    let near =
        |found: f64, truth: usize| assert!((found - truth as f64).abs() < 12.0, "{found}, expected about {truth}");
    let (nobody, _) = count(&world, COUNT).await;
    near(nobody, 0);

    let people: Vec<Vec<String>> = CLINICS.iter().map(|clinic| people(clinic)).collect();
    for (clinic, people) in CLINICS.iter().zip(&people).take(2) {
        let answer = import(&world, clinic, people, "research,").await;
        assert_eq!(answer["changed"], people.len());
    }
    // The same question is the same answer until consents are published: nobody may see that they changed.
    assert_eq!(count(&world, COUNT).await, (nobody, true));
    let other = format!("{COUNT} WHERE age >= 0");
    let (some, repeated) = count(&world, &other).await;
    assert!(!repeated);
    near(some, people[0].len() + people[1].len());

    import(&world, "south", &people[1], ",withdrawn").await;
    let unit = people[0][0].clone();
    let withdraw = Order::Withdraw {
        unit,
        population: None,
        even_if_unknown: false,
    };
    let one = order(&world, "north", withdraw).await;
    assert_eq!(one["changed"], 1);
    let (left, _) = count(&world, &format!("{COUNT} WHERE age <= 100")).await;
    near(left, people[0].len() - 1);
    let status = order(&world, "south", Order::Status { population: None }).await;
    assert_eq!(status["patients"]["counts"]["withdrawn"], people[1].len());
    assert_eq!(status["patients"]["version"], 2 * people[1].len());
    world.running.stop().await;
}
