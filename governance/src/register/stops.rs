//! What stops a question at an owner, in the same words at the owner's agent and at the coordinator that knows of it.

use super::{Register, Suspension};
use crate::act::Subject;

/// A suspension that stops a question, and what of the question it stops.
#[derive(Clone, Copy, Debug)]
pub struct Stopped<'r> {
    /// As the decision step names it.
    pub rule: &'static str,
    what: &'static str,
    suspension: &'r Suspension,
}

impl Stopped<'_> {
    /// The signer's name and no note: whoever is stopped need not be somebody whom the act concerns.
    pub fn reason(&self) -> String {
        let by = &self.suspension.by;
        format!("{} is suspended by `{}` of `{}`", self.what, by.id, by.organisation)
    }

    pub fn remedy(&self) -> String {
        let by = &self.suspension.by;
        format!("ask `{}`: `sotto reinstate` lifts it", by.organisation)
    }
}

impl Register {
    /// What stops a question of somebody of `asking` about `dataset` at `owner`, if anything does.
    pub fn stopped(&self, owner: &str, asking: &str, dataset: &str) -> Option<Stopped<'_>> {
        let organisation = |name: &str| Subject::Organisation(name.to_owned());
        let subjects = [
            (
                "suspended.organisation",
                "the analyst's organisation",
                organisation(asking),
            ),
            ("suspended.owner", "the owner", organisation(owner)),
            ("suspended.dataset", "the dataset", Subject::Dataset(dataset.to_owned())),
        ];
        subjects.into_iter().find_map(|(rule, what, subject)| {
            let suspension = self.suspension(owner, &subject)?;
            Some(Stopped { rule, what, suspension })
        })
    }
}
