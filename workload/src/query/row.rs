//! From a syntax tree to a typed expression on one row: operators here, longer forms in `forms.rs`. Aggregates are
//! refused; `results.rs` looks for them first.

use super::forms::date;
use super::scope::Scope;
use super::types::{Interval, Kind, Typed};
use super::{Arithmetic, Comparison, Expr, Function, SqlError, parse_date};
use governance::canonical::Real;
use sqlparser::ast::{self, BinaryOperator as Op, Spanned, UnaryOperator};
use sqlparser::tokenizer::Span;

/// Levels of operators inside one another; a CASE counts twice.
pub(super) const MAX_DEPTH: usize = 48;
pub(super) const OPERATORS: &str = "+ - * /, comparisons, AND OR NOT, BETWEEN, IN (list), LIKE, IS NULL, CASE, \
    EXTRACT(YEAR | QUARTER | MONTH | DAY | ISODOW FROM date), ABS, FLOOR, CEIL, LEAST, GREATEST";

impl Scope<'_> {
    /// A condition for WHERE, FILTER or WHEN.
    pub fn condition(&self, e: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        let typed = self.row(e, depth)?;
        self.expect(e, &typed, Kind::Boolean)?;
        Ok(typed)
    }

    /// A number of the row.
    pub fn number(&self, e: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        let typed = self.row(e, depth)?;
        self.expect(e, &typed, Kind::Number)?;
        Ok(typed)
    }

    pub fn row(&self, e: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        if depth > MAX_DEPTH {
            return Err(self.error(
                e.span(),
                "the expression is nested too deeply",
                format!("at most {MAX_DEPTH} levels; a list of values fits IN (...)"),
            ));
        }
        self.step(e)?;
        match e {
            ast::Expr::Nested(inner) => self.row(inner, depth),
            ast::Expr::Identifier(name) => self.column(name),
            ast::Expr::CompoundIdentifier(parts) => self.qualified(parts),
            ast::Expr::Value(value) => self.literal(value),
            ast::Expr::TypedString(typed) => self.date_literal(typed),
            ast::Expr::UnaryOp { op, expr } => self.unary(e, *op, expr, depth),
            ast::Expr::BinaryOp { left, op, right } => self.binary(e, left, op, right, depth),
            ast::Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let bounds = [(Comparison::GreaterOrEqual, low), (Comparison::LessOrEqual, high)];
                let mut both = Vec::new();
                for (op, bound) in bounds {
                    both.push(self.compare(bound.span(), op, expr, bound, depth)?);
                }
                let nullable = both.iter().any(|t| t.nullable);
                let both = Expr::And(both.into_iter().map(|t| t.expr).collect());
                Ok(Typed::condition(negate_if(*negated, both), nullable))
            }
            ast::Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated, depth),
            ast::Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => {
                let operand = self.row(expr, depth + 1)?;
                self.expect(expr, &operand, Kind::Text)?;
                let pattern = self.row(pattern, depth + 1).and_then(|p| match p.expr {
                    Expr::Text(text) => Ok(text),
                    _ => Err(self.error(
                        pattern.span(),
                        "LIKE takes a text constant",
                        "LIKE 'abc%' with % and _; \\ takes the next character as it is",
                    )),
                })?;
                // A pattern is walked for every row: each character counts as four expressions.
                self.charge(e, 4 * pattern.len())?;
                let like = Expr::Like(Box::new(operand.expr), pattern);
                Ok(Typed::condition(negate_if(*negated, like), operand.nullable))
            }
            ast::Expr::IsNull(inner) | ast::Expr::IsUnknown(inner) => self.is_null(inner, false, depth),
            ast::Expr::IsNotNull(inner) | ast::Expr::IsNotUnknown(inner) => self.is_null(inner, true, depth),
            ast::Expr::IsTrue(inner) => self.is_boolean(inner, true, false, depth),
            ast::Expr::IsNotTrue(inner) => self.is_boolean(inner, true, true, depth),
            ast::Expr::IsFalse(inner) => self.is_boolean(inner, false, false, depth),
            ast::Expr::IsNotFalse(inner) => self.is_boolean(inner, false, true, depth),
            ast::Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref(), depth),
            ast::Expr::Extract { field, expr, .. } => self.extract(field, expr, depth),
            ast::Expr::Floor { expr, field } => self.rounding(e, Function::Floor, expr, field, depth),
            ast::Expr::Ceil { expr, field } => self.rounding(e, Function::Ceil, expr, field, depth),
            ast::Expr::Function(function) => self.function(function, depth),
            other => Err(self.error(other.span(), "this expression is not supported", OPERATORS)),
        }
    }

    pub fn error(&self, span: Span, message: impl Into<String>, supported: impl Into<String>) -> SqlError {
        self.source.error(span, message, supported)
    }

    pub fn expect(&self, e: &ast::Expr, typed: &Typed, kind: Kind) -> Result<(), SqlError> {
        if typed.kind.agrees(kind) {
            return Ok(());
        }
        let message = format!("expected {}, found {}", kind.name(), typed.kind.name());
        let hint = match (kind, typed.kind) {
            (Kind::Number, Kind::Boolean) => "CASE WHEN condition THEN 1 ELSE 0 END makes a number of a condition",
            (Kind::Number, Kind::Date) => "EXTRACT(YEAR FROM date) makes a number of a date",
            _ => OPERATORS,
        };
        Err(self.error(e.span(), message, hint))
    }

    fn qualified(&self, parts: &[ast::Ident]) -> Result<Typed, SqlError> {
        let [table, name] = parts else {
            return Err(self.error(parts[0].span, "unknown name", "column or dataset.column"));
        };
        let known = [Some(self.contract.name.as_str()), self.table_alias.as_deref()];
        if !known
            .into_iter()
            .flatten()
            .any(|k| k.eq_ignore_ascii_case(&table.value))
        {
            let message = format!("unknown dataset `{}`", table.value);
            return Err(self.error(table.span, message, format!("the dataset is `{}`", self.contract.name)));
        }
        self.column(name)
    }

    fn unary(&self, e: &ast::Expr, op: UnaryOperator, inner: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        match op {
            UnaryOperator::Not => {
                let typed = self.condition(inner, depth + 1)?;
                Ok(Typed::condition(Expr::Not(Box::new(typed.expr)), typed.nullable))
            }
            UnaryOperator::Plus => self.number(inner, depth + 1),
            UnaryOperator::Minus => {
                let typed = self.number(inner, depth + 1)?;
                let expr = match typed.expr {
                    Expr::Number(x) => Expr::Number(Real::new(-x.get()).unwrap_or(x)),
                    expr => Expr::Negate(Box::new(expr)),
                };
                Ok(Typed {
                    expr,
                    interval: typed.interval.map(Interval::negate),
                    ..typed
                })
            }
            _ => Err(self.error(e.span(), "this operator is not supported", OPERATORS)),
        }
    }

    fn binary(
        &self,
        e: &ast::Expr,
        left: &ast::Expr,
        op: &Op,
        right: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, SqlError> {
        let span = || self.source.between(left, right);
        if let Some(comparison) = comparison(op) {
            return self.compare(span(), comparison, left, right, depth);
        }
        if let Some(arithmetic) = arithmetic(op) {
            return self.arithmetic(arithmetic, left, right, depth);
        }
        if !matches!(op, Op::And | Op::Or) {
            let message = format!("the operator {op} is not supported");
            return Err(self.error(span(), message, OPERATORS));
        }
        let mut parts = Vec::new();
        for part in chain(e, op) {
            parts.push(self.condition(part, depth + 1)?);
        }
        let nullable = parts.iter().any(|t| t.nullable);
        let flat = parts.into_iter().flat_map(|t| match (op, t.expr) {
            (Op::And, Expr::And(inner)) | (Op::Or, Expr::Or(inner)) => inner,
            (_, expr) => vec![expr],
        });
        let expr = if *op == Op::And {
            Expr::And(flat.collect())
        } else {
            Expr::Or(flat.collect())
        };
        Ok(Typed::condition(expr, nullable))
    }

    pub fn compare(
        &self,
        span: Span,
        op: Comparison,
        left: &ast::Expr,
        right: &ast::Expr,
        depth: usize,
    ) -> Result<Typed, SqlError> {
        let mut a = self.row(left, depth + 1)?;
        let mut b = self.row(right, depth + 1)?;
        self.coerce_date(right, a.kind, &mut b)?;
        self.coerce_date(left, b.kind, &mut a)?;
        if !a.kind.agrees(b.kind) {
            let message = format!("{} cannot be compared with {}", a.kind.name(), b.kind.name());
            return Err(self.error(
                span,
                message,
                "both sides of one kind: numbers, texts, dates or conditions",
            ));
        }
        self.known_category(left, &a, &b)?;
        self.known_category(right, &b, &a)?;
        let nullable = a.nullable || b.nullable;
        Ok(Typed::condition(
            Expr::Compare(op, Box::new(a.expr), Box::new(b.expr)),
            nullable,
        ))
    }

    /// A text constant compared with a date is read as a date.
    pub fn coerce_date(&self, e: &ast::Expr, other: Kind, typed: &mut Typed) -> Result<(), SqlError> {
        if let (Kind::Date, Expr::Text(text)) = (other, &typed.expr) {
            let Some(days) = parse_date(text) else {
                return Err(self.error(e.span(), "this is not a date", "'YYYY-MM-DD'"));
            };
            *typed = date(days);
        }
        Ok(())
    }

    /// A constant that a column of categories can never equal is a slip of the pen, not a question.
    pub fn known_category(&self, constant: &ast::Expr, text: &Typed, of: &Typed) -> Result<(), SqlError> {
        if let (Expr::Text(text), Expr::Column(name), Some(known)) = (&text.expr, &of.expr, &of.texts)
            && !known.contains(text)
        {
            let message = format!("'{text}' is not a category of `{name}`");
            let listed = known.iter().map(|k| format!("'{k}'")).collect::<Vec<_>>().join(", ");
            return Err(self.error(constant.span(), message, format!("categories: {listed}")));
        }
        Ok(())
    }

    fn arithmetic(&self, op: Arithmetic, left: &ast::Expr, right: &ast::Expr, depth: usize) -> Result<Typed, SqlError> {
        let a = self.number(left, depth + 1)?;
        let b = self.number(right, depth + 1)?;
        let interval = Interval::arithmetic(op, self.bounded(left, &a)?, self.bounded(right, &b)?, b.whole());
        let interval = interval.map_err(|reason| {
            let instead = "a divisor that stays away from zero, such as GREATEST(column, 1)";
            self.error(self.source.between(left, right), reason, instead)
        })?;
        let whole = a.whole() && b.whole() && op != Arithmetic::Divide;
        let nullable = a.nullable || b.nullable || op == Arithmetic::Divide;
        Ok(Typed {
            interval: Some(interval),
            step: whole.then_some(1.0),
            ..Typed::new(
                Expr::Arithmetic(op, Box::new(a.expr), Box::new(b.expr)),
                Kind::Number,
                nullable,
            )
        })
    }

    /// The bounds of a number, or a refusal that names the column without them.
    pub fn bounded(&self, e: &ast::Expr, typed: &Typed) -> Result<Interval, SqlError> {
        typed
            .interval
            .or((typed.kind == Kind::Null).then(|| Interval::point(0.0)))
            .ok_or_else(|| {
                let name = match &typed.expr {
                    Expr::Column(name) => format!("column `{name}` has no bounds in the contract"),
                    _ => "the expression has no bounds in the contract".into(),
                };
                self.error(
                    e.span(),
                    format!("{name}: one row could weigh any amount"),
                    "columns with minimum and maximum; the data owner may publish bounds in the next contract version",
                )
            })
    }
}

/// The operands of `a AND b AND c`, found without recursion: a parser makes them as deep as they are many.
pub(super) fn chain<'e>(e: &'e ast::Expr, of: &Op) -> Vec<&'e ast::Expr> {
    let mut parts = Vec::new();
    let mut stack = vec![e];
    while let Some(e) = stack.pop() {
        match e {
            ast::Expr::Nested(inner) if matches!(&**inner, ast::Expr::BinaryOp { op, .. } if op == of) => {
                stack.push(inner);
            }
            ast::Expr::BinaryOp { left, op, right } if op == of => {
                stack.push(right);
                stack.push(left);
            }
            e => parts.push(e),
        }
    }
    parts
}

pub(super) fn comparison(op: &Op) -> Option<Comparison> {
    Some(match op {
        Op::Eq => Comparison::Equal,
        Op::NotEq => Comparison::NotEqual,
        Op::Lt => Comparison::Less,
        Op::LtEq => Comparison::LessOrEqual,
        Op::Gt => Comparison::Greater,
        Op::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

pub(super) fn arithmetic(op: &Op) -> Option<Arithmetic> {
    Some(match op {
        Op::Plus => Arithmetic::Add,
        Op::Minus => Arithmetic::Subtract,
        Op::Multiply => Arithmetic::Multiply,
        Op::Divide => Arithmetic::Divide,
        _ => return None,
    })
}

pub(super) fn negate_if(negated: bool, expr: Expr) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}
