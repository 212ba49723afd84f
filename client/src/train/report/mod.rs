//! A run's report: one content in two renderings (`report.md` for people's notes, `report.html` for people's screens),
//! pictures as SVG and PNG, and the model beside them. Reading it costs nothing: every figure is the release's own or
//! follows from the public plan; nothing is claimed here that is not signed there.
//!
//! ```text
//! gather    release, evaluation and plan from the coordinator      mod.rs
//! content   what is said, in blocks: privacy.rs, run.rs, evaluation.rs
//! document  the blocks as Markdown and as HTML                     document.rs
//! charts    the pictures                                           charts.rs
//! ```

mod charts;
mod document;
mod evaluation;
mod privacy;
mod run;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use engine::CohortTerms;
use workload::training::TrainPlan;

use super::export::{Format, export};
use super::{Evaluated, Trained};
use crate::{Client, Problem};
use document::Document;

/// Everything that a report says, as it came from the coordinator.
#[derive(Clone, Debug)]
pub struct Report {
    pub trained: Trained,
    /// The newest evaluation of this model, if one was paid for.
    pub evaluated: Option<Evaluated>,
    /// The plan of the run, if its contract is still the dataset's and so the plan can be derived again.
    pub plan: Option<TrainPlan>,
}

impl Report {
    /// Asks for what belongs to a run; costs nothing.
    pub async fn gather(client: &mut Client, trained: Trained) -> Result<Self, Problem> {
        let evaluated = evaluation_of(client, &trained).await?;
        let datasets = client.datasets().await?;
        let contract = datasets
            .iter()
            .find(|dataset| dataset.contract.hash() == trained.released.request().contract);
        let plan = contract.and_then(|dataset| plan_of(&trained, &dataset.contract));
        Ok(Self {
            trained,
            evaluated,
            plan,
        })
    }

    /// Writes the report, its pictures and `model.json` into `folder`, and says which files those are.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
        let document = self.document()?;
        let model = export(&self.trained, Format::Json)?;
        let mut files = vec![
            ("report.md".to_owned(), document.markdown().into_bytes()),
            ("report.html".to_owned(), document.html().into_bytes()),
            ("model.json".to_owned(), model),
        ];
        for picture in document.pictures() {
            files.push((format!("{}.svg", picture.name), picture.svg.clone().into_bytes()));
            files.push((format!("{}.png", picture.name), picture.png.clone()));
        }
        let failed = |path: &Path, error| Problem::local(path.display(), error);
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let mut written = Vec::new();
        for (name, content) in files {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
            written.push(path);
        }
        Ok(written)
    }

    fn document(&self) -> Result<Document, Problem> {
        let mut blocks = run::opening(&self.trained);
        blocks.extend(privacy::section(self)?);
        blocks.extend(run::sections(&self.trained));
        blocks.extend(run::losses(&self.trained)?);
        blocks.extend(evaluation::section(self)?);
        Ok(Document {
            title: self.trained.title(),
            blocks,
        })
    }
}

/// The newest evaluation of this model, if one was paid for.
pub async fn evaluation_of(client: &mut Client, trained: &Trained) -> Result<Option<Evaluated>, Problem> {
    let models = client.models().await?;
    let version = models.of(&trained.run.model_hash);
    match version.and_then(|version| version.figures.last()) {
        Some(figures) => Evaluated::of(client.release(figures).await?).map(Some),
        None => Ok(None),
    }
}

/// The plan that the parties agreed on: derived again, and it is that one if its hash is the receipt's.
fn plan_of(trained: &Trained, contract: &governance::Contract) -> Option<TrainPlan> {
    let (request, receipt) = (trained.released.request(), trained.released.receipt());
    let terms = CohortTerms {
        n: trained.run.privacy.members,
        c: receipt.c,
        s_min: receipt.s_min,
    };
    let plan = TrainPlan::new(trained.task.clone(), contract, &terms, request.epsilon, request.delta).ok()?;
    let same = plan.to_plan().is_ok_and(|derived| derived.hash() == receipt.plan);
    same.then_some(plan)
}
