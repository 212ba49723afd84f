//! LIKE, the parts of a date and the spelling of dates, value by value against SQLite.

use super::common::rng;
use super::oracle::{Plain, Sqlite};
use rand::RngExt;
use workload::query::{DatePart, Value, date_part, like, like_tokens, parse_date};

#[test]
fn like_matches_what_sqlite_matches() {
    let sqlite = Sqlite::empty();
    let mut rng = rng(20);
    let mut word = |alphabet: &[char], most: usize| -> String {
        (0..rng.random_range(0..=most))
            .map(|_| alphabet[rng.random_range(0..alphabet.len())])
            .collect()
    };
    for _ in 0..20_000 {
        let text = word(&['a', 'A', 'b', 'é', '%', '_', '\\', '\n'], 7);
        let pattern = word(&['a', 'A', 'b', 'é', '%', '%', '_', '\\', '\n'], 7);
        let escapes = pattern.chars().rev().take_while(|c| *c == '\\').count();
        if escapes % 2 == 1 {
            continue; // an escape of nothing: SQLite matches nothing, here it is itself
        }
        let theirs = sqlite.rows("SELECT ?1 LIKE ?2 ESCAPE '\\'", &[&text, &pattern]);
        let ours = f64::from(u8::from(like(&like_tokens(&pattern), &text)));
        assert_eq!(theirs, [[Plain::Number(ours)]], "{text:?} LIKE {pattern:?}");
    }
}

#[test]
fn every_day_is_taken_apart_as_sqlite_does() {
    let days = "WITH RECURSIVE day(n) AS (SELECT -29220 UNION ALL SELECT n + 1 FROM day WHERE n < 51134), \
        far(n) AS (SELECT -719528 UNION ALL SELECT n + 61 FROM far WHERE n < 2932800), \
        named(n, d) AS (SELECT n, date('1970-01-01', n || ' days') FROM (SELECT * FROM day UNION ALL \
         SELECT * FROM far)) \
        SELECT n, d, strftime('%Y', d) + 0, (strftime('%m', d) + 2) / 3, strftime('%m', d) + 0, strftime('%d', d) + 0, \
        strftime('%u', d) + 0 FROM named";
    let parts = [
        DatePart::Year,
        DatePart::Quarter,
        DatePart::Month,
        DatePart::Day,
        DatePart::Weekday,
    ];
    let rows = Sqlite::empty().rows(days, &[]);
    assert!(rows.len() > 100_000);
    for row in rows {
        let [Plain::Number(n), Plain::Text(text), theirs @ ..] = &row[..] else {
            panic!("{row:?}")
        };
        assert_eq!(parse_date(text), Some(*n as i32), "{text}");
        for (part, expected) in parts.iter().zip(theirs) {
            let Value::Number(found) = date_part(*part, *n as i32) else {
                panic!("{text}: no {part:?}")
            };
            assert_eq!(Plain::Number(found), *expected, "{part:?} of {text}");
        }
    }
}

#[test]
fn only_days_of_the_calendar_in_its_one_spelling_are_dates() {
    for text in [
        "2023-02-29",
        "1900-02-29",
        "2100-02-29",
        "2024-02-30",
        "2024-04-31",
        "2024-13-01",
        "2024-00-10",
        "2024-01-00",
    ] {
        assert_eq!(parse_date(text), None, "{text}");
    }
    for text in [
        "2024-2-29",
        "2024-02-9",
        "+024-02-09",
        "2024-+2-09",
        "2024-02-+9",
        "2024-02-09 ",
        "24-02-09",
        "2024/02/09",
        "20240209",
        "",
    ] {
        assert_eq!(parse_date(text), None, "{text}");
    }
    for text in ["2000-02-29", "2400-02-29", "0000-01-01", "9999-12-31"] {
        assert!(parse_date(text).is_some(), "{text}");
    }
}
