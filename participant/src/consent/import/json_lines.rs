//! The resources of a JSON text and the lines on which they begin: one resource, a `Bundle` of them, or one a line (NDJSON).
//!
//! A parsed value has forgotten its place, so entries of a bundle are found a second time, by a scan that knows strings and
//! brackets; it runs on text that has been parsed, and costs a pass over the bytes.

use super::{Fault, Place};
use serde_json::Value;

type Faulty = (Place, Fault);

/// One resource a line; empty lines are between them.
pub(super) fn per_line(text: &str) -> Result<Vec<(u64, Value)>, Faulty> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let resource = serde_json::from_str(line).map_err(|_| broken(number))?;
            Ok((number, resource))
        })
        .collect()
}

/// One resource, or the entries of one bundle.
pub(super) fn resources(text: &str) -> Result<Vec<(u64, Value)>, Faulty> {
    let mut whole: Value = serde_json::from_str(text).map_err(|error| broken(error.line() as u64))?;
    let first = text.len() - text.trim_start().len();
    if whole.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return Ok(vec![(line_at(text, first), whole)]);
    }
    let at = Place::Line(line_at(text, first));
    let not_understood = |at, what: &str| (at, Fault::NotUnderstood(what.to_owned()));
    // `history` holds what was once so, `message` and `transaction` what somebody is asked to do.
    let kind = whole.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "collection" | "searchset" | "batch-response") {
        return Err(not_understood(
            at,
            "a bundle is of type collection or searchset here: export it as one of them",
        ));
    }
    if whole.get("link").is_some_and(|links| {
        let next = |link: &Value| link.get("relation").and_then(Value::as_str) == Some("next");
        links.as_array().is_some_and(|links| links.iter().any(next))
    }) {
        return Err(not_understood(
            at,
            "the bundle is one page of several: export all of it",
        ));
    }
    let Some(Value::Array(entries)) = whole.get_mut("entry").map(Value::take) else {
        return Err(not_understood(at, "the bundle has no entries"));
    };
    let starts = entry_starts(text);
    // Two members of one name: which of them counts is anybody's guess.
    if starts.len() != entries.len() {
        return Err(not_understood(at, "the bundle's entries are not one list"));
    }
    let mut line = Lines { text, at: 0, line: 1 };
    let mut found = Vec::with_capacity(entries.len());
    for (start, mut entry) in starts.into_iter().zip(entries) {
        let number = line.of(start);
        let resource = entry.get_mut("resource").map(Value::take);
        let resource = resource.ok_or_else(|| not_understood(Place::Line(number), "the entry holds no resource"))?;
        found.push((number, resource));
    }
    Ok(found)
}

fn broken(line: u64) -> Faulty {
    let text = "it is not JSON: export it again".to_owned();
    (Place::Line(line), Fault::NotUnderstood(text))
}

fn line_at(text: &str, offset: usize) -> u64 {
    Lines { text, at: 0, line: 1 }.of(offset)
}

/// Line numbers of rising offsets.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, offset: usize) -> u64 {
        let between = &self.text.as_bytes()[self.at..offset];
        self.line += between.iter().filter(|b| **b == b'\n').count() as u64;
        self.at = offset;
        self.line
    }
}

/// Where the elements of the top-level member `entry` begin, in a text that is JSON.
fn entry_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut starts) = (0u32, 0, Vec::new());
    let (mut name, mut in_entries) = (None, false);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at);
                if depth == 1 {
                    name = Some(&text[at + 1..end]);
                }
                at = end;
            }
            open @ (b'{' | b'[') => {
                depth += 1;
                match depth {
                    2 => in_entries = open == b'[' && name == Some("entry"),
                    3 if in_entries => starts.push(at),
                    _ => {}
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    starts
}

/// The closing quote of a string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    end.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_on_the_lines_where_they_begin() {
        let text = r#"

{ "resourceType": "Bundle", "type": "collection",
  "note": ["entry", {"entry": [{}]}, "a \" [ { brace"],
  "entry": [
    { "resource": {"x": [1, {"y": 2}]} },

    { "resource": {"x": 2} }, { "resource":
       {"x": 3} }
  ] }"#;
        let found: Vec<(u64, Value)> = resources(text).unwrap();
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [6, 8, 8]);
        assert_eq!(found[1].1["x"], 2);
        assert_eq!(resources("\n\n{\"resourceType\": \"Consent\"}").unwrap()[0].0, 3);
        assert_eq!(
            per_line("{}\n\n{}\n").unwrap().iter().map(|r| r.0).collect::<Vec<_>>(),
            [1, 3]
        );
    }

    #[test]
    fn what_is_no_json_or_no_whole_bundle_is_refused_at_its_line() {
        let at = |result: Result<_, Faulty>| result.map(|_: Vec<(u64, Value)>| ()).unwrap_err().0;
        assert_eq!(at(per_line("{}\n{\n")), Place::Line(2));
        assert_eq!(at(resources("{\n\"a\": 1\n\"b\": 2}")), Place::Line(3));
        for bundle in [
            r#"{"resourceType":"Bundle","type":"history","entry":[{"resource":{}}]}"#,
            r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next"}],"entry":[{"resource":{}}]}"#,
            r#"{"resourceType":"Bundle","type":"collection"}"#,
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:x"}]}"#,
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{}}],"entry":[]}"#,
        ] {
            assert_eq!(at(resources(bundle)), Place::Line(1), "{bundle}");
        }
    }
}
