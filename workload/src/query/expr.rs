//! The typed expressions of a plan, and what each means on one row. This file is the specification that every
//! executor reproduces bit for bit.
//!
//! Numbers (integers too) are IEEE 754 doubles, dates are days since 1970-01-01. The compiler has checked types, bounds
//! and column names: evaluation is total. NULL follows SQL's three-valued logic; every operator but AND, OR, IS NULL and
//! CASE answers NULL if an operand is NULL. x / 0 is NULL. Intermediate results stay finite (checked from the contract).

use governance::canonical::Real;
use serde::{Deserialize, Serialize};

/// One value of a row or of an expression.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Value {
    Null,
    Number(f64),
    Text(String),
    Boolean(bool),
    Date(i32),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    Null,
    Number(Real),
    Text(String),
    Boolean(bool),
    Date(i32),
    /// A column as the scan delivers it (`ScanColumn`).
    Column(String),
    Negate(Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    /// Two numbers, texts (by bytes), dates, or booleans (false < true).
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    /// False if any is false, else NULL if any is NULL, else true.
    And(Vec<Expr>),
    /// True if any is true, else NULL if any is NULL, else false.
    Or(Vec<Expr>),
    IsNull(Box<Expr>),
    /// The list holds non-NULL literals of the operand's type.
    InList(Box<Expr>, Vec<Expr>),
    /// Case-sensitive; `%` any run, `_` any one character, `\` takes the next character literally.
    Like(Box<Expr>, String),
    /// The first branch whose condition is true, else the last expression.
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    DatePart(DatePart, Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// Always real division: 1 / 2 is 0.5.
    Divide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    Abs,
    Floor,
    Ceil,
    /// NULL if any argument is NULL.
    Least,
    Greatest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    Year,
    Quarter,
    Month,
    Day,
    /// Monday is 1, Sunday is 7 (ISO 8601).
    Weekday,
}

impl Expr {
    /// The value on one row; `column` answers a column by name.
    pub fn evaluate(&self, column: &dyn Fn(&str) -> Value) -> Value {
        let of = |e: &Expr| e.evaluate(column);
        match self {
            Expr::Null => Value::Null,
            Expr::Number(x) => Value::Number(x.get()),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Boolean(b) => Value::Boolean(*b),
            Expr::Date(days) => Value::Date(*days),
            Expr::Column(name) => column(name),
            Expr::Negate(e) => number(&of(e)).map_or(Value::Null, |x| Value::Number(-x)),
            Expr::Arithmetic(op, a, b) => match (number(&of(a)), number(&of(b))) {
                (Some(a), Some(b)) => arithmetic(*op, a, b),
                _ => Value::Null,
            },
            Expr::Call(function, arguments) => {
                let numbers: Option<Vec<f64>> = arguments.iter().map(|e| number(&of(e))).collect();
                numbers.map_or(Value::Null, |numbers| call(*function, &numbers))
            }
            Expr::Compare(op, a, b) => compare(*op, &of(a), &of(b)),
            Expr::Not(e) => match of(e) {
                Value::Boolean(b) => Value::Boolean(!b),
                _ => Value::Null,
            },
            Expr::And(list) => decide(list.iter().map(of), false),
            Expr::Or(list) => decide(list.iter().map(of), true),
            Expr::IsNull(e) => Value::Boolean(of(e) == Value::Null),
            Expr::InList(e, list) => match of(e) {
                Value::Null => Value::Null,
                value => Value::Boolean(list.iter().any(|item| of(item) == value)),
            },
            Expr::Like(e, pattern) => match of(e) {
                Value::Text(text) => Value::Boolean(like(&like_tokens(pattern), &text)),
                _ => Value::Null,
            },
            Expr::Case(branches, otherwise) => {
                let hit = branches.iter().find(|(when, _)| when.holds(column));
                of(hit.map_or(otherwise, |(_, then)| then))
            }
            Expr::DatePart(part, e) => match of(e) {
                Value::Date(days) => date_part(*part, days),
                _ => Value::Null,
            },
        }
    }

    /// Whether a condition is true; NULL is not.
    pub fn holds(&self, column: &dyn Fn(&str) -> Value) -> bool {
        self.evaluate(column) == Value::Boolean(true)
    }

    /// Calls `see` on this expression and everything below it.
    pub fn walk(&self, see: &mut dyn FnMut(&Expr)) {
        see(self);
        match self {
            Expr::Null | Expr::Number(_) | Expr::Text(_) | Expr::Boolean(_) | Expr::Date(_) | Expr::Column(_) => {}
            Expr::Negate(e) | Expr::Not(e) | Expr::IsNull(e) | Expr::Like(e, _) | Expr::DatePart(_, e) => e.walk(see),
            Expr::Arithmetic(_, a, b) | Expr::Compare(_, a, b) => {
                a.walk(see);
                b.walk(see);
            }
            Expr::Call(_, list) | Expr::And(list) | Expr::Or(list) => list.iter().for_each(|e| e.walk(see)),
            Expr::InList(e, list) => {
                e.walk(see);
                list.iter().for_each(|e| e.walk(see));
            }
            Expr::Case(branches, otherwise) => {
                for (when, then) in branches {
                    when.walk(see);
                    then.walk(see);
                }
                otherwise.walk(see);
            }
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(x) => Some(*x),
        _ => None,
    }
}

/// OR (`decisive` true) and AND (`decisive` false) in three-valued logic.
fn decide(mut values: impl Iterator<Item = Value>, decisive: bool) -> Value {
    let mut unknown = false;
    let hit = values.any(|value| {
        unknown |= value == Value::Null;
        value == Value::Boolean(decisive)
    });
    match (hit, unknown) {
        (true, _) => Value::Boolean(decisive),
        (false, true) => Value::Null,
        (false, false) => Value::Boolean(!decisive),
    }
}

/// `a op b`; a division by zero is NULL.
pub fn arithmetic(op: Arithmetic, a: f64, b: f64) -> Value {
    Value::Number(match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide if b == 0.0 => return Value::Null,
        Arithmetic::Divide => a / b,
    })
}

/// A function of numbers; the compiler has checked how many.
pub fn call(function: Function, x: &[f64]) -> Value {
    let fold = |f: fn(f64, f64) -> f64| x.iter().copied().reduce(f);
    let first = x.first().copied();
    let result = match function {
        Function::Abs => first.map(f64::abs),
        Function::Floor => first.map(f64::floor),
        Function::Ceil => first.map(f64::ceil),
        Function::Least => fold(f64::min),
        Function::Greatest => fold(f64::max),
    };
    result.map_or(Value::Null, Value::Number)
}

pub fn compare(op: Comparison, a: &Value, b: &Value) -> Value {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if *a == Value::Null || *b == Value::Null {
        return Value::Null;
    }
    let Some(order) = a.partial_cmp(b) else {
        return Value::Null;
    };
    Value::Boolean(match op {
        Comparison::Equal => order == Equal,
        Comparison::NotEqual => order != Equal,
        Comparison::Less => order == Less,
        Comparison::LessOrEqual => order != Greater,
        Comparison::Greater => order == Greater,
        Comparison::GreaterOrEqual => order != Less,
    })
}

/// SQL's LIKE over a pattern that was read once. Linear in practice: one remembered `%` to fall back to; no allocation.
pub fn like(pattern: &[LikeToken], text: &str) -> bool {
    let (mut at, mut rest) = (0, text.chars());
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut next = rest.clone();
        let Some(c) = next.next() else {
            return pattern[at..].iter().all(|token| *token == LikeToken::Any);
        };
        match pattern.get(at) {
            Some(LikeToken::Any) => {
                retry = Some((at + 1, rest.clone()));
                at += 1;
            }
            Some(LikeToken::One) => (at, rest) = (at + 1, next),
            Some(LikeToken::Exactly(wanted)) if *wanted == c => (at, rest) = (at + 1, next),
            _ => {
                let Some((after, mut from)) = retry else {
                    return false;
                };
                from.next();
                (at, rest) = (after, from.clone());
                retry = Some((after, from));
            }
        }
    }
}

/// One element of a LIKE pattern, for executors that translate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeToken {
    /// `%`
    Any,
    /// `_`
    One,
    Exactly(char),
}

pub fn like_tokens(pattern: &str) -> Vec<LikeToken> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '%' => LikeToken::Any,
            '_' => LikeToken::One,
            '\\' => LikeToken::Exactly(chars.next().unwrap_or('\\')),
            c => LikeToken::Exactly(c),
        });
    }
    tokens
}

/// 1970-01-01 as a Julian day.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// The calendar date of a day number; NULL beyond the years -9999 to 9999.
pub fn date_part(part: DatePart, days: i32) -> Value {
    let date = days
        .checked_add(EPOCH_JULIAN_DAY)
        .and_then(|julian| time::Date::from_julian_day(julian).ok());
    let Some(date) = date else {
        return Value::Null;
    };
    Value::Number(match part {
        DatePart::Year => f64::from(date.year()),
        DatePart::Quarter => f64::from((u8::from(date.month()) - 1) / 3 + 1),
        DatePart::Month => f64::from(u8::from(date.month())),
        DatePart::Day => f64::from(date.day()),
        DatePart::Weekday => f64::from(date.weekday().number_from_monday()),
    })
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, spelled with all its digits: the parser of integers would take signs too.
pub fn parse_date(text: &str) -> Option<i32> {
    let shape = |(at, byte): (usize, u8)| {
        if at == 4 || at == 7 {
            byte == b'-'
        } else {
            byte.is_ascii_digit()
        }
    };
    if text.len() != 10 || !text.bytes().enumerate().all(shape) {
        return None;
    }
    let (year, month, day) = (
        text[..4].parse().ok()?,
        text[5..7].parse::<u8>().ok()?,
        text[8..].parse().ok()?,
    );
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    Some(date.to_julian_day() - EPOCH_JULIAN_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_follows_the_wildcards() {
        for (pattern, text, expected) in [
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%b%", "abc", true),
            ("%ab%ab", "abxab", true),
            ("%ab%ab", "xab", false),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("", "", true),
            ("%", "", true),
            ("_", "é", true),
            ("A%", "abc", false),
        ] {
            assert_eq!(like(&like_tokens(pattern), text), expected, "{text} like {pattern}");
        }
    }

    #[test]
    fn dates_take_apart() {
        let days = parse_date("2024-02-29").unwrap();
        assert_eq!(date_part(DatePart::Quarter, days), Value::Number(1.0));
        assert_eq!(date_part(DatePart::Weekday, days), Value::Number(4.0));
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2023-02-29"), None);
        assert_eq!(date_part(DatePart::Year, i32::MAX), Value::Null);
    }
}
