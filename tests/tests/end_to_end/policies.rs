//! Policies over real sockets: what an owner's own layer refuses, it refuses at its agent, and the analyst reads which policy it was.

use std::path::Path;

use sottovoce::local::Site;

use crate::COUNT;
use crate::world::World;

const NO_CHOLESTEROL: &str = r#"
@id("rest") permit (principal, action, resource);
@id("no-cholesterol") @remedy("leave chol out of the question")
forbid (principal, action == Action::"query", resource == Dataset::"heart")
when { context.columns.contains("chol") };
"#;

/// Writes a local layer beside the site's contract and points its agent there.
fn govern(site: &mut Site) {
    let contract = site.config["dataset"][0]["contract"].as_str().unwrap();
    let file = Path::new(contract).with_file_name(format!("{}.cedar", site.name));
    std::fs::write(&file, NO_CHOLESTEROL).unwrap();
    let local = toml::Value::String(file.display().to_string());
    site.config.insert(
        "policy".to_owned(),
        toml::Table::from_iter([("local".to_owned(), local)]).into(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_every_owner_refuses_by_name_and_says_how_to_be_allowed() {
    let world = World::with(|spec| spec.participants.iter_mut().for_each(govern)).await;
    let problem = world.ask("SELECT AVG(chol) FROM heart", 1.0).await.unwrap_err();
    let told = problem.to_string();
    assert!(
        told.contains("policy `no-cholesterol` of the local layer forbids it [policy.local]"),
        "{told}"
    );
    assert!(told.contains("leave chol out of the question"), "{told}");
    let answer = world.ask(COUNT, 1.0).await.unwrap();
    assert_eq!(answer.receipt().contributors, 4, "what no policy forbids is answered");
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_one_owner_keeps_that_owner_out_and_nobody_else() {
    let world = World::with(|spec| govern(&mut spec.participants[0])).await;
    let answer = world.ask("SELECT AVG(chol) FROM heart", 1.0).await.unwrap();
    assert_eq!(answer.receipt().contributors, 3);
    let answer = world.ask(COUNT, 1.0).await.unwrap();
    assert_eq!(answer.receipt().contributors, 4);
    world.running.stop().await;
}
