//! Columns of two contracts. A column that cannot be asked about under a contract is in no question written for it, so
//! whatever changes in it leaves those questions alone; only the privacy unit is read without being asked about.

use super::{Change, Claim, Found, Verdict, documentation};
use crate::canonical::Real;
use crate::contract::{Bounds, Column, LogicalType, NullRule, Scalar, Terms, spell_date};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn compare(old: &Terms, new: &Terms, found: &mut Found) {
    let (was, is) = (by_name(old), by_name(new));
    let renamed = renamed(old, new, &was, &is);
    for column in &old.columns {
        found.column = Some(column.name.clone());
        match (is.get(column.name.as_str()), renamed.get(column.name.as_str())) {
            (Some(now), _) => changed(column, now, unit_of_both(column, old, new), found),
            (None, Some(now)) => appeared_or_gone("name", Some(column), Some(now), found),
            (None, None) => appeared_or_gone("column", Some(column), None, found),
        }
    }
    let taken: BTreeSet<&str> = renamed.values().map(|column| column.name.as_str()).collect();
    for column in &new.columns {
        if !was.contains_key(column.name.as_str()) && !taken.contains(column.name.as_str()) {
            found.column = Some(column.name.clone());
            appeared_or_gone("column", None, Some(column), found);
        }
    }
    found.column = None;
    let common = |columns: &[Column], of: &BTreeMap<&str, &Column>| -> Vec<String> {
        let shared = columns.iter().filter(|column| of.contains_key(column.name.as_str()));
        shared.map(|column| column.name.clone()).collect()
    };
    let orders = (common(&old.columns, &is), common(&new.columns, &was));
    found.term(
        "order of columns",
        orders,
        |_| None,
        |_, _| documentation("columns go by name"),
    );
}

fn by_name(terms: &Terms) -> BTreeMap<&str, &Column> {
    terms
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column))
        .collect()
}

/// Whether questions may use it.
fn asked(column: &Column) -> bool {
    column.queryable && !column.site_identifying
}

fn unit_of_both(column: &Column, old: &Terms, new: &Terms) -> bool {
    [old, new]
        .iter()
        .all(|terms| terms.privacy_unit.as_deref() == Some(&column.name))
}

/// A column that went and one that came with all else equal, if there is only one such pair: a new name.
fn renamed<'a>(
    old: &'a Terms,
    new: &'a Terms,
    was: &BTreeMap<&str, &Column>,
    is: &BTreeMap<&str, &Column>,
) -> BTreeMap<&'a str, &'a Column> {
    let alike = |a: &Column, b: &Column| {
        let named_alike = Column {
            name: a.name.clone(),
            description: a.description.clone(),
            ..b.clone()
        };
        *a == named_alike
    };
    let gone: Vec<&Column> = old
        .columns
        .iter()
        .filter(|c| !is.contains_key(c.name.as_str()))
        .collect();
    let came: Vec<&Column> = new
        .columns
        .iter()
        .filter(|c| !was.contains_key(c.name.as_str()))
        .collect();
    let only = |of: &Column, among: &[&'a Column]| -> Option<&'a Column> {
        let mut fitting = among.iter().filter(|column| alike(of, column));
        fitting.next().filter(|_| fitting.next().is_none()).copied()
    };
    gone.iter()
        .filter_map(|column| Some((column.name.as_str(), only(column, &came)?)))
        .filter(|(_, now)| only(now, &gone).is_some())
        .collect()
}

fn appeared_or_gone(term: &'static str, old: Option<&Column>, new: Option<&Column>, found: &mut Found) {
    let in_no_question = |column: Option<&Column>| !column.is_some_and(asked);
    let verdict = Verdict::new(in_no_question(old), in_no_question(new));
    let why = match (verdict, old, new) {
        (Verdict::Full, ..) => "no question may use it",
        (_, Some(_), Some(_)) => "questions know the old name: keep it, and say in [dataset.rename] what files call it",
        (_, _, Some(_)) => "old questions do not use it; every participant's files must have it",
        _ => "questions that use it are refused",
    };
    let name = |column: Option<&Column>| column.map(|column| column.name.clone());
    found.changes.push(Change {
        column: found.column.clone(),
        term,
        old: name(old),
        new: name(new),
        verdict,
        claim: Claim::Same,
        why,
    });
}

/// What differs in a column that both contracts have.
fn changed(old: &Column, new: &Column, unit: bool, found: &mut Found) {
    let before = found.changes.len();
    let text = |text: &Option<&str>| text.map(str::to_owned);
    let flag = |flag: &bool| Some(if *flag { "yes" } else { "no" }.to_owned());
    found.term(
        "type",
        (old.logical_type, new.logical_type),
        |t| Some(format!("{t:?}").to_lowercase()),
        |_, _| {
            let why = "values are read, rounded and compared differently";
            (Verdict::Breaking, Claim::Price, why)
        },
    );
    // Bounds of a date and of a number are not on one scale, and the type has said all.
    if old.logical_type == new.logical_type {
        let say = |bounds: &Option<Bounds>| bounds.map(|b| spell(b, old.logical_type));
        found.term("bounds", (old.bounds, new.bounds), say, |a, b| bounds(*a, *b, old, new));
        let step = |step: &Option<Real>| step.map(|step| step.to_string());
        found.term("multipleOf", (old.resolution, new.resolution), step, |a, b| {
            resolution(*a, *b, old, new)
        });
        let list = |list: &&Vec<String>| (!list.is_empty()).then(|| list.join(" | "));
        found.term("categories", (&old.categories, &new.categories), list, |a, b| {
            categories(a, b)
        });
    }
    found.term("missing", (Missing::of(old), Missing::of(new)), Missing::say, |a, b| {
        missing(a, b)
    });
    found.term(
        "unit",
        (old.unit.as_deref(), new.unit.as_deref()),
        text,
        |a, b| match (a, b) {
            (Some(_), Some(_)) => (
                Verdict::Breaking,
                Claim::Same,
                "the same number is another quantity: give the column a new name",
            ),
            _ => documentation("says what the numbers are; if the numbers change too, give the column a new name"),
        },
    );
    // So far, what a question that uses the column would notice.
    for change in &mut found.changes[before..] {
        let verdict = change.verdict;
        change.verdict = Verdict::new(
            verdict.is_backward() || !asked(old),
            verdict.is_forward() || !asked(new),
        );
        if change.verdict != verdict {
            change.why = match (asked(old), asked(new)) {
                (false, false) => "no question may use the column",
                (false, true) => "no question could use the column before",
                _ => "no question may use the column any more",
            };
        }
        // A claim is shared only by questions that both contracts answer.
        if !(asked(old) && asked(new)) {
            change.claim = Claim::Same;
        }
        if unit && change.term == "type" {
            change.verdict = Verdict::Breaking;
            change.claim = Claim::Unit;
            change.why = "the privacy unit's ids are read differently: two people may become one, or one two";
        }
    }
    let open = |was: bool, is: bool| Verdict::new(is || !was, was || !is);
    found.term("queryable", (old.queryable, new.queryable), flag, |_, _| {
        let why = match new.queryable {
            true => "nothing that worked stops working",
            false => "questions that use it are refused",
        };
        (open(asked(old), asked(new)), Claim::Same, why)
    });
    found.term(
        "identifiesSite",
        (old.site_identifying, new.site_identifying),
        flag,
        |_, _| {
            let why = match new.site_identifying {
                true => "questions that use it are refused",
                false => "questions may use it now: make sure that it singles out no participant",
            };
            (open(asked(old), asked(new)), Claim::Same, why)
        },
    );
    let tags = (old.classification.as_deref(), new.classification.as_deref());
    found.term("classification", tags, text, |_, _| documentation("a tag for people"));
    let described = (Some(old.description.as_str()), Some(new.description.as_str()));
    found.term("description", described, text, |_, _| {
        documentation("words for people; questions do not read them")
    });
}

fn spell(bounds: Bounds, kind: LogicalType) -> String {
    let one = |x: Real| match kind {
        LogicalType::Date => spell_date(x.get() as i32),
        _ => x.to_string(),
    };
    format!("{} to {}", one(bounds.min), one(bounds.max))
}

fn bounds(old: Option<Bounds>, new: Option<Bounds>, was: &Column, is: &Column) -> (Verdict, Claim, &'static str) {
    let (Some(a), Some(b)) = (old, new) else {
        let why = match new.is_some() {
            true => "it can be aggregated now, and values beyond the bounds, which comparisons saw, are clamped",
            false => "without bounds it cannot be aggregated",
        };
        return (Verdict::Breaking, Claim::Price, why);
    };
    let holds = |outer: Bounds, inner: Bounds| outer.min <= inner.min && outer.max >= inner.max;
    let limits = Verdict::new(holds(b, a), holds(a, b));
    let verdict = limits.and(uses(was, is));
    let why = match verdict {
        _ if verdict != limits => {
            "one of the ranges can be divided by (no zero in it) or grouped by (whole numbers), the other cannot"
        }
        Verdict::Backward => "what was within is within; values that were clamped are not any more, and noise grows",
        Verdict::Forward => "values beyond are clamped now; noise shrinks",
        _ => "some values are clamped that were not, and others the other way round",
    };
    (verdict, Claim::Price, why)
}

/// What the range and the step of a number let questions do with it beyond adding it up.
fn uses(was: &Column, is: &Column) -> Verdict {
    let whole = |column: &Column| {
        let step = column.resolution.is_some_and(|step| step.get().fract() == 0.0);
        let low = column.bounds.is_some_and(|b| b.min.get().fract() == 0.0);
        column.logical_type != LogicalType::Number || (step && low)
    };
    // Whole numbers other than zero are at least one away from it; other divisors must be bounded away.
    let divides = |c: &Column| whole(c) || c.bounds.is_some_and(|b| b.min.get() > 0.0 || b.max.get() < 0.0);
    let groups = |c: &Column| whole(c) && c.bounds.is_some_and(|b| b.max.get().fract() == 0.0);
    Verdict::of_limit(divides(was), divides(is)).and(Verdict::of_limit(groups(was), groups(is)))
}

fn resolution(old: Option<Real>, new: Option<Real>, was: &Column, is: &Column) -> (Verdict, Claim, &'static str) {
    // An integer or a date has step 1, whatever the contract adds.
    if is.logical_type != LogicalType::Number {
        return documentation("integers and dates have a step of 1");
    }
    // Whether all values of one grid lie on the other. Without a step every value does.
    let on = |grid: Option<Real>, values: Option<Real>| match (grid, values) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(grid), Some(values)) => {
            let (grid, values) = (grid.get(), values.get());
            ((values / grid).round() * grid - values).abs() <= 1e-9 * values
        }
    };
    let grids = Verdict::new(on(new, old), on(old, new));
    let verdict = grids.and(uses(was, is));
    let why = match verdict {
        _ if verdict != grids => "values of a whole step can be grouped by, others cannot",
        Verdict::Backward => "old values lie on the new grid; quantiles look between them, too",
        Verdict::Forward => "quantiles count values between the steps with their neighbours",
        _ => "values of one grid are not on the other",
    };
    (verdict, Claim::Price, why)
}

fn categories(old: &[String], new: &[String]) -> (Verdict, Claim, &'static str) {
    if old.is_empty() || new.is_empty() {
        let why = match old.is_empty() {
            true => "texts outside the list read as NULL now; it can be grouped by",
            false => "free text cannot be grouped by or be a feature",
        };
        return (Verdict::Breaking, Claim::Same, why);
    }
    let verdict = Verdict::new(new.starts_with(old), old.starts_with(new));
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let why = match verdict {
        Verdict::Backward => "old values keep their place and meaning; GROUP BY has more groups",
        Verdict::Forward => "questions that name a removed value are refused, and its rows read as NULL",
        _ if a.is_subset(&b) || b.is_subset(&a) => {
            "the order numbers the classes of a model and decides which groups LIMIT keeps: add at the end, remove at the end"
        }
        _ => "values came and values went: questions that name one of them are refused on one side",
    };
    (verdict, Claim::Same, why)
}

/// `required` and `nulls` together.
#[derive(PartialEq)]
enum Missing<'a> {
    Never,
    Ignored,
    Imputed(&'a Scalar),
}

impl<'a> Missing<'a> {
    fn of(column: &'a Column) -> Self {
        match (column.nullable, &column.null_rule) {
            (false, _) => Self::Never,
            (true, NullRule::Ignore) => Self::Ignored,
            (true, NullRule::Impute(constant)) => Self::Imputed(constant),
        }
    }

    fn say(&self) -> Option<String> {
        Some(match self {
            Self::Never => "never".to_owned(),
            Self::Ignored => "ignored".to_owned(),
            Self::Imputed(Scalar::Number(x)) => format!("reads as {x}"),
            Self::Imputed(Scalar::Text(text)) => format!("reads as {text}"),
            Self::Imputed(Scalar::Boolean(b)) => format!("reads as {b}"),
            Self::Imputed(Scalar::Date(days)) => format!("reads as {}", spell_date(*days)),
        })
    }
}

fn missing(old: &Missing<'_>, new: &Missing<'_>) -> (Verdict, Claim, &'static str) {
    use Missing::*;
    match (old, new) {
        (Never, Ignored) => (
            Verdict::Backward,
            Claim::Price,
            "answers count who has a value, one number more for the noise to hide",
        ),
        (Never, _) => (Verdict::Backward, Claim::Same, "data without NULLs reads as before"),
        (Ignored, Never) => (
            Verdict::Forward,
            Claim::Price,
            "NULLs, which were left out, read as a constant now; one number less to hide",
        ),
        (_, Never) => (Verdict::Forward, Claim::Same, "NULLs read as another constant now"),
        (Imputed(_), Imputed(_)) => (Verdict::Breaking, Claim::Same, "a NULL is another value"),
        _ => (
            Verdict::Breaking,
            Claim::Price,
            "a NULL is left out by the one and counted by the other",
        ),
    }
}
