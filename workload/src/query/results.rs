//! Expressions of results: what SELECT, HAVING and ORDER BY compute with aggregates and keys once the sum is known.

use super::aggregate::{self, Wish, WishKind};
use super::row::{MAX_DEPTH, arithmetic, chain, comparison};
use super::select::{Compiler, histogram, is_aggregate};
use super::types::Kind;
use super::{Arithmetic, Comparison, Domain, Expr, Function, OutputExpr, SqlError};
use governance::canonical::Real;
use sqlparser::ast::{self, BinaryOperator as Op, Spanned, UnaryOperator};

/// Fewer than on rows: a result has no text to match and no date to take apart.
const OPERATORS: &str = "on results: + - * /, comparisons, AND OR NOT, BETWEEN, IN (list), IS NULL, CASE WHEN, ABS, FLOOR, \
    CEIL, LEAST, GREATEST";
/// FLOOR(x), without a field or a scale.
const PLAIN: ast::CeilFloorKind = ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime);

impl<'a> Compiler<'a> {
    pub fn output(&mut self, e: &'a ast::Expr, depth: usize) -> Result<OutputExpr, SqlError> {
        if depth > MAX_DEPTH {
            return Err(self.scope.error(
                e.span(),
                "the expression is nested too deeply",
                format!("at most {MAX_DEPTH} levels"),
            ));
        }
        self.scope.step(e)?;
        if let ast::Expr::Function(function) = e
            && is_aggregate(function)
        {
            return self.aggregate(function);
        }
        if let Some(at) = self.key_position(e) {
            return Ok(OutputExpr::Key(at));
        }
        match e {
            ast::Expr::Nested(inner) => self.output(inner, depth),
            ast::Expr::Value(_) | ast::Expr::TypedString(_) => self.constant(e),
            ast::Expr::Identifier(name) => self.named(name, depth),
            ast::Expr::UnaryOp { op, expr } => {
                let kind = if *op == UnaryOperator::Not {
                    Kind::Boolean
                } else {
                    Kind::Number
                };
                let inner = self.typed(expr, kind, depth)?;
                match op {
                    UnaryOperator::Not => Ok(OutputExpr::Not(Box::new(inner))),
                    UnaryOperator::Minus => Ok(OutputExpr::Negate(Box::new(inner))),
                    UnaryOperator::Plus => Ok(inner),
                    _ => Err(self.scope.error(e.span(), "this operator is not supported", OPERATORS)),
                }
            }
            ast::Expr::BinaryOp { left, op, right } => self.binary(e, left, op, right, depth),
            ast::Expr::Between {
                expr,
                negated,
                low,
                high,
            } => {
                let both = vec![
                    self.compare(Comparison::GreaterOrEqual, expr, low, depth)?,
                    self.compare(Comparison::LessOrEqual, expr, high, depth)?,
                ];
                Ok(negate_if(*negated, OutputExpr::And(both)))
            }
            ast::Expr::InList { expr, list, negated } => {
                let one = |item| self.compare(Comparison::Equal, expr, item, depth);
                let any = list.iter().map(one).collect::<Result<_, _>>()?;
                Ok(negate_if(*negated, OutputExpr::Or(any)))
            }
            ast::Expr::IsNull(inner) => Ok(OutputExpr::IsNull(Box::new(self.output(inner, depth + 1)?))),
            ast::Expr::IsNotNull(inner) => Ok(negate_if(
                true,
                OutputExpr::IsNull(Box::new(self.output(inner, depth + 1)?)),
            )),
            ast::Expr::Case {
                operand: None,
                conditions,
                else_result,
                ..
            } => {
                let mut branches = Vec::new();
                for when in conditions {
                    let condition = self.typed(&when.condition, Kind::Boolean, depth + 1)?;
                    branches.push((condition, self.output(&when.result, depth + 2)?));
                }
                let otherwise = match else_result {
                    Some(e) => self.output(e, depth + 2)?,
                    None => OutputExpr::Null,
                };
                Ok(OutputExpr::Case(branches, Box::new(otherwise)))
            }
            ast::Expr::Function(function) => self.function(function, depth),
            ast::Expr::Floor { expr, field } if *field == PLAIN => self.call(Function::Floor, &[expr], depth),
            ast::Expr::Ceil { expr, field } if *field == PLAIN => self.call(Function::Ceil, &[expr], depth),
            ast::Expr::CompoundIdentifier(parts) if parts.len() == 2 => self.ungrouped(&parts[1]),
            other => Err(self
                .scope
                .error(other.span(), "this expression of results is not supported", OPERATORS)),
        }
    }

    fn aggregate(&mut self, function: &'a ast::Function) -> Result<OutputExpr, SqlError> {
        let (wish, factor) = self.scope.wish(function)?;
        if matches!(wish.kind, WishKind::Histogram { .. }) {
            return Err(self.scope.error(
                function.name.span(),
                "HISTOGRAM answers one row per bin: it stands alone in SELECT",
                "SELECT HISTOGRAM(column, bins) FROM ... [GROUP BY ...]",
            ));
        }
        let at = OutputExpr::Aggregate(self.want(wish));
        if factor == 1.0 {
            return Ok(at);
        }
        let factor = Real::new(factor).map_or(OutputExpr::Null, OutputExpr::Number);
        Ok(OutputExpr::Arithmetic(
            Arithmetic::Multiply,
            Box::new(at),
            Box::new(factor),
        ))
    }

    pub fn want(&mut self, wish: Wish) -> usize {
        self.wishes.iter().position(|w| *w == wish).unwrap_or_else(|| {
            self.wishes.push(wish);
            self.wishes.len() - 1
        })
    }

    /// Which key of GROUP BY this expression is. Its own faults are found where it is used otherwise.
    fn key_position(&self, e: &ast::Expr) -> Option<usize> {
        if self.keys.is_empty() || matches!(e, ast::Expr::Value(_)) {
            return None;
        }
        let key = self.scope.key(e).ok()?;
        self.keys.iter().position(|k| *k == key)
    }

    fn constant(&self, e: &ast::Expr) -> Result<OutputExpr, SqlError> {
        Ok(match self.scope.row(e, 1)?.expr {
            Expr::Number(x) => OutputExpr::Number(x),
            Expr::Text(text) => OutputExpr::Text(text),
            Expr::Boolean(b) => OutputExpr::Boolean(b),
            Expr::Null => OutputExpr::Null,
            _ => {
                return Err(self
                    .scope
                    .error(e.span(), "results have no dates to compute with", OPERATORS));
            }
        })
    }

    fn named(&mut self, name: &'a ast::Ident, depth: usize) -> Result<OutputExpr, SqlError> {
        if self.histogram.is_some() && !self.scope.is_column(name) {
            match name.value.to_ascii_lowercase().as_str() {
                "low" => return Ok(OutputExpr::BinLow),
                "high" => return Ok(OutputExpr::BinHigh),
                "count" => return Ok(OutputExpr::BinCount),
                _ => {}
            }
        }
        match self.alias(name) {
            Some(e) if !self.scope.is_column(name) && !matches!(e, ast::Expr::Identifier(_)) => {
                if histogram(e).is_some() {
                    return Ok(OutputExpr::BinCount);
                }
                self.output(e, depth + 1)
            }
            _ => self.ungrouped(name),
        }
    }

    fn ungrouped(&self, name: &ast::Ident) -> Result<OutputExpr, SqlError> {
        let typed = self.scope.column(name)?;
        let Expr::Column(column) = typed.expr else {
            return Ok(OutputExpr::Null);
        };
        Err(self.scope.error(
            name.span,
            format!("rows never leave a participant: `{column}` must be inside an aggregate or in GROUP BY"),
            format!("aggregates: {}", aggregate::NAMES.join(", ")),
        ))
    }

    fn binary(
        &mut self,
        e: &'a ast::Expr,
        left: &'a ast::Expr,
        op: &Op,
        right: &'a ast::Expr,
        depth: usize,
    ) -> Result<OutputExpr, SqlError> {
        if let Some(op) = comparison(op) {
            return self.compare(op, left, right, depth);
        }
        if let Some(op) = arithmetic(op) {
            let left = self.typed(left, Kind::Number, depth)?;
            let right = self.typed(right, Kind::Number, depth)?;
            return Ok(OutputExpr::Arithmetic(op, Box::new(left), Box::new(right)));
        }
        if !matches!(op, Op::And | Op::Or) {
            let span = self.scope.source.between(left, right);
            return Err(self
                .scope
                .error(span, format!("the operator {op} is not supported"), OPERATORS));
        }
        let parts = chain(e, op)
            .into_iter()
            .map(|part| self.typed(part, Kind::Boolean, depth));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(if *op == Op::And {
            OutputExpr::And(parts)
        } else {
            OutputExpr::Or(parts)
        })
    }

    fn compare(
        &mut self,
        op: Comparison,
        left: &'a ast::Expr,
        right: &'a ast::Expr,
        depth: usize,
    ) -> Result<OutputExpr, SqlError> {
        let a = self.output(left, depth + 1)?;
        let b = self.output(right, depth + 1)?;
        let (ka, kb) = (self.kind(&a), self.kind(&b));
        if !ka.agrees(kb) {
            let span = self.scope.source.between(left, right);
            let message = format!("{} cannot be compared with {}", ka.name(), kb.name());
            return Err(self.scope.error(span, message, "both sides of one kind"));
        }
        Ok(OutputExpr::Compare(op, Box::new(a), Box::new(b)))
    }

    fn function(&mut self, function: &'a ast::Function, depth: usize) -> Result<OutputExpr, SqlError> {
        let known = match function.name.to_string().to_ascii_uppercase().as_str() {
            "ABS" => Function::Abs,
            "LEAST" => Function::Least,
            "GREATEST" => Function::Greatest,
            // Says what is wrong with it: unknown, or a key that is not in GROUP BY.
            _ => {
                return Err(self
                    .scope
                    .row(&ast::Expr::Function(function.clone()), 1)
                    .err()
                    .unwrap_or_else(|| {
                        self.scope.error(
                            function.name.span(),
                            "this function of results is not supported",
                            OPERATORS,
                        )
                    }));
            }
        };
        let arguments = self.scope.arguments(function)?;
        let odd = function.filter.is_some() || !function.within_group.is_empty();
        if odd || arguments.is_empty() || (known == Function::Abs && arguments.len() > 1) {
            return Err(self.scope.misused(function, "other arguments"));
        }
        self.call(known, &arguments, depth)
    }

    fn call(&mut self, function: Function, arguments: &[&'a ast::Expr], depth: usize) -> Result<OutputExpr, SqlError> {
        let arguments = arguments.iter().map(|e| self.typed(e, Kind::Number, depth));
        Ok(OutputExpr::Call(function, arguments.collect::<Result<_, _>>()?))
    }

    fn typed(&mut self, e: &'a ast::Expr, kind: Kind, depth: usize) -> Result<OutputExpr, SqlError> {
        let expr = self.output(e, depth + 1)?;
        self.expect(e, &expr, kind)?;
        Ok(expr)
    }

    pub fn expect(&self, e: &ast::Expr, expr: &OutputExpr, kind: Kind) -> Result<(), SqlError> {
        let found = self.kind(expr);
        if found.agrees(kind) {
            return Ok(());
        }
        let message = format!("expected {}, found {}", kind.name(), found.name());
        Err(self.scope.error(e.span(), message, OPERATORS))
    }

    fn kind(&self, expr: &OutputExpr) -> Kind {
        match expr {
            OutputExpr::Null => Kind::Null,
            OutputExpr::Text(_) => Kind::Text,
            OutputExpr::Key(at) => match self.keys[*at].domain {
                Domain::Texts(_) => Kind::Text,
                Domain::Booleans => Kind::Boolean,
                Domain::Integers { .. } | Domain::Bins(_) => Kind::Number,
            },
            OutputExpr::Boolean(_)
            | OutputExpr::Compare(..)
            | OutputExpr::Not(_)
            | OutputExpr::And(_)
            | OutputExpr::Or(_)
            | OutputExpr::IsNull(_) => Kind::Boolean,
            OutputExpr::Case(branches, otherwise) => {
                let results = branches.iter().map(|(_, e)| e).chain([&**otherwise]);
                results
                    .map(|e| self.kind(e))
                    .find(|k| *k != Kind::Null)
                    .unwrap_or(Kind::Null)
            }
            _ => Kind::Number,
        }
    }
}

fn negate_if(negated: bool, expr: OutputExpr) -> OutputExpr {
    if negated { OutputExpr::Not(Box::new(expr)) } else { expr }
}
