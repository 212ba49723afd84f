//! The longer forms of expressions on one row: constants, lists, CASE, date parts and functions.

use super::row::{OPERATORS, negate_if};
use super::scope::Scope;
use super::types::{Interval, Kind, Typed};
use super::{Comparison, DatePart, Expr, Function, SqlError, parse_date};
use governance::canonical::Real;
use sqlparser::ast::{self, DateTimeField, Spanned, Value};

const MAX_LIST: usize = 1_000;

impl Scope<'_> {
    pub fn literal(&self, value: &ast::ValueWithSpan) -> Result<Typed, SqlError> {
        match &value.value {
            Value::Number(text, _) => {
                let Ok(real) = text.parse::<Real>() else {
                    let message = format!("`{text}` is not a number this can compute with");
                    return Err(self.error(value.span, message, "decimal numbers"));
                };
                let x = real.get();
                Ok(Typed {
                    interval: Some(Interval::point(x)),
                    step: (x.fract() == 0.0).then_some(1.0),
                    ..Typed::new(Expr::Number(real), Kind::Number, false)
                })
            }
            Value::SingleQuotedString(text) => Ok(Typed {
                texts: Some(vec![text.clone()]),
                ..Typed::new(Expr::Text(text.clone()), Kind::Text, false)
            }),
            Value::Boolean(b) => Ok(Typed::condition(Expr::Boolean(*b), false)),
            Value::Null => Ok(Typed::new(Expr::Null, Kind::Null, true)),
            _ => Err(self.error(
                value.span,
                "this kind of constant is not supported",
                "numbers, 'text', TRUE, FALSE, NULL, DATE 'YYYY-MM-DD'",
            )),
        }
    }

    pub fn date_literal(&self, typed: &ast::TypedString) -> Result<Typed, SqlError> {
        let days = match (&typed.data_type, &typed.value.value) {
            (ast::DataType::Date, Value::SingleQuotedString(text)) => parse_date(text),
            _ => None,
        };
        days.map(date)
            .ok_or_else(|| self.error(typed.value.span, "this is not a date", "DATE 'YYYY-MM-DD'"))
    }

    pub fn in_list(
        &self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        depth: usize,
    ) -> Result<Typed, SqlError> {
        let operand = self.row(expr, depth + 1)?;
        if list.len() > MAX_LIST {
            let message = format!("a list of {} values", list.len());
            return Err(self.error(expr.span(), message, format!("at most {MAX_LIST} values")));
        }
        let mut items = Vec::new();
        for item in list {
            let mut typed = self.row(item, depth + 1)?;
            self.coerce_date(item, operand.kind, &mut typed)?;
            let constant = matches!(
                typed.expr,
                Expr::Number(_) | Expr::Text(_) | Expr::Boolean(_) | Expr::Date(_)
            );
            if !constant || typed.kind != operand.kind {
                let message = format!("IN takes a list of constants, each {}", operand.kind.name());
                return Err(self.error(item.span(), message, "IN ('a', 'b'); OR for anything else"));
            }
            self.known_category(item, &typed, &operand)?;
            items.push(typed.expr);
        }
        // The order and repetition of a list do not change the question.
        items.sort();
        items.dedup();
        let within = Expr::InList(Box::new(operand.expr), items);
        Ok(Typed::condition(negate_if(negated, within), operand.nullable))
    }

    pub fn is_null(&self, inner: &ast::Expr, negated: bool, depth: usize) -> Result<Typed, SqlError> {
        let typed = self.row(inner, depth + 1)?;
        Ok(Typed::condition(
            negate_if(negated, Expr::IsNull(Box::new(typed.expr))),
            false,
        ))
    }

    /// `IS [NOT] TRUE | FALSE`, which is never NULL.
    pub fn is_boolean(&self, inner: &ast::Expr, value: bool, negated: bool, depth: usize) -> Result<Typed, SqlError> {
        let typed = self.condition(inner, depth + 1)?;
        let when = negate_if(!value, typed.expr);
        let case = Expr::Case(vec![(when, Expr::Boolean(!negated))], Box::new(Expr::Boolean(negated)));
        Ok(Typed::condition(case, false))
    }

    pub fn case(
        &self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        depth: usize,
    ) -> Result<Typed, SqlError> {
        let mut branches = Vec::new();
        let mut results: Vec<(&ast::Expr, Typed)> = Vec::new();
        for when in conditions {
            let condition = match operand {
                None => self.condition(&when.condition, depth + 2)?,
                Some(operand) => self.compare(
                    when.condition.span(),
                    Comparison::Equal,
                    operand,
                    &when.condition,
                    depth + 2,
                )?,
            };
            let result = self.row(&when.result, depth + 2)?;
            branches.push((condition.expr, result.expr.clone()));
            results.push((&when.result, result));
        }
        let default = match otherwise {
            Some(e) => {
                let result = self.row(e, depth + 2)?;
                results.push((e, result.clone()));
                result
            }
            None => Typed::new(Expr::Null, Kind::Null, true),
        };
        let expr = Expr::Case(branches, Box::new(default.expr));
        let nullable = otherwise.is_none() || results.iter().any(|(_, t)| t.nullable);
        let kind = results.iter().map(|(_, t)| t.kind).find(|k| *k != Kind::Null);
        let mut typed = Typed::new(expr, kind.unwrap_or(Kind::Null), nullable);
        for (e, result) in &results {
            self.expect(e, result, typed.kind)?;
        }
        let known: Vec<&Typed> = results
            .iter()
            .map(|(_, t)| t)
            .filter(|t| t.kind != Kind::Null)
            .collect();
        let intervals: Option<Vec<Interval>> = known.iter().map(|t| t.interval).collect();
        typed.interval = intervals.and_then(|list| list.into_iter().reduce(Interval::hull));
        typed.step = known.iter().all(|t| t.whole()).then_some(1.0);
        let texts: Option<Vec<&Vec<String>>> = known.iter().map(|t| t.texts.as_ref()).collect();
        typed.texts = texts.map(|lists| {
            let mut all: Vec<String> = Vec::new();
            for text in lists.into_iter().flatten() {
                if !all.contains(text) {
                    all.push(text.clone());
                }
            }
            all
        });
        Ok(typed)
    }

    pub fn extract(&self, field: &DateTimeField, inner: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        let typed = self.row(inner, depth + 1)?;
        self.expect(inner, &typed, Kind::Date)?;
        let year = |days: f64| match super::date_part(DatePart::Year, days as i32) {
            super::Value::Number(year) => Some(year),
            _ => None,
        };
        let (part, interval) = match field {
            DateTimeField::Year => {
                let bounds = typed.interval.and_then(|i| {
                    Some(Interval {
                        low: year(i.low)?,
                        high: year(i.high)?,
                    })
                });
                (DatePart::Year, bounds)
            }
            DateTimeField::Quarter => (DatePart::Quarter, Some(Interval { low: 1.0, high: 4.0 })),
            DateTimeField::Month => (DatePart::Month, Some(Interval { low: 1.0, high: 12.0 })),
            DateTimeField::Day => (DatePart::Day, Some(Interval { low: 1.0, high: 31.0 })),
            DateTimeField::Isodow => (DatePart::Weekday, Some(Interval { low: 1.0, high: 7.0 })),
            other => {
                let message = format!("EXTRACT({other} ...) is not supported");
                return Err(self.error(inner.span(), message, "YEAR, QUARTER, MONTH, DAY, ISODOW (Monday is 1)"));
            }
        };
        Ok(Typed {
            interval,
            step: Some(1.0),
            ..Typed::new(Expr::DatePart(part, Box::new(typed.expr)), Kind::Number, typed.nullable)
        })
    }

    pub fn rounding(
        &self,
        e: &ast::Expr,
        function: Function,
        inner: &ast::Expr,
        field: &ast::CeilFloorKind,
        depth: usize,
    ) -> Result<Typed, SqlError> {
        if !matches!(field, ast::CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            return Err(self.error(e.span(), "FLOOR and CEIL take one number", "FLOOR(x), CEIL(x)"));
        }
        self.call(function, &[inner], depth)
    }

    pub fn function(&self, function: &ast::Function, depth: usize) -> Result<Typed, SqlError> {
        let name = function.name.to_string().to_ascii_uppercase();
        let arguments = self.arguments(function)?;
        let (known, count) = match name.as_str() {
            "ABS" => (Function::Abs, arguments.len() == 1),
            "LEAST" => (Function::Least, !arguments.is_empty()),
            "GREATEST" => (Function::Greatest, !arguments.is_empty()),
            _ => return Err(self.unknown_function(function, &name)),
        };
        if !count || function.filter.is_some() || !function.within_group.is_empty() {
            let message = format!("{name} is called with other arguments than it takes");
            return Err(self.error(
                function.name.span(),
                message,
                "ABS(x), LEAST(a, b, ...), GREATEST(a, b, ...)",
            ));
        }
        self.call(known, &arguments, depth)
    }

    fn unknown_function(&self, function: &ast::Function, name: &str) -> SqlError {
        let aggregate = super::aggregate::NAMES.contains(&name);
        let message = match name {
            "BIN" => "BIN is a key of GROUP BY".to_string(),
            _ if aggregate => format!("the aggregate {name} cannot stand here"),
            _ => format!("unknown function {name}"),
        };
        let supported = match name {
            "BIN" => "GROUP BY BIN(column, width), and the same in SELECT; FLOOR(column / width) elsewhere".into(),
            _ if aggregate => "aggregates in SELECT, HAVING and ORDER BY, not inside one another or in WHERE".into(),
            _ => format!("aggregates {}; on rows {OPERATORS}", super::aggregate::NAMES.join(", ")),
        };
        self.error(function.name.span(), message, supported)
    }

    fn call(&self, function: Function, arguments: &[&ast::Expr], depth: usize) -> Result<Typed, SqlError> {
        let mut typed = Vec::new();
        let mut intervals = Vec::new();
        for e in arguments {
            let argument = self.number(e, depth + 1)?;
            intervals.push(self.bounded(e, &argument)?);
            typed.push(argument);
        }
        let rounds = matches!(function, Function::Floor | Function::Ceil);
        Ok(Typed {
            interval: Some(Interval::call(function, &intervals)),
            step: (rounds || typed.iter().all(Typed::whole)).then_some(1.0),
            nullable: typed.iter().any(|t| t.nullable),
            ..Typed::new(
                Expr::Call(function, typed.into_iter().map(|t| t.expr).collect()),
                Kind::Number,
                false,
            )
        })
    }
}

pub(super) fn date(days: i32) -> Typed {
    Typed {
        interval: Some(Interval::point(f64::from(days))),
        step: Some(1.0),
        ..Typed::new(Expr::Date(days), Kind::Date, false)
    }
}
