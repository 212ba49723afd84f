//! `sotto` where people go wrong, over real processes: a name that nobody has, a file that is not there, a dataset that was suspended, an
//! error that the answer does not keep to. Each is told at once, with what to do.

use std::time::{Duration, Instant};

use serde_json::Value;
use sottovoce::local::Steward;

use crate::world::World;

/// What a command left with, and what it printed.
struct Told {
    exit: i32,
    json: Value,
    error: String,
}

impl Told {
    fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    fn remedy(&self) -> &str {
        self.json["error"]["remedy"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.json["error"]["message"].as_str().unwrap_or_default()
    }
}

/// One command of somebody with this identity.
async fn sotto(world: &World, identity: &str, arguments: &[&str]) -> Told {
    let profile = sottovoce::profile::Profile::load(&world.state().join("profile.toml")).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_party"));
    command.args(arguments).arg("--json").current_dir(world.folder.path());
    command.env("SOTTO_PROFILE", world.state().join("profile.toml"));
    if !identity.is_empty() {
        command.env("SOTTO_COORDINATOR", &profile.coordinator);
        command.env("SOTTO_IDENTITY", world.state().join("stewards").join(identity));
    }
    let output = command.output().await.unwrap();
    let (told, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    Told {
        exit: output.status.code().unwrap(),
        json: serde_json::from_str(&told).unwrap_or_else(|_| panic!("{arguments:?}: {told}{error}")),
        error,
    }
}

/// Four hospitals; of the first two somebody is steward.
async fn with_stewards() -> World {
    World::with(|spec| {
        for site in &spec.participants[..2] {
            spec.stewards.push(Steward {
                name: format!("steward-{}", site.name),
                organisation: site.organisation.clone(),
            });
        }
    })
    .await
}

async fn paused_at(world: &World, sites: usize) {
    let mut analyst = world.analyst().await;
    for _ in 0..100 {
        if analyst.dataset("heart").await.unwrap().paused().len() == sites {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // polls a condition, for at most ten seconds
    }
    panic!("never paused at {sites}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_stops_what_it_names_and_every_command_says_so() {
    let world = with_stewards().await;
    let (first, second) = ("steward-cleveland", "steward-budapest");
    let slip = sotto(&world, first, &["suspend", "dataset", "haert"]).await;
    assert_eq!((slip.exit, slip.code()), (3, "SOTTO-2001"), "{}", slip.error);
    assert!(slip.remedy().contains("did you mean `heart`?"), "{}", slip.error);
    let unlisted = sotto(&world, first, &["suspend", "dataset", "ward", "--unlisted"]).await;
    assert_eq!(unlisted.exit, 0, "what is away can be stopped: {}", unlisted.error);
    let nobody = sotto(&world, first, &["suspend", "organisation", "Cleveland Clinik"]).await;
    assert_eq!(nobody.exit, 3, "{}", nobody.error);

    let asked = ["query", "SELECT COUNT(*) FROM heart", "--epsilon", "0.5"];
    for steward in [first, second] {
        let done = sotto(&world, steward, &["suspend", "dataset", "heart", "--note", "an audit"]).await;
        assert_eq!(done.exit, 0, "{}", done.error);
    }
    paused_at(&world, 2).await;
    let began = Instant::now();
    let refused = sotto(&world, "", &asked).await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "nobody waits: {:?}",
        began.elapsed()
    );
    assert_eq!((refused.exit, refused.code()), (3, "SOTTO-2023"), "{}", refused.error);
    for steward in [first, second] {
        assert!(refused.message().contains(steward), "{}", refused.error);
    }
    assert!(refused.remedy().contains("sotto reinstate"), "{}", refused.error);
    assert!(
        !refused.message().contains("an audit"),
        "the note is for whom the act concerns"
    );
    let shown = sotto(&world, "", &["dataset", "show", "heart"]).await;
    assert_eq!(shown.json["paused"].as_array().unwrap().len(), 2, "{:#}", shown.json);
    let own = sotto(&world, first, &["dataset", "show", "heart"]).await;
    let suspended = own.json["suspended"][0].as_str().unwrap();
    assert!(
        suspended.contains("steward-cleveland") && suspended.ends_with(": an audit"),
        "{suspended}"
    );
    let doctor = sotto(&world, "", &["doctor"]).await;
    assert_eq!(doctor.exit, 7, "{}", doctor.error);
    assert!(
        doctor.json.to_string().contains("paused or suspended at"),
        "{:#}",
        doctor.json
    );

    let done = sotto(&world, second, &["reinstate", "dataset", "heart"]).await;
    assert_eq!(done.exit, 0, "{}", done.error);
    paused_at(&world, 1).await;
    let answered = sotto(&world, "", &asked).await;
    assert_eq!(answered.exit, 0, "{}", answered.error);
    assert_eq!(answered.json["receipt"]["contributors"], 3, "{:#}", answered.json);
    // Everything that stewards said is their organisation's in the log.
    let sites = world.analyst().await.participants().await.unwrap();
    let cleveland = sites.iter().find(|site| site.id == "cleveland").unwrap();
    let subject = sotto(&world, "", &["audit", "subject", &cleveland.organisation]).await;
    assert!(subject.json.to_string().contains(first), "{:#}", subject.json);
    let nobody = sotto(&world, "", &["audit", "subject", "Nobody's Hospital"]).await;
    assert_eq!((nobody.exit, nobody.code()), (3, "SOTTO-7613"), "{}", nobody.error);
    world.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_mistyped_or_missed_is_told_with_what_to_do() {
    let world = with_stewards().await;
    for arguments in [
        &["query", "-f", "nofile.sql", "--epsilon", "1"][..],
        &["explain", "nofile.toml"],
        &["contract", "check", "nofile.toml"],
        &["policy", "check", "nofile.cedar"],
        &["audit", "verify", "nofile.json", "--trust", "nofile.toml"],
    ] {
        let told = sotto(&world, "", arguments).await;
        assert_eq!(
            (told.exit, told.code()),
            (1, "SOTTO-7001"),
            "{arguments:?}: {}",
            told.error
        );
        assert!(told.remedy().contains("looked for in"), "{arguments:?}: {}", told.error);
    }
    let nobody = sotto(&world, "", &["usage", "--organisation", "Cleveland Clinik"]).await;
    assert_eq!((nobody.exit, nobody.code()), (2, "SOTTO-7002"), "{}", nobody.error);
    assert!(!nobody.remedy().is_empty());

    // The purpose comes first; then who nobody speaks for, with those who can be asked.
    let grant = [
        "grant",
        "request",
        "--dataset",
        "heart",
        "--action",
        "query",
        "--epsilon",
        "1",
    ];
    let purpose = sotto(&world, "", &[&grant[..], &["--purpose", "reserch"]].concat()).await;
    assert!(
        purpose.remedy().starts_with("did you mean `research`?"),
        "{}",
        purpose.error
    );
    let owners = sotto(&world, "", &[&grant[..], &["--purpose", "research"]].concat()).await;
    assert_eq!((owners.exit, owners.code()), (3, "SOTTO-2021"), "{}", owners.error);
    assert_eq!(owners.remedy().matches("--owner \"").count(), 2, "{}", owners.error);
    let purposes = sotto(&world, "", &["purpose", "list"]).await;
    assert!(
        purposes
            .json
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["datasets"] == "heart"),
        "{:#}",
        purposes.json
    );

    // 194 women are a tenth of what the contract allows for.
    let asked = [
        "query",
        "SELECT sex, AVG(chol) FROM heart GROUP BY sex",
        "--target-error",
        "3",
    ];
    let answer = sotto(&world, "", &asked).await;
    assert_eq!(answer.exit, 0, "{}", answer.error);
    assert!(
        answer.error.contains("WARNING: --target-error 3 is not reached"),
        "{}",
        answer.error
    );
    assert_eq!(answer.json["target_error"]["reached"], false, "{:#}", answer.json);
    let release = answer.json["release"].as_str().unwrap();
    let account = sotto(&world, "", &["audit", "explain", &format!("{}..", &release[..12])]).await;
    assert_eq!(account.exit, 0, "{}", account.error);
    assert_eq!(
        account.json["participants"].as_object().unwrap().len(),
        4,
        "{:#}",
        account.json
    );
    let verified = sotto(&world, "", &["release", "verify", &release[..12]]).await;
    assert_eq!(verified.json["release"], release, "{}", verified.error);
    let unknown = sotto(&world, "", &["release", "verify", "nofile.json"]).await;
    assert!(unknown.exit == 2 && !unknown.remedy().is_empty(), "{}", unknown.error);

    // The operator reads sentences.
    let socket = world.state().join("participants/zurich/participant.sock");
    let status = sotto_participant::status::Command::Status;
    let status = sotto_participant::socket::ask(&socket, &status).await.unwrap();
    let recent = status["recent"].as_array().unwrap();
    assert!(!recent.is_empty());
    for notice in recent {
        let notice = notice.as_str().unwrap();
        assert!(!notice.contains('{') && !notice.contains("Some("), "{notice}");
    }
    world.running.stop().await;
}
