//! Contracts as they live: two versions over the same files, the old one deprecated with a notice, questions on both, and its end.

use std::path::Path;
use std::time::Duration;

use governance::Contract;
use proto::identity::Identity;
use sottovoce::client::now_ms;
use sottovoce::local::{Spec, Steward};
use sottovoce::{Answer, Client, Exit, Problem, publish};

use super::world::World;

const OLD: &str = include_str!("../../../governance/contracts/heart.toml");
const COUNT: &str = "SELECT sex, COUNT(*), AVG(chol) FROM heart GROUP BY sex";
/// Long enough for two questions on a machine that does other things, too.
const NOTICE: Duration = Duration::from_secs(30);

/// What the old version calls mg/dL is mmol/L in the new one: nothing that was written for the one means the same under the other.
fn new_version() -> Contract {
    let text = OLD.replace("\"1.0.0\"", "\"2.0.0\"").replace("mg/dL", "mmol/L");
    Contract::parse(&text).unwrap()
}

/// Every hospital serves both versions and has a steward.
fn both_versions(folder: &Path, spec: &mut Spec) {
    let file = folder.join("heart-2.toml");
    let text = OLD.replace("\"1.0.0\"", "\"2.0.0\"").replace("mg/dL", "mmol/L");
    std::fs::write(&file, text).unwrap();
    let file = toml::Value::String(file.to_string_lossy().into_owned());
    for site in &mut spec.participants {
        let dataset = site.config["dataset"][0].as_table_mut().unwrap();
        dataset.insert("other_versions".to_owned(), toml::Value::Array(vec![file.clone()]));
    }
    let steward = |site: &sottovoce::local::Site| Steward {
        name: format!("steward-{}", site.name),
        organisation: site.organisation.clone(),
    };
    spec.stewards = spec.participants.iter().map(steward).collect();
}

async fn stewards(world: &World) -> Vec<Client> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(world.state().join("stewards")).unwrap().flatten() {
        let identity = Identity::load(&entry.path()).unwrap();
        found.push(
            Client::connect(&world.running.profile.coordinator, identity)
                .await
                .unwrap(),
        );
    }
    assert_eq!(found.len(), 4);
    found
}

async fn ask(analyst: &mut Client, version: &str, epsilon: f64) -> Result<Answer, Problem> {
    let dataset = analyst.dataset(&format!("heart@{version}")).await?;
    under(analyst, &dataset, epsilon).await
}

async fn under(analyst: &mut Client, dataset: &sottovoce::datasets::Dataset, epsilon: f64) -> Result<Answer, Problem> {
    let question = sottovoce::ask::question(dataset, COUNT, epsilon, "research", 2);
    let request = analyst.sign(question)?;
    let submitted = analyst.submit(request).await?;
    let released = tokio::time::timeout(Duration::from_secs(90), analyst.released(&submitted.job));
    Answer::of(*released.await.expect("an answer or a refusal in time")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_versions_live_side_by_side_until_the_notice_of_the_old_one_ends() {
    let world = World::placed(both_versions).await;
    let mut analyst = world.analyst().await;

    // No act yet: both are served as they are configured, and the name means the newer one.
    assert_eq!(analyst.dataset("heart").await.unwrap().contract.version, "2.0.0");
    let first = ask(&mut analyst, "1.0.0", 0.5).await.unwrap();
    assert_eq!(first.receipt().contributors, 4);

    let mut stewards = stewards(&world).await;
    let until_ms = now_ms() + NOTICE.as_millis() as u64;
    for steward in &mut stewards {
        let offered = publish::offered(steward, "heart").await.unwrap();
        assert_eq!(offered.len(), 2);
        let refused = publish::steps(&new_version(), &offered, false, None).unwrap_err();
        assert!(refused.message.contains("BREAKING"), "{refused}");
        let steps = publish::steps(&new_version(), &offered, true, Some(until_ms)).unwrap();
        publish::sign(steward, "heart", &steps, "chol is in mmol/L")
            .await
            .unwrap();
    }

    let catalogue = analyst.catalogue().await.unwrap();
    let old = catalogue.find("heart@1.0.0").unwrap().clone();
    assert_eq!(old.served_until_ms(), Some(until_ms));
    assert_eq!(catalogue.find("heart").unwrap().contract.version, "2.0.0");

    // During the notice both answer, from one ledger, and the old one says that it goes.
    let left = world.left("cleveland").await;
    let noted = catalogue.noted(ask(&mut analyst, "1.0.0", 0.4).await.unwrap());
    assert!(
        noted.statement().contains("heart 1.0.0 is deprecated"),
        "{}",
        noted.statement()
    );
    assert!(noted.statement().contains("heart 2.0.0 takes its place"));
    let newer = catalogue.noted(ask(&mut analyst, "2.0.0", 0.4).await.unwrap());
    assert!(!newer.statement().contains("deprecated"));
    assert_eq!(newer.receipt().contributors, 4);
    let spent = left - left_after(&world, left).await;
    assert!(spent > 0.0, "both versions charge the same people");
    assert!(now_ms() < until_ms, "the questions took longer than the notice");

    while now_ms() < until_ms {
        tokio::time::sleep(Duration::from_millis(100)).await; // until the notice ends by every party's clock
    }
    let refused = under(&mut analyst, &old, 0.3).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.exit), ("SOTTO-2033", Exit::Refused));
    assert!(
        refused.message.contains("version 1.0.0 of `heart` is retired"),
        "{refused}"
    );
    assert!(refused.remedy.unwrap().contains("2.0.0"));
    assert_eq!(analyst.dataset("heart@1.0.0").await.unwrap_err().code, "SOTTO-2003");
    assert_eq!(ask(&mut analyst, "2.0.0", 0.3).await.unwrap().receipt().contributors, 4);
    world.running.stop().await;
}

/// What is left once the charge is published.
async fn left_after(world: &World, before: f64) -> f64 {
    for _ in 0..50 {
        let left = world.left("cleveland").await;
        if left < before {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // until the charge is published, for at most 5 s
    }
    before
}
