//! The engine's events in words, for `status`: its reader runs the agent and need not know the protocol. Names, counts and codes,
//! nothing that depends on data.

use engine::Refused;
use engine::step::ParticipantEvent as E;

/// How a notice begins that a cap of the configuration is not the ledger's; `sotto up` looks for it.
pub const BUDGET_UNCHANGED: &str = "budget unchanged";

/// One sentence.
pub fn words(event: &E) -> String {
    match event {
        E::RosterAdopted { version } => format!("roster version {version} is in force here"),
        E::BudgetUnchanged { population, reason } => {
            format!("{BUDGET_UNCHANGED} of population `{population}`: {reason}")
        }
        E::Approved { what, by } if by.is_empty() => format!("believed: {what}"),
        E::Approved { what, by } => format!("allowed by {}: {what}", by.join(" and ")),
        E::ApproversUnchanged { reason } => reason.clone(),
        E::ActHolds { act, what } => format!(
            "{}: in force here by act {}",
            what.replace('-', " "),
            &act.to_string()[..12]
        ),
        E::ActPassedOver { act, reason } => format!("act {} counts for nothing here: {reason}", &act.to_string()[..12]),
        E::ActWaits { act, reason } => format!("act {} waits for the log: {reason}", &act.to_string()[..12]),
        E::EpochJoining { epoch, members } => format!("epoch {epoch}: agreeing on keys with {members} members"),
        E::EpochLive { epoch } => format!("epoch {epoch}: ready to answer"),
        E::EpochLeft { epoch, refused } => format!("epoch {epoch}: left; {}", why(refused)),
        E::Accepted {
            job,
            round,
            attempt,
            at,
        } => format!("job {job}, round {round}, attempt {attempt}: accepted in slot {at}"),
        E::Refused { job, at: _, refused } => format!("job {job}: refused; {}", why(refused)),
        E::Charged { job, at: _, population } => format!("job {job}: charged to population `{population}`"),
        E::Sent { job, at } => format!("job {job}: a masked vector left in slot {at}"),
        E::Revealed { at } => format!("slot {at}: opened the sum with the others"),
        E::ComputeFailed { at, reason } => {
            format!("slot {at}: the local computation failed, so nothing left: {reason}")
        }
        E::Excluded { at, proof: _ } => {
            format!(
                "slot {at}: the coordinator receipted a vector and left it out of the sum; keep the logs, tell the governance holder"
            )
        }
        E::Suspicious { at: None, refused } => format!("somebody broke the protocol: {}", why(refused)),
        E::Suspicious { at: Some(at), refused } => format!("slot {at}: somebody broke the protocol: {}", why(refused)),
        E::Aborted { at, refused } => format!("slot {at}: ended here; {}", why(refused)),
    }
}

/// The code finds docs/errors.md.
fn why(refused: &Refused) -> String {
    let Refused { code, message, remedy } = refused;
    match remedy {
        Some(remedy) => format!("{message} ({code}; {remedy})"),
        None => format!("{message} ({code})"),
    }
}

#[cfg(test)]
mod tests {
    use engine::{JobId, SlotId};
    use governance::ContentHash;

    use super::*;

    #[test]
    fn a_notice_is_a_sentence_with_the_code_and_what_helps() {
        let refused = Refused {
            code: "SOTTO-3008".to_owned(),
            message: "epsilon 0.2 is left".to_owned(),
            remedy: Some("ask for less".to_owned()),
        };
        let (job, at) = (JobId::of(&[7; 32]), SlotId { epoch: 3, slot: 1 });
        let told = words(&E::Refused { job, at, refused });
        assert_eq!(
            told,
            format!("job {job}: refused; epsilon 0.2 is left (SOTTO-3008; ask for less)")
        );
        let act = ContentHash([0xab; 32]);
        let holds = words(&E::ActHolds {
            act,
            what: "grant-revoked",
        });
        assert_eq!(holds, "grant revoked: in force here by act abababababab");
        let unchanged = words(&E::BudgetUnchanged {
            population: "people".to_owned(),
            reason: "two people must approve".to_owned(),
        });
        assert_eq!(
            unchanged,
            "budget unchanged of population `people`: two people must approve"
        );
        let proof = words(&E::Excluded { at, proof: vec![1, 2] });
        assert!(!proof.contains("[1, 2]") && !proof.contains('{'), "{proof}");
    }
}
