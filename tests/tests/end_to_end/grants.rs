//! A grant over real sockets: it admits what was refused before, an operator ends it with the coordinator down, and
//! when the coordinator is back the others know.

use proto::identity::Identity;
use sotto_participant::socket;
use sotto_participant::status::Command;
use sottovoce::Client;

use super::*;

const HOSPITALS: [&str; 4] = ["cleveland", "budapest", "zurich", "long-beach"];

/// Four hospitals that list nobody, each with a steward.
async fn unlisted() -> World {
    World::with(|spec| {
        for site in &mut spec.participants {
            let dataset = site.config["dataset"][0].as_table_mut().unwrap();
            dataset.insert("analysts".to_owned(), toml::Value::Array(Vec::new()));
        }
        world::enrol_stewards(spec);
    })
    .await
}

async fn steward(world: &World, site: &str) -> Client {
    let folder = world.state().join("stewards").join(format!("steward-{site}"));
    let address = sottovoce::profile::Profile::load(&world.state().join("profile.toml"))
        .unwrap()
        .coordinator;
    Client::connect(&address, Identity::load(&folder).unwrap())
        .await
        .unwrap()
}

async fn line(client: &mut Client, grant: &str, owner: &str) -> &'static str {
    let decided = client.decided().await.unwrap();
    let view = decided.find(grant).unwrap();
    let line = view.lines.iter().find(|(of, _)| *of == owner).unwrap().1;
    sottovoce::grants::status(line).spelling()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_admits_a_question_and_a_local_revocation_ends_it_with_the_coordinator_down() {
    let mut world = unlisted().await;
    let refused = world.ask(COUNT, 0.5).await.unwrap_err();
    assert!(refused.message.contains("[grant.none]"), "{refused}");

    let mut analyst = world.analyst().await;
    let sites = analyst.participants().await.unwrap();
    let organisation = |name: &str| sites.iter().find(|site| site.id == name).unwrap().organisation.clone();
    let terms = world::terms(&mut analyst).await;
    let grant = analyst.request_grant(terms, "the story").await.unwrap().to_string();
    for site in HOSPITALS {
        let mut steward = steward(&world, site).await;
        // Of its first digits a coordinator could show one request now and another one then.
        let refused = steward.approve_grant(&grant[..12], "", |_| {}).await.unwrap_err();
        assert_eq!(refused.code, "SOTTO-2024", "{refused}");
        let done = steward.approve_grant(&grant, "", |_| {}).await.unwrap();
        assert_eq!(done, [(organisation(site), governance::Status::Active)]);
        assert_eq!(
            steward.decided().await.unwrap().find(&grant).unwrap().lines.len(),
            1,
            "its own part alone"
        );
    }
    world.everybody_allows(COUNT, 0.5).await;
    let answer = world.ask(COUNT, 0.5).await.unwrap();
    assert_eq!(answer.receipt().contributors, 4);
    let outside = world.ask("SELECT AVG(chol) FROM heart", 0.5).await.unwrap_err();
    assert!(outside.message.contains("[grant.columns]"), "{outside}");

    world.running.kill("coordinator").await.unwrap();
    let path = world
        .state()
        .join("participants")
        .join("cleveland")
        .join("participant.sock");
    let revoke = Command::Revoke {
        grant: grant[..12].to_owned(),
        note: "the study ended".to_owned(),
    };
    let told = socket::ask(&path, &revoke).await.unwrap();
    assert_eq!(told, serde_json::json!({ "done": true }));
    let listed = socket::ask(&path, &Command::Grants).await.unwrap();
    assert_eq!(listed["grants"][0]["lines"][0]["status"], "revoked");
    assert_eq!(listed["not_confirmed"].as_array().unwrap().len(), 1);

    world.running.restart("coordinator").await.unwrap();
    world.agents_in_epoch(4).await;
    let mut analyst = world.analyst().await;
    for _ in 0..100 {
        if line(&mut analyst, &grant, &organisation("cleveland")).await == "revoked" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for at most ten seconds
    }
    assert_eq!(line(&mut analyst, &grant, &organisation("cleveland")).await, "revoked");
    assert_eq!(line(&mut analyst, &grant, &organisation("zurich")).await, "active");
    // The stored answer is no longer repeated; the three others go on, and the first answer carries the flag.
    let after = world.ask(COUNT, 0.5).await.unwrap();
    assert_eq!((after.repeated(), after.receipt().contributors), (false, 3));
    let first = analyst.release(&answer.id()).await.unwrap();
    let revoked: Vec<&str> = first.revoked().iter().map(|(_, owner)| owner.as_str()).collect();
    assert_eq!(revoked, [organisation("cleveland")]);
    let listed = socket::ask(&path, &Command::Grants).await.unwrap();
    assert!(listed["not_confirmed"].as_array().unwrap().is_empty());
    world.running.stop().await;
}
