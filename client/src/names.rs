//! Names that somebody mistyped, and what helps: the nearest one that is known here. Names are of people, organisations and datasets, so
//! a comparison with each of them costs nothing.

use std::collections::BTreeSet;

use workload::query::distance;

/// So many are listed where none is near.
const LISTED: usize = 12;

/// `did you mean ..?` where a finger slipped or only the beginning was given; else the names that there are.
pub fn instead<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let asked = wanted.to_lowercase();
    let known: BTreeSet<&str> = known.into_iter().collect();
    let mut known: Vec<(usize, &str)> = known.into_iter().map(|name| (far(&asked, name), name)).collect();
    known.sort_unstable();
    match known.as_slice() {
        [] => "none is known here".to_owned(),
        [(edits, near), ..] if *edits <= 1 + wanted.chars().count() / 4 => format!("did you mean `{near}`?"),
        all => {
            let first: Vec<&str> = all.iter().take(LISTED).map(|(_, name)| *name).collect();
            let more = match all.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("known here: {}{more}", first.join(", "))
        }
    }
}

/// Edits between two names; none where one is the beginning of the other.
fn far(asked: &str, name: &str) -> usize {
    let name = name.to_lowercase();
    let long = |text: &str| text.chars().count() > 2;
    let begins = name.starts_with(asked) || asked.starts_with(name.as_str());
    match begins && long(asked) && long(&name) {
        true => 0,
        false => distance(asked, &name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_a_beginning_is_put_right_and_else_the_names_are_listed() {
        let known = ["heart", "ward", "Cleveland Clinic"];
        assert_eq!(instead("haert", known), "did you mean `heart`?");
        assert_eq!(instead("cleveland", known), "did you mean `Cleveland Clinic`?");
        assert_eq!(instead("sepsis", known), "known here: heart, ward, Cleveland Clinic");
        assert_eq!(instead("sepsis", ["s"]), "known here: s");
        assert_eq!(instead("x", []), "none is known here");
        let many: Vec<String> = (0..14).map(|i| format!("dataset-of-site-{i}")).collect();
        assert!(instead("x", many.iter().map(String::as_str)).ends_with(" and 2 more"));
    }
}
