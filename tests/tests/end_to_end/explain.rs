//! `sotto explain` and `sotto demo` as people run them, over real processes: the way of every owner's decision, with nothing spent, and
//! the tour from its first question to the flipped byte.

use serde_json::Value;
use sottovoce::explained::OwnerPath;

use crate::COUNT;
use crate::world::World;

pub async fn run(arguments: &[&str], environment: &[(&str, &std::path::Path)]) -> (bool, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_party"));
    command.args(arguments);
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn rules(owner: &Value) -> Vec<&str> {
    let steps = owner["steps"].as_array().unwrap();
    steps.iter().map(|step| step["rule"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_every_owners_way_and_spends_nothing() {
    let world = World::of_hospitals().await;
    let before = world.left("cleveland").await;
    let leaves_before = world.analyst().await.read_log().await.unwrap_or_default().leaves;
    let profile = world.state().join("profile.toml");
    let environment = [("SOTTO_PROFILE", profile.as_path())];
    let (good, told, error) = run(&["explain", COUNT, "--epsilon", "0.5", "--json"], &environment).await;
    assert!(good, "{error}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let owners = told["tried"]["owners"].as_array().unwrap();
    assert_eq!(owners.len(), 4, "{told:#}");
    for owner in owners {
        assert_eq!(owner["verdict"], "allow", "{owner:#}");
        for rule in [
            "signature",
            "contract",
            "local.list",
            "contract.purpose",
            "policy",
            "consent",
            "budget",
        ] {
            assert!(rules(owner).contains(&rule), "{rule}: {owner:#}");
        }
    }
    let (good, told, _) = run(
        &["explain", COUNT, "--epsilon", "0.5", "--purpose", "marketing"],
        &environment,
    )
    .await;
    assert!(good, "that owners would refuse is an answer");
    assert!(
        told.contains("cleveland") && told.contains("refuse (SOTTO-3005)"),
        "{told}"
    );
    assert!(told.contains("contract.purpose") && told.contains("to be allowed: allowed purposes: research, quality"));
    let (good, told, _) = run(&["explain", COUNT, "--epsilon", "0.5", "--local"], &environment).await;
    assert!(good && told.contains("no owner was asked"), "{told}");

    // One owner pauses: the others would still answer.
    let socket = world.state().join("participants/zurich/participant.sock");
    let pause = sotto_participant::status::Command::Pause {
        dataset: "heart".to_owned(),
    };
    sotto_participant::socket::ask(&socket, &pause).await.unwrap();
    let mut analyst = world.analyst().await;
    let dataset = analyst.dataset("heart").await.unwrap();
    let question = sottovoce::ask::question(&dataset, COUNT, 0.5, "research", 1);
    let said = analyst.explain(question).await.unwrap();
    let refuses = |owner: &&OwnerPath| owner.verdict() == "refuse";
    let refusing: Vec<&str> = said
        .iter()
        .filter(refuses)
        .map(|owner| owner.participant.as_str())
        .collect();
    assert_eq!(refusing, ["zurich"]);
    assert!(said.iter().find(refuses).unwrap().words().contains("SOTTO-3009"));
    // A run file is explained alike.
    let file = world.folder.path().join("run.toml");
    let run_file = "dataset = \"heart\"\nfeatures = [\"age\", \"sex\"]\ntarget = \"num\"\npositive_above = 0\nepsilon = 1.0\nrounds = 5\n";
    std::fs::write(&file, run_file).unwrap();
    let (good, told, error) = run(&["explain", file.to_str().unwrap(), "--json"], &environment).await;
    assert!(good, "{error}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["tried"]["owners"].as_array().unwrap().len(), 4, "{told:#}");

    assert_eq!(world.left("cleveland").await, before, "nothing was spent");
    let leaves_after = world.analyst().await.read_log().await.unwrap_or_default().leaves;
    let decisions = |leaves: &[String]| leaves.iter().filter(|leaf| leaf.contains("\"decision\"")).count();
    assert_eq!(
        decisions(&leaves_after),
        decisions(&leaves_before),
        "no decision was logged"
    );
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_a_refusal_a_revocation_and_a_log_that_is_verified_offline() {
    let (good, told, error) = run(&["demo", "--json"], &[]).await;
    assert!(good, "{error}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["queries"].as_array().unwrap().len(), 3);
    let refusal = &told["refusal"]["error"];
    assert_eq!(refusal["code"], "SOTTO-2010", "{refusal:#}");
    assert!(
        refusal["message"].as_str().unwrap().contains("[contract.purpose]"),
        "{refusal:#}"
    );
    assert!(
        refusal["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()),
        "{refusal:#}"
    );
    // Who lists the analyst refuses by the contract; who admits by a grant, because the grant is for another purpose.
    for owner in told["refusal"]["owners"].as_array().unwrap() {
        let (code, rule) = match owner["participant"] == "long-beach" {
            true => ("SOTTO-3021", "grant.purpose"),
            false => ("SOTTO-3005", "contract.purpose"),
        };
        assert_eq!(
            (&owner["verdict"], &owner["refused"]["code"]),
            (&"refuse".into(), &code.into())
        );
        assert_eq!(*rules(owner).last().unwrap(), rule);
    }
    let revocation = &told["revocation"];
    assert_eq!(
        (&revocation["contributors_before"], &revocation["contributors_after"]),
        (&4.into(), &3.into())
    );
    assert_eq!(revocation["owner"]["refused"]["code"], "SOTTO-3021", "{revocation:#}");
    assert_eq!(*rules(&revocation["owner"]).last().unwrap(), "grant.revoked");
    let log = &told["log"];
    assert!(
        log["entries"].as_u64().unwrap() > 20 && log["uncovered"] == 0,
        "{log:#}"
    );
    let found = log["found"].as_str().unwrap();
    assert!(found.contains(&format!("entry {}", log["flipped_entry"])), "{log:#}");
}
