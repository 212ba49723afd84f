//! Messages in words, for traces.

use engine::message::{ToAgent, ToCoordinator};

/// What the coordinator told an agent.
pub fn told(message: &ToAgent) -> String {
    use ToAgent as M;
    match message {
        M::Roster(_) => "roster".to_owned(),
        M::Acts(acts) => format!("acts {} from {}", acts.acts.len(), acts.from.count),
        M::Heartbeat(end) => format!("beat, {} acts", end.count),
        M::EpochOpen(open) => format!("open epoch {} of {}", open.epoch, open.members.len()),
        M::Setup(setup) => format!("setup of epoch {}: {:?}", setup.epoch, setup.step),
        M::EpochClosed { epoch } => format!("close epoch {epoch}"),
        M::RoundStart(start) => format!(
            "{}: start {} round {} attempt {}",
            start.at, start.job, start.round, start.attempt
        ),
        M::Cohort(cohort) => format!("{}: cohort", cohort.at),
        M::UploadGrant { at } => format!("{at}: grant"),
        M::Receipt { at, .. } => format!("{at}: receipt"),
        M::Survivors { at, .. } => format!("{at}: survivors"),
        M::Certificate { at, .. } => format!("{at}: certificate"),
        M::PathsWanted { at } => format!("{at}: paths wanted"),
        M::EdgesWanted { at } => format!("{at}: edges wanted"),
        M::RoundEnded { at, next } => format!("{at}: ended, next {:?}", next.as_ref().map(|next| next.at)),
        M::JobEnded { job, .. } => format!("{job} ended"),
        M::LogGrown(grown) => format!("log from {} with {} leaves", grown.from, grown.entries.len()),
        M::Trial(trial) => format!("trial {}", trial.id),
    }
}

/// What an agent answered.
pub fn answered(message: &ToCoordinator) -> String {
    use ToCoordinator as M;
    match message {
        M::Offers(offers) => format!("offers {}", offers.len()),
        M::Act(signed) => format!("act {}", signed.hash()),
        M::ActsWanted { from } => format!("acts from {from} wanted"),
        M::RosterWanted { roster } => format!("roster {roster} wanted"),
        M::Setup(setup) => format!("setup of epoch {}: {:?}", setup.epoch, setup.step),
        M::EpochLeft { epoch, refused, .. } => format!("leaves epoch {epoch}: {refused}"),
        M::Accept { at, .. } => format!("{at}: accept"),
        M::Refuse { at, refused } => format!("{at}: refuse: {refused}"),
        M::Ready { at } => format!("{at}: ready"),
        M::MaskedInput(masked) => format!("{}: vector", masked.at),
        M::Vote { at, .. } => format!("{at}: vote"),
        M::Reveal { at, .. } => format!("{at}: reveal"),
        M::Paths { at, .. } => format!("{at}: paths"),
        M::Edges { at, .. } => format!("{at}: edges"),
        M::Aborted { at, refused } => format!("{at}: aborted: {refused}"),
        M::Events(leaves) => format!("{} events", leaves.len()),
        M::LogSeen(seen) => format!(
            "log seen to {}{}",
            seen.size,
            if seen.cosignature.is_some() { ", cosigned" } else { "" }
        ),
        M::TrialAnswer { id, answer } => format!("trial {id}: {:?}", answer.refused),
    }
}
