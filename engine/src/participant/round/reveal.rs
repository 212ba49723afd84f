//! Round steps 4 and 5: with a certificate the shares of the certified survivor set are opened, once and for that set only. What may
//! be asked after that proves shares or replaces a bad bundle, and opens nothing new.

use secagg::{Certificate, Exclusion, Message};

use super::Phase;
use crate::codes;
use crate::ids::SlotId;
use crate::message::ToCoordinator;
use crate::participant::{Participant, Turn};
use crate::step::ParticipantEvent;
use crate::workload::Refusal;

impl Participant {
    pub(in crate::participant) fn certificate(&mut self, at: SlotId, wire: &[u8], turn: &mut Turn<'_>) {
        let part = self.rounds.get(&at).and_then(|round| round.part.as_ref());
        if let Some(Err(refusal)) = part.map(|part| self.still_allowed(part, turn.now_ms)) {
            return self.abort(at, refusal, turn);
        }
        let Some(live) = self.epochs.live_mut(at.epoch) else {
            return;
        };
        let certificate = match Certificate::decode(wire) {
            Ok(certificate) => certificate,
            Err(error) => return turn.suspicious(Some(at), Refusal::new(codes::ABORT, error.to_string())),
        };
        let reveal = match live.epoch.certificate(at.slot, &certificate) {
            Ok(Some(reveal)) => reveal,
            Ok(None) => return,
            Err(abort) => return turn.suspicious(Some(at), Refusal::new(codes::ABORT, abort.to_string())),
        };
        let (own, epoch_id) = (live.epoch.index(), live.epoch.id());
        if let Some(round) = self.rounds.get_mut(&at)
            && let Phase::Voted(survivors) = std::mem::replace(&mut round.phase, Phase::Revealed)
            && survivors.iter().all(|(member, _)| *member != own)
            && let Some(receipt) = round.part.as_mut().and_then(|part| part.receipt.take())
        {
            let proof = Exclusion {
                epoch_id,
                receipt,
                survivors,
                certificate,
            }
            .encode();
            turn.event(ParticipantEvent::Excluded { at, proof });
        }
        self.revealed(at, &reveal, turn);
    }

    pub(in crate::participant) fn paths_wanted(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        let Some(live) = self.epochs.live(at.epoch) else { return };
        match live.epoch.paths(at.slot) {
            Ok(paths) => turn.send(ToCoordinator::Paths {
                at,
                paths: paths.encode().into(),
            }),
            Err(abort) => turn.suspicious(Some(at), Refusal::new(codes::ABORT, abort.to_string())),
        }
    }

    pub(in crate::participant) fn edges_wanted(&mut self, at: SlotId, turn: &mut Turn<'_>) {
        let Some(live) = self.epochs.live(at.epoch) else { return };
        match live.epoch.edges(at.slot) {
            Ok(edges) => turn.send(ToCoordinator::Edges {
                at,
                edges: edges.encode().into(),
            }),
            Err(abort) => turn.suspicious(Some(at), Refusal::new(codes::ABORT, abort.to_string())),
        }
    }
}
