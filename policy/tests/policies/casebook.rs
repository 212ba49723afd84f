//! The steward's test file: what passes, what fails, and what is refused because it could not fail.

use super::common::layers;
use policy::{Casebook, Layer};

const BOOK: &str = r#"
[policies]
local = ["local.cedar"]

[request]
analyst = "ann"
organisation = "Institute of Cardiology"
action = "query"
dataset = "heart"
purpose = "research"
columns = ["age"]
epsilon = 1.0
cohort = 3
time = 2026-03-02T10:00:00Z

[[case]]
name = "by day"
expect = "allow"
by = "open"

[[case]]
name = "by night"
request = { time = "2026-03-02T02:00:00Z" }
expect = "deny"
by = "night"
"#;

const LOCAL: &str = r#"
@id("open") permit (principal, action, resource);
@id("night") forbid (principal, action, resource) when { context.time.hour < 6 };
@id("weekend") forbid (principal, action, resource) when { context.time.weekday > 5 };
"#;

#[test]
fn cases_pass_and_policies_that_no_case_reaches_are_named() {
    let book = Casebook::parse(BOOK).unwrap();
    assert_eq!(book.sources.local.as_deref(), Some(&["local.cedar".to_owned()][..]));
    let report = book.run(&layers(&[(Layer::Local, LOCAL)])).unwrap();
    assert!(report.passed(), "{report:?}");
    assert_eq!(report.untested, ["local/weekend"]);
    assert_eq!(
        report.tried.iter().map(|tried| tried.line).collect::<Vec<_>>(),
        [16, 21]
    );
}

#[test]
fn a_case_fails_by_its_decision_and_by_who_decided() {
    let failing = |from: &str, to: &str| {
        assert!(BOOK.contains(from));
        let report = Casebook::parse(&BOOK.replace(from, to))
            .unwrap()
            .run(&layers(&[(Layer::Local, LOCAL)]))
            .unwrap();
        assert!(!report.passed());
        report
            .tried
            .into_iter()
            .filter(|tried| !tried.passed())
            .map(|tried| tried.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(failing("expect = \"allow\"", "expect = \"deny\""), ["by day"]);
    assert_eq!(
        failing("by = \"night\"", "by = \"open\""),
        ["by night"],
        "a permit does not decide a refusal"
    );
    assert_eq!(failing("by = \"open\"", "by = \"weekend\""), ["by day"]);
}

#[test]
fn a_file_that_could_not_fail_or_says_too_little_is_refused_with_its_line() {
    let refused = |text: &str| Casebook::parse(text).unwrap_err();
    let cases = BOOK.find("[[case]]").unwrap();
    assert!(refused(&BOOK[..cases]).message.contains("no case"));
    let error = refused(&BOOK.replace("by night", "by day"));
    assert_eq!((error.line, error.message.contains("another")), (21, true));
    let error = refused(&BOOK.replace("purpose = \"research\"\n", ""));
    assert_eq!(
        (error.line, error.message.contains("no purpose")),
        (15, true),
        "{error}"
    );
    let error = refused(&BOOK.replace("purpose = \"research\"", "purpos = \"research\""));
    assert_eq!((error.line, error.message.contains("purpos")), (10, true), "{error}");
    assert!(
        refused(&BOOK.replace("local = [\"local.cedar\"]", ""))
            .message
            .contains("no layer")
    );
    for (from, to, says) in [
        ("2026-03-02T10:00:00Z", "2026-03-02", "malformed time"),
        ("epsilon = 1.0", "epsilon = -1.0", "epsilon is -1"),
        ("action = \"query\"", "action = \"look\"", "unknown action"),
    ] {
        let error = refused(&BOOK.replace(from, to));
        assert!(error.message.contains(says), "{error}");
    }
    let unknown = Casebook::parse(&BOOK.replace("by = \"night\"", "by = \"nigth\"")).unwrap();
    let error = unknown.run(&layers(&[(Layer::Local, LOCAL)])).unwrap_err();
    assert_eq!((error.line, error.message.contains("nigth")), (21, true), "{error}");
}
