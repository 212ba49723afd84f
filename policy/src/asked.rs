//! A request as policies see it: who asks what of which dataset, under which terms. Nothing of it depends on data.
//!
//! Becomes Cedar's request and entities of the schema, some 15 us. They are not validated again for each decision: they are made
//! here and nowhere else, and a test holds them against the schema.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value,
};
use governance::decision::Question;
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Query,
    Train,
    Evaluate,
}

impl Action {
    pub const ALL: [Self; 3] = [Self::Query, Self::Train, Self::Evaluate];

    /// The kind of the requests that it stands for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Train => "train",
            Self::Evaluate => "evaluate",
        }
    }

    pub fn parse(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == kind)
    }

    pub(crate) fn uid(self) -> EntityUid {
        uid(&TYPES.action, self.as_str())
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub analyst: &'a str,
    /// Of the analyst, from the roster.
    pub organisation: &'a str,
    pub action: Action,
    pub dataset: &'a str,
    /// Of the dataset's contract.
    pub version: &'a str,
    pub purpose: &'a str,
    /// Every purpose that subsumes it, in the vocabulary of the consortium.
    pub broader_purposes: Vec<&'a str>,
    /// That the plan reads.
    pub columns: Vec<&'a str>,
    /// Of those columns.
    pub classifications: BTreeSet<&'a str>,
    /// `None`: not known here, and a policy that reads them refuses.
    pub aggregates: Option<Vec<&'a str>>,
    /// Whether what leaves holds noise. If not, policies see the largest epsilon there is and a delta of one, whatever the request says.
    pub noise: bool,
    /// Of one attempt.
    pub epsilon: f64,
    pub delta: f64,
    pub max_attempts: u32,
    /// The fewest contributions that the answer may sum.
    pub cohort: u32,
    pub now_ms: u64,
}

impl<'a> Asked<'a> {
    /// `None` where the kind of request is no action that policies know.
    pub fn of(question: &Question<'a>) -> Option<Self> {
        let (request, contract) = (question.request, question.contract);
        Some(Self {
            analyst: &request.analyst,
            organisation: question.organisation,
            action: Action::parse(&request.kind)?,
            dataset: &request.dataset,
            version: &contract.version,
            purpose: &request.purpose,
            broader_purposes: question.register.vocabulary().broader(&request.purpose).collect(),
            columns: question.columns.names().iter().map(String::as_str).collect(),
            classifications: question.columns.classifications().collect(),
            aggregates: Some(question.aggregates.iter().map(String::as_str).collect()),
            noise: question.noise,
            epsilon: request.epsilon,
            delta: request.delta,
            max_attempts: request.max_attempts,
            cohort: question.s_min,
            now_ms: question.now_ms,
        })
    }

    /// As Cedar takes it. Fails only where a value has no spelling in Cedar, and then nothing is allowed.
    pub(crate) fn in_cedar(&self) -> Result<(Request, Entities), String> {
        let analyst = uid(&TYPES.analyst, self.analyst);
        let dataset = uid(&TYPES.dataset, self.dataset);
        let purpose = uid(&TYPES.purpose, self.purpose);
        let broader = self.broader_purposes.iter().filter(|broader| **broader != self.purpose);
        let entities = Entities::from_entities(
            [
                Entity::new_no_attrs(
                    analyst.clone(),
                    HashSet::from([uid(&TYPES.organisation, self.organisation)]),
                ),
                Entity::new(
                    dataset.clone(),
                    HashMap::from([("version".to_owned(), text(self.version))]),
                    HashSet::new(),
                )
                .map_err(|error| error.to_string())?,
                Entity::new_no_attrs(purpose.clone(), broader.map(|name| uid(&TYPES.purpose, name)).collect()),
            ],
            None,
        )
        .map_err(|error| error.to_string())?;
        let context = self.context(purpose).map_err(|error| error.to_string())?;
        let request = Request::new(analyst, self.action.uid(), dataset, context, None);
        Ok((request.map_err(|error| error.to_string())?, entities))
    }

    fn context(&self, purpose: EntityUid) -> Result<Context, Box<dyn std::error::Error>> {
        let (epsilon, delta) = match self.noise {
            true => (self.epsilon, self.delta),
            false => (f64::INFINITY, 1.0),
        };
        let mut terms = vec![
            ("purpose", Value::new_entity_uid(purpose)),
            ("columns", texts(&self.columns)),
            ("classifications", texts(&self.classifications)),
            ("noise", Value::new_bool(self.noise)),
            ("epsilon", Value::new_decimal(decimal(epsilon))),
            ("delta_trillionths", Value::new_long(rounded_up(delta, 12))),
            ("max_attempts", Value::new_long(self.max_attempts.into())),
            ("cohort", Value::new_long(self.cohort.into())),
            ("time", self.time()?),
        ];
        terms.extend(
            self.aggregates
                .as_ref()
                .map(|aggregates| ("aggregates", texts(aggregates))),
        );
        Ok(Context::from_pairs(
            terms.into_iter().map(|(name, value)| (name.to_owned(), value)),
        )?)
    }

    fn time(&self) -> Result<Value, Box<dyn std::error::Error>> {
        let unix_ms = i64::try_from(self.now_ms)?;
        let now = OffsetDateTime::from_unix_timestamp(unix_ms / 1000)?;
        let date = i64::from(now.year()) * 10_000 + i64::from(u8::from(now.month())) * 100 + i64::from(now.day());
        let fields = [
            ("unix_ms", unix_ms),
            ("date", date),
            ("hour", now.hour().into()),
            ("weekday", now.weekday().number_from_monday().into()),
        ];
        Ok(Value::new_record(
            fields.map(|(name, value)| (name.to_owned(), Value::new_long(value))),
        )?)
    }
}

/// Names of the schema, parsed once.
struct Types {
    analyst: EntityTypeName,
    organisation: EntityTypeName,
    dataset: EntityTypeName,
    purpose: EntityTypeName,
    action: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    // Unwrap safety: constants, which every test of a decision parses.
    let name = |text: &str| text.parse().expect("a name of the schema");
    Types {
        analyst: name("Analyst"),
        organisation: name("Organisation"),
        dataset: name("Dataset"),
        purpose: name("Purpose"),
        action: name("Action"),
    }
});

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a &'a str>) -> Value {
    Value::new_set(texts.into_iter().map(|one| text(one)))
}

/// The smallest of Cedar's decimals, which have four places, that is not below `value`. What has none is the largest of all.
fn decimal(value: f64) -> String {
    let ten_thousandths = rounded_up(value, 4);
    format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000)
}

/// A number that is not negative, in units of its so many-th decimal place, exactly as it is spelled: 0.3 is 3000 units of the
/// fourth place although no binary fraction is. What is too large or no number at all is the largest, so that it passes no cap.
fn rounded_up(value: f64, places: usize) -> i64 {
    let spelled = value.max(0.0).to_string();
    let (whole, fraction) = spelled.split_once('.').unwrap_or((&spelled, ""));
    let (kept, beyond) = fraction.split_at(places.min(fraction.len()));
    match format!("{whole}{kept:0<places$}").parse::<i64>() {
        Ok(units) if !value.is_nan() => units.saturating_add(i64::from(!beyond.is_empty())),
        _ => i64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epsilon_is_rounded_up_and_never_down_to_nothing() {
        for (epsilon, spelled) in [
            (0.3, "0.3000"),
            (1.0, "1.0000"),
            (0.1 + 0.2, "0.3001"),
            (1.00001, "1.0001"),
            (0.50000001, "0.5001"),
            (1e-9, "0.0001"),
            (12.5, "12.5000"),
            (1e300, "922337203685477.5807"),
            (f64::INFINITY, "922337203685477.5807"),
            (f64::NAN, "922337203685477.5807"),
        ] {
            assert_eq!(decimal(epsilon), spelled, "{epsilon}");
        }
        assert_eq!(rounded_up(1e-6, 12), 1_000_000);
        assert_eq!(rounded_up(1e-15, 12), 1);
    }

    #[test]
    fn what_policies_are_shown_is_what_the_schema_says() {
        let asked = Asked {
            analyst: "ann",
            organisation: "Institute \"of\" Cardiology",
            action: Action::Train,
            dataset: "heart",
            version: "1.0.0",
            purpose: "cardiology",
            broader_purposes: vec!["research", "cardiology"],
            columns: vec!["age", "chol"],
            classifications: BTreeSet::from(["sensitive"]),
            aggregates: Some(vec!["sum"]),
            noise: true,
            epsilon: 1.0,
            delta: 1e-6,
            max_attempts: 3,
            cohort: 3,
            now_ms: 1_767_225_600_000,
        };
        let (request, entities) = asked.in_cedar().unwrap();
        let schema: cedar_policy::Schema = crate::SCHEMA.parse().unwrap();
        Entities::from_entities(entities.iter().cloned(), Some(&schema)).unwrap();
        let context = request.context().unwrap().clone();
        context.validate(&schema, &asked.action.uid()).unwrap();
        let time = asked.time().unwrap();
        let expected = r#"{"date": 20260101, "hour": 0, "unix_ms": 1767225600000, "weekday": 4}"#;
        let expected: Value = expected.parse().unwrap();
        assert_eq!(Value::as_ref(&time).to_string(), Value::as_ref(&expected).to_string());
    }
}
