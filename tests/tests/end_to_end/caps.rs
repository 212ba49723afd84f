//! A cap is raised at a real agent: two keys, a proposal off its store, two signatures, a line in its configuration, a restart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sotto_participant::budget::Order;
use sotto_participant::socket;
use sotto_participant::status::Command;

use crate::world::World;

fn carried_out(order: &Order, config: &Path) -> Value {
    order.carry_out(config).unwrap_or_else(|problem| panic!("{problem}"))
}

async fn ask(world: &World, order: Command) -> Value {
    let path = world.state().join("participants/cleveland/participant.sock");
    for _ in 0..300 {
        if let Ok(answer) = socket::ask(&path, &order).await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // until it runs, for at most half a minute
    }
    panic!("no agent answers");
}

/// The caps, once the agent has spoken to the coordinator: it aligns them with the first thing that happens to it.
async fn cap(world: &World) -> u64 {
    world.agents_in_epoch(4).await;
    let ledger = ask(world, Command::Ledger { population: None }).await;
    ledger["patients"]["cap"]["epsilon_nano"].as_u64().unwrap() / 1_000_000_000
}

async fn restarted(world: &mut World, config: &Path, change: impl FnOnce(&mut toml::Table)) {
    world.running.kill("cleveland").await.unwrap();
    let mut table: toml::Table = toml::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
    change(&mut table);
    std::fs::write(config, toml::to_string(&table).unwrap()).unwrap();
    world.running.restart("cleveland").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_raise_a_cap_of_a_running_agent_and_one_does_not() {
    let keys = tempfile::tempdir().unwrap();
    let at = |name: &str| keys.path().join(name);
    let mut approvers = toml::Table::new();
    for name in ["ada", "bo"] {
        let (name, output) = (name.to_owned(), at(name));
        let made = carried_out(&Order::Key { name, output }, Path::new("none"));
        approvers.extend(toml::from_str::<toml::Table>(made["approvers"].as_str().unwrap()).unwrap());
    }
    let mut world = World::with(|spec| {
        let cleveland = &mut spec.participants[0].config;
        cleveland.insert("approvers".to_owned(), toml::Value::Table(approvers));
    })
    .await;
    let config: PathBuf = world.state().join("participants/cleveland/participant.toml");
    let before = cap(&world).await;
    let nothing = carried_out(&Order::Propose { output: None }, &config);
    assert_eq!(nothing["to_be_signed"], "nothing");

    let raised = before + 5;
    restarted(&mut world, &config, |table| {
        table["population"][0]["epsilon"] = toml::Value::Float(raised as f64);
    })
    .await;
    assert_eq!(cap(&world).await, before);
    let status = ask(&world, Command::Status).await;
    let told = status["not_approved"][0].as_str().unwrap();
    assert!(told.contains("SOTTO-3041") && told.contains("budget propose"), "{told}");

    let file = at("raise.json");
    let output = Some(file.clone());
    let proposed = carried_out(&Order::Propose { output }, &config);
    assert_eq!(proposed["by_two_of"], serde_json::json!(["ada", "bo"]));
    let sign = |name: &str| {
        let (file, key) = (file.clone(), at(name));
        carried_out(&Order::Sign { file, key, yes: true }, Path::new("none"))
    };
    sign("ada");
    let listed = toml::Value::Array(vec![file.to_string_lossy().into_owned().into()]);
    restarted(&mut world, &config, |table| {
        table.insert("approvals".to_owned(), listed);
    })
    .await;
    assert_eq!(cap(&world).await, before, "one person");
    sign("bo");
    restarted(&mut world, &config, |_| {}).await;
    assert_eq!(cap(&world).await, raised);
    let status = ask(&world, Command::Status).await;
    assert_eq!(status["not_approved"], serde_json::json!([]));
    assert!(status["approvers"]["ada"].is_string(), "{status}");
    world.running.stop().await;
}
