//! The transparency log over real sockets: a release proves itself offline, an export names its first bad entry, and the log comes back
//! from a participant's mirror.

use governance::log::{Trust, TrustFile, scan};
use sottovoce::audit::{self, AuditLog, KeptRelease};

use crate::COUNT;
use crate::world::{World, enrol_stewards, terms};

/// The trust file as an outsider gets it.
fn trust_file(roster: &governance::Roster) -> Trust {
    let text = toml::to_string(&TrustFile::of(roster).unwrap()).unwrap();
    Trust::parse(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_and_the_log_verify_offline_with_the_trust_file_alone() {
    let world = World::of_hospitals().await;
    let answer = world.ask(COUNT, 1.0).await.unwrap();
    assert!(answer.verified(), "{:?}", answer.logged());
    assert!(answer.logged().unwrap().witnesses.len() >= 3);
    let mut analyst = world.analyst().await;
    let kept = analyst.kept_release(&answer.id()).await.unwrap();
    let trust = trust_file(&analyst.identity().roster);
    let kept_log = analyst.read_log().await.unwrap();
    let governance = analyst.identity().governance;
    world.running.stop().await;

    // Nobody is there any more: files and the trust file.
    let file = serde_json::to_string(&kept).unwrap();
    let read: KeptRelease = serde_json::from_str(&file).unwrap();
    let logged = read.verify(&trust).unwrap();
    assert_eq!(logged.index, answer.logged().unwrap().index);
    let mut changed = read.clone();
    changed.release.release.body.push(' ');
    assert!(changed.verify(&trust).is_err());
    let mut unproven = read.clone();
    unproven.proof = unproven
        .proof
        .replace("— zurich", "— zuerich")
        .replace("— cleveland", "— clevelund");
    assert!(unproven.verify(&trust).unwrap_err().message.contains("no quorum"));

    let leaves = kept_log.leaves.clone();
    let log = AuditLog::open(kept_log.clone(), &trust).unwrap();
    let rosters = log.rosters(&governance).unwrap();
    assert_eq!(scan(log.events(), &rosters).findings, [], "every word is a member's");
    let bundle = log.export(0, log.size()).unwrap();
    let path = world.folder.path().join("log.json");
    std::fs::write(&path, serde_json::to_string(&bundle).unwrap()).unwrap();
    let verified = audit::verify(&path, &trust).unwrap();
    assert!(verified.whole());
    let offline = governance::log::Rosters::open(&verified.rosters, &governance).unwrap();
    assert_eq!(
        scan(verified.events.iter().map(|event| event.event()), &offline).findings,
        []
    );
    // One flipped byte, and verification names the entry.
    for index in [0, 5, leaves.len() - 1] {
        let mut flipped = bundle.clone();
        flipped.entries[index].leaf = flipped.entries[index].leaf.replacen("\"at_ms\":1", "\"at_ms\":2", 1);
        std::fs::write(&path, serde_json::to_string(&flipped).unwrap()).unwrap();
        let refused = audit::verify(&path, &trust).unwrap_err();
        assert!(
            refused.message.contains(&format!("entry {index}:")),
            "{}",
            refused.message
        );
    }
    // A coordinator that leaves an entry out of what it shows is found as well.
    let mut short = leaves.clone();
    short.remove(3);
    let short = audit::LogRead {
        leaves: short,
        ..kept_log
    };
    assert!(AuditLog::open(short, &trust).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_comes_back_from_a_mirror_after_the_coordinator_lost_everything() {
    let mut world = World::with(enrol_stewards).await;
    world.ask(COUNT, 1.0).await.unwrap();
    let mut analyst = world.analyst().await;
    let terms = terms(&mut analyst).await;
    let grant = analyst.request_grant(terms, "the story").await.unwrap().to_string();
    let before = analyst.read_log().await.unwrap().leaves;
    // The act is in the log that witnesses hold before anything is lost.
    world.ask("SELECT COUNT(*) FROM heart", 1.0).await.unwrap();
    world.running.kill("coordinator").await.unwrap();

    let folder = world.state().join("participants/cleveland");
    let mirror = sotto_participant::mirror(&folder.join("participant.sqlite"), &folder.join("identity")).unwrap();
    assert!(mirror.leaves.len() >= before.len());
    assert_eq!(mirror.leaves[..before.len()], before[..]);
    let file = world.folder.path().join("mirror.json");
    std::fs::write(&file, serde_json::to_string(&mirror).unwrap()).unwrap();
    let coordinator = world.state().join("coordinator");
    for entry in std::fs::read_dir(&coordinator).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("coordinator.sqlite") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let rebuilt = sotto_coordinator::rebuild(&coordinator.join("coordinator.toml"), &[file], true).unwrap();
    assert_eq!((rebuilt.leaves, rebuilt.acts), (mirror.leaves.len(), 1));

    // Every witness finds the log that it knows, and goes on cosigning.
    world.running.restart("coordinator").await.unwrap();
    world.agents_in_epoch(4).await;
    // An agent that knew of an act that the coordinator lost would answer nothing.
    let answer = world.ask("SELECT COUNT(*) FROM heart", 1.0).await.unwrap();
    assert!(answer.verified(), "{:?}", answer.logged());
    assert!(world.analyst().await.decided().await.unwrap().find(&grant).is_ok());
    let after = world.analyst().await.read_log().await.unwrap().leaves;
    assert_eq!(after[..mirror.leaves.len()], mirror.leaves[..]);
    world.running.stop().await;
}
