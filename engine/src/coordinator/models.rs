//! The registry of models: moves are checked against the roster and the books, and durable before anybody sees them.

use governance::{MoveError, SignedMove};

use super::{Coordinator, Turn};
use crate::codes;
use crate::ids::JobId;
use crate::record::CoordinatorRecord;
use crate::workload::Refusal;

impl Coordinator {
    /// Makes a signed move and names the release of the version that moved.
    pub(super) fn move_model(&mut self, signed: SignedMove, turn: &mut Turn) -> Result<JobId, Refusal> {
        let wanted = signed.verify(&self.roster).map_err(refused)?;
        let unknown = || refused(MoveError::UnknownModel(wanted.model));
        let registry = self.books.registry(&wanted.analyst).ok_or_else(unknown)?;
        let version = registry.check(&wanted).map_err(refused)?;
        let job = JobId::parse(&version.release).ok_or_else(unknown)?;
        if !self.books.log().is_witnessed(&job) {
            return Err(Refusal::new(codes::NO_QUORUM, self.unwitnessed().message));
        }
        if let Some(refusal) = self.expired(&job, &wanted.analyst) {
            return Err(refusal);
        }
        self.log_move(&signed, &job, wanted.model, turn);
        let at_ms = turn.now_ms;
        self.record(CoordinatorRecord::ModelMoved { signed, at_ms }, turn);
        Ok(job)
    }
}

fn refused(error: MoveError) -> Refusal {
    let remedy = match error {
        MoveError::NoFigures { .. } => "`sotto model evaluate` pays for figures",
        MoveError::Changed { .. } => "look again: `sotto model`",
        MoveError::Signature(_) | MoveError::UnknownAnalyst(_) => "`sotto doctor` compares keys",
        _ => "`sotto model` shows where each version stands",
    };
    Refusal::new(codes::MODEL_MOVE, error.to_string()).remedy(remedy)
}
