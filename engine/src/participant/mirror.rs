//! What a participant can give back to a coordinator that lost everything: the log as it was sent here, and the acts and rosters that
//! came with it. Costs a copy of what it says.

use governance::SignedRoster;
use governance::log::mirror::Mirror;

use crate::record::ParticipantRecord;

/// The mirror in a participant's records, and the roster that it was configured with. Records of other kinds are passed over.
pub fn mirror(
    participant: &str,
    configured: SignedRoster,
    records: impl IntoIterator<Item = ParticipantRecord>,
) -> Mirror {
    let mut mirror = Mirror {
        participant: participant.to_owned(),
        checkpoint: String::new(),
        leaves: Vec::new(),
        acts: Vec::new(),
        rosters: vec![configured],
    };
    for record in records {
        match record {
            ParticipantRecord::Witnessed { view, leaves, .. } => {
                mirror.leaves.extend(leaves);
                mirror.checkpoint = view.newest().unwrap_or_default().to_owned();
            }
            ParticipantRecord::ActHeard { signed, .. } => mirror.acts.push(signed),
            ParticipantRecord::RosterAdopted { roster } | ParticipantRecord::RosterKept { roster } => {
                mirror.rosters.push(roster);
            }
            _ => {}
        }
    }
    mirror
}
