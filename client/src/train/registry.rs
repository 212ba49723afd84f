//! The analyst's registry of models: finding a version by what people type, and moving it. What is read is the coordinator's
//! word; the models themselves are signed releases, and a move is signed here.

use governance::model::Version;
use governance::{ContentHash, Move, Standing};
use proto::v1;

use super::{Evaluated, Trained};
use crate::client::now_ms;
use crate::released::unreadable;
use crate::{Client, Exit, Problem};

/// Versions in the order in which they were released.
#[derive(Clone, Debug)]
pub struct Models {
    pub versions: Vec<Version>,
    /// Releases of them that were made under a grant that was revoked since: release, grant, owner.
    pub revoked: Vec<(String, ContentHash, String)>,
    moves: u64,
}

/// A version with what it is, how it was made, and the figures that were paid for, the newest first.
#[derive(Clone, Debug)]
pub struct Detailed {
    pub version: Version,
    pub trained: Trained,
    pub evaluations: Vec<Evaluated>,
}

impl TryFrom<v1::Models> for Models {
    type Error = Problem;

    fn try_from(models: v1::Models) -> Result<Self, Problem> {
        let versions = models.versions.into_iter().map(Version::try_from);
        Ok(Self {
            versions: versions.collect::<Result<_, _>>().map_err(unreadable)?,
            revoked: (models.revoked.into_iter().map(proto::analysts::revoked))
                .collect::<Result<_, _>>()
                .map_err(unreadable)?,
            moves: models.moves,
        })
    }
}

impl Models {
    /// A version by `name` (the one in production), `name@number`, its release, or the first digits of its hash.
    pub fn find(&self, wanted: &str) -> Result<&Version, Problem> {
        let found = |message: String| {
            Problem::new(Exit::Refused, "SOTTO-2011", message)
                .remedy("`sotto model` lists your models by name and hash")
        };
        if let Some((name, number)) = wanted.split_once('@') {
            let is = |version: &&Version| version.name == name && number.parse() == Ok(version.number);
            let version = self.versions.iter().find(is);
            return version.ok_or_else(|| found(format!("no version {number} of a model `{name}` of yours")));
        }
        if self.versions.iter().any(|version| version.name == wanted) {
            let in_production = |version: &&Version| version.name == wanted && version.standing == Standing::Production;
            let version = self.versions.iter().find(in_production);
            return version.ok_or_else(|| {
                found(format!(
                    "no version of `{wanted}` is in production: say which, as {wanted}@1"
                ))
            });
        }
        let starts = |version: &&Version| {
            version.release == wanted || (wanted.len() >= 4 && version.model.to_string().starts_with(wanted))
        };
        let mut matching = self.versions.iter().filter(starts);
        match (matching.next(), matching.next()) {
            (Some(version), None) => Ok(version),
            (Some(_), Some(_)) => Err(found(format!("several models start with {wanted}: write more digits"))),
            _ => Err(found(format!("no model `{wanted}` of yours"))),
        }
    }

    /// A version by its model's hash.
    pub fn of(&self, model: &ContentHash) -> Option<&Version> {
        self.versions.iter().find(|version| version.model == *model)
    }

    /// A version and its ancestors, the youngest first, as far as they are this analyst's.
    pub fn lineage<'a>(&'a self, version: &'a Version) -> Vec<&'a Version> {
        let mut line = vec![version];
        // A parent is always older, so this ends; the bound is for a coordinator that says otherwise.
        while let Some(parent) = line.last().and_then(|last| last.parent).and_then(|hash| self.of(&hash))
            && line.len() <= self.versions.len()
        {
            line.push(parent);
        }
        line
    }
}

/// The model that somebody typed the name of, from a release that verifies.
pub async fn trained(client: &mut Client, wanted: &str) -> Result<(Version, Trained), Problem> {
    let version = client.models().await?.find(wanted)?.clone();
    let trained = released(client, &version).await?;
    if !trained.released.verified() {
        let message = format!(
            "release {} is not signed by the coordinator of your roster",
            version.release
        );
        return Err(Problem::new(Exit::Refused, "SOTTO-7207", message)
            .remedy("`sotto doctor` compares rosters; do not use this model until that is explained"));
    }
    Ok((version, trained))
}

async fn released(client: &mut Client, version: &Version) -> Result<Trained, Problem> {
    let trained = Trained::of(client.release(&version.release).await?)?;
    if trained.run.model_hash != version.model {
        return Err(unreadable("it holds another model than the registry says"));
    }
    Ok(trained)
}

/// The release of a version and of its figures.
pub async fn detailed(client: &mut Client, version: &Version) -> Result<Detailed, Problem> {
    let trained = released(client, version).await?;
    let mut evaluations = Vec::new();
    for figures in version.figures.iter().rev() {
        let evaluated = Evaluated::of(client.release(figures).await?)?;
        if evaluated.evaluation.model_hash != version.model {
            return Err(unreadable("it holds figures of another model than the registry says"));
        }
        evaluations.push(evaluated);
    }
    Ok(Detailed {
        version: version.clone(),
        trained,
        evaluations,
    })
}

/// Signs and makes one move, and answers the models as they stand after it.
pub async fn move_to(
    client: &mut Client,
    models: &Models,
    version: &Version,
    to: Standing,
    note: &str,
) -> Result<Models, Problem> {
    let wanted = Move {
        analyst: client.identity().member.name.clone(),
        model: version.model,
        to,
        note: note.to_owned(),
        after: models.moves,
        issued_at_ms: now_ms(),
    };
    let signed = wanted
        .sign(&client.signing_key()?)
        .map_err(|error| Problem::usage(error.to_string()))?;
    client.move_model(signed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Models {
        let version = |name: &str, number: u32, of: u8, standing| Version {
            name: name.to_owned(),
            number,
            model: ContentHash([of; 32]),
            parent: (of > 0xa1).then(|| ContentHash([of - 1; 32])),
            release: format!("{of:032}"),
            figures: Vec::new(),
            standing,
            released_at_ms: 0,
            moves: Vec::new(),
        };
        Models {
            revoked: Vec::new(),
            versions: vec![
                version("heart", 1, 0xa1, Standing::Production),
                version("heart", 2, 0xa2, Standing::Candidate),
                version("other", 1, 0xa3, Standing::Validated),
            ],
            moves: 3,
        }
    }

    #[test]
    fn a_model_is_found_by_name_number_release_and_digits() {
        let models = models();
        let number = |wanted: &str| models.find(wanted).map(|version| version.model.0[0]);
        assert_eq!(number("heart").unwrap(), 0xa1);
        assert_eq!(number("heart@2").unwrap(), 0xa2);
        assert_eq!(number("a3a3").unwrap(), 0xa3);
        assert_eq!(number(&format!("{:032}", 0xa2)).unwrap(), 0xa2);
        for (wanted, says) in [
            ("other", "in production"),
            ("heart@7", "no version 7"),
            ("a", "no model"),
            ("ffff", "no model"),
        ] {
            assert!(number(wanted).unwrap_err().message.contains(says), "{wanted}");
        }
    }

    #[test]
    fn a_lineage_ends_at_the_first_model_of_all() {
        let models = models();
        let line = models.lineage(models.find("other@1").unwrap());
        let firsts: Vec<u8> = line.iter().map(|version| version.model.0[0]).collect();
        assert_eq!(firsts, [0xa3, 0xa2, 0xa1]);
    }
}
