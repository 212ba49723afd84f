//! The library's shortest way from SQL to an answer: fetch the contract, sign, submit, wait. `sotto query` does the same
//! with a person looking on.

use std::time::Duration;

use workload::query::{KIND, QueryTask};

use crate::answer::Answer;
use crate::client::Question;
use crate::datasets::Dataset;
use crate::{Client, Problem};

/// How long a request stays valid; a coordinator that comes back within this time still answers it.
const VALID: Duration = Duration::from_secs(24 * 3600);
/// Attempts of a question. Each that fails after participants computed was charged.
pub const ATTEMPTS: u32 = 2;

/// A question in SQL under a dataset's contract.
pub fn question(dataset: &Dataset, sql: &str, epsilon: f64, purpose: &str, max_attempts: u32) -> Question {
    Question {
        dataset: dataset.name.clone(),
        contract: dataset.contract.hash(),
        purpose: purpose.to_owned(),
        kind: KIND.to_owned(),
        task: QueryTask { sql: sql.to_owned() }.to_task(),
        epsilon,
        delta: dataset.contract.delta.get(),
        max_attempts,
        valid_for: VALID,
    }
}

/// Asks `sql` and waits for its answer.
pub async fn ask(client: &mut Client, sql: &str, epsilon: f64, purpose: &str) -> Result<Box<Answer>, Problem> {
    let name = crate::sql::table_of(sql)
        .ok_or_else(|| Problem::usage("no table after FROM in this question").remedy("SELECT .. FROM dataset"))?;
    let dataset = client.dataset(&name).await?;
    let request = client.sign(question(&dataset, sql, epsilon, purpose, ATTEMPTS))?;
    let submitted = client.submit(request).await?;
    let released = match submitted.repeated {
        Some(released) => released,
        None => client.released(&submitted.job).await?,
    };
    Answer::of(*released).map(Box::new)
}
