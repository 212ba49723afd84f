//! Names that somebody mistyped, and what helps: the nearest one that is known here. Names are of people, organisations and datasets, so
//! a comparison with each of them costs nothing.

use std::collections::BTreeSet;

use workload::query::nearest;

/// So many are listed where none is near.
const LISTED: usize = 12;

/// `did you mean ..?` where a finger slipped or only the beginning was given; else the names that there are.
pub fn instead<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let begun = known.iter().copied().find(|name| one_begins(wanted, name));
    if let Some(near) = begun.or_else(|| nearest(wanted, known.iter().copied())) {
        return format!("did you mean `{near}`?");
    }
    let first: Vec<&str> = known.iter().copied().take(LISTED).collect();
    match known.len().saturating_sub(LISTED) {
        0 if first.is_empty() => "none is known here".to_owned(),
        0 => format!("known here: {}", first.join(", ")),
        more => format!("known here: {} and {more} more", first.join(", ")),
    }
}

/// Whether one of two names is the beginning of the other, and both are more than an initial.
fn one_begins(asked: &str, name: &str) -> bool {
    let (asked, name) = (asked.to_lowercase(), name.to_lowercase());
    let long = |text: &str| text.chars().count() > 2;
    long(&asked) && long(&name) && (name.starts_with(&asked) || asked.starts_with(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_a_beginning_is_put_right_and_else_the_names_are_listed() {
        let known = ["heart", "ward", "Cleveland Clinic"];
        assert_eq!(instead("haert", known), "did you mean `heart`?");
        assert_eq!(instead("cleveland", known), "did you mean `Cleveland Clinic`?");
        assert_eq!(instead("sepsis", known), "known here: Cleveland Clinic, heart, ward");
        assert_eq!(instead("sepsis", ["s"]), "known here: s");
        assert_eq!(instead("x", []), "none is known here");
        let many: Vec<String> = (0..14).map(|i| format!("dataset-of-site-{i}")).collect();
        assert!(instead("x", many.iter().map(String::as_str)).ends_with(" and 2 more"));
    }
}
