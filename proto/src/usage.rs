//! What was asked and used, on its way to who may see it: counts and names, checked on arrival.

use governance::ContentHash;
use governance::log::usage::{Asked, Asker, Rows, Used, User};

use crate::v1;
use crate::wire::{MAX_NAME, Malformed, fixed, text};

/// The rows that a coordinator sent.
pub fn rows(said: v1::Usage) -> Result<Rows, Malformed> {
    let mut rows = Rows::default();
    for row in said.asked {
        let counts = Asked {
            requests: row.requests,
            releases: row.releases,
            repeats: row.repeats,
        };
        rows.asked.insert(asker(row.analyst, &row.contract)?, counts);
    }
    for row in said.used {
        let grant = row.grant.map(|grant| fixed("grant", &grant)).transpose()?;
        let user = User {
            asker: asker(row.analyst, &row.contract)?,
            participant: text("participant", MAX_NAME, row.participant)?,
            grant: grant.map(ContentHash),
        };
        let counts = Used {
            allowed: row.allowed,
            refused: row.refused,
            tokens: row.tokens,
            epsilon_nano: row.epsilon_nano,
            without_noise: row.without_noise,
            vectors: row.vectors,
        };
        rows.used.insert(user, counts);
    }
    Ok(rows)
}

fn asker(analyst: String, contract: &[u8]) -> Result<Asker, Malformed> {
    Ok(Asker {
        analyst: text("analyst", MAX_NAME, analyst)?,
        contract: ContentHash(fixed("contract", contract)?),
    })
}
