//! SELECT, HAVING, ORDER BY and LIMIT: from syntax trees to output expressions over keys and aggregates.
//!
//! A column may stand inside an aggregate or be a key of GROUP BY; anywhere else it would be a row leaving its owner.

use super::aggregate::{self, Wish, WishKind};
use super::row::{MAX_DEPTH, OPERATORS, arithmetic, chain, comparison};
use super::scope::Scope;
use super::types::Kind;
use super::{
    Arithmetic, Comparison, Domain, Expr, Function, GroupKey, OrderTerm, OutputColumn, OutputExpr,
    SqlError, name::canonical_name, syntax::Select,
};
use governance::canonical::Real;
use sqlparser::ast::{self, BinaryOperator as Op, SelectItem, Spanned, UnaryOperator};
use sqlparser::tokenizer::Span;

/// FLOOR(x), without a field or a scale.
const PLAIN: ast::CeilFloorKind = ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime);

pub(super) struct Compiler<'a> {
    pub scope: Scope<'a>,
    pub keys: Vec<GroupKey>,
    pub wishes: Vec<Wish>,
    /// Expressions of SELECT with their aliases.
    items: Vec<(&'a ast::Expr, Option<&'a ast::Ident>)>,
    /// Position among wishes of the histogram, whose bins are rows.
    pub histogram: Option<usize>,
}

pub(super) struct Outputs {
    pub columns: Vec<OutputColumn>,
    pub having: Option<OutputExpr>,
    pub order_by: Vec<OrderTerm>,
    pub limit: Option<u64>,
}

impl<'a> Compiler<'a> {
    pub fn new(scope: Scope<'a>, select: &'a Select) -> Result<Self, SqlError> {
        let mut items = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(e) => items.push((e, None)),
                SelectItem::ExprWithAlias { expr, alias } => items.push((expr, Some(alias))),
                other => {
                    return Err(scope.error(
                        other.span(),
                        "rows never leave a participant: * cannot be selected",
                        format!("aggregates ({}) and keys of GROUP BY", aggregate::NAMES.join(", ")),
                    ));
                }
            }
        }
        let mut compiler = Self { scope, keys: Vec::new(), wishes: Vec::new(), items, histogram: None };
        for e in &select.group_by {
            let key = compiler.scope.key(compiler.resolve(e)?)?;
            if !compiler.keys.contains(&key) {
                compiler.keys.push(key);
            }
        }
        Ok(compiler)
    }

    /// The first expression of SELECT, for carets.
    pub fn first_item(&self) -> Option<&'a ast::Expr> {
        self.items.first().map(|(e, _)| *e)
    }

    pub fn outputs(&mut self, select: &'a Select) -> Result<Outputs, SqlError> {
        let mut columns = Vec::new();
        for (e, alias) in self.items.clone() {
            if let Some(function) = histogram(e) {
                columns.extend(self.histogram(function, alias)?);
                continue;
            }
            let name = alias.map_or_else(|| canonical_name(e, &self.scope), |a| a.value.clone());
            columns.push(OutputColumn { name, expr: self.output(e, 1)? });
        }
        let having = select.having.as_ref().map(|e| {
            let expr = self.output(e, 1)?;
            self.expect(e, &expr, Kind::Boolean)?;
            Ok(expr)
        });
        let having = having.transpose()?;
        let mut order_by = Vec::new();
        for term in &select.order_by {
            let descending = match &term.options.sort {
                None | Some(ast::OrderBySort::Asc) => false,
                Some(ast::OrderBySort::Desc) => true,
                Some(ast::OrderBySort::Using(_)) => {
                    return Err(self.scope.error(term.span(), "ORDER BY ... USING is not supported", "ASC, DESC"));
                }
            };
            let e = self.resolve(&term.expr)?;
            let expr = self.output(e, 1)?;
            order_by.push(OrderTerm {
                expr,
                descending,
                nulls_first: term.options.nulls_first.unwrap_or(false),
            });
        }
        self.only_histogram()?;
        if self.wishes.is_empty() {
            let span = self.items.first().map_or(Span::empty(), |(e, _)| e.span());
            let supported = format!("aggregates: {}", aggregate::NAMES.join(", "));
            return Err(self.scope.error(span, "nothing is measured: SELECT has no aggregate", supported));
        }
        let limit = match &select.limit {
            None => None,
            Some(e) => Some(self.scope.constant(e, "a whole number of rows", |x| {
                x >= 0.0 && x.fract() == 0.0 && x < 1e9
            })? as u64),
        };
        Ok(Outputs { columns, having, order_by, limit })
    }

    /// A position (`GROUP BY 1`) or an alias becomes the expression it stands for; a column of that name goes first.
    fn resolve(&self, e: &'a ast::Expr) -> Result<&'a ast::Expr, SqlError> {
        match e {
            ast::Expr::Value(value) => {
                let ast::Value::Number(text, _) = &value.value else { return Ok(e) };
                let position = text.parse::<usize>().ok().and_then(|p| p.checked_sub(1));
                match position.and_then(|p| self.items.get(p)) {
                    Some((e, _)) => Ok(e),
                    None => Err(self.scope.error(
                        value.span,
                        format!("position {text} is not in SELECT"),
                        format!("positions 1 to {}", self.items.len()),
                    )),
                }
            }
            ast::Expr::Identifier(name) if !self.scope.is_column(name) => {
                Ok(self.alias(name).unwrap_or(e))
            }
            _ => Ok(e),
        }
    }

    fn alias(&self, name: &ast::Ident) -> Option<&'a ast::Expr> {
        let named = |alias: &ast::Ident| alias.value.eq_ignore_ascii_case(&name.value);
        self.items.iter().find(|(_, alias)| alias.is_some_and(named)).map(|(e, _)| *e)
    }

    fn output(&mut self, e: &'a ast::Expr, depth: usize) -> Result<OutputExpr, SqlError> {
        if depth > MAX_DEPTH {
            return Err(self.scope.error(
                e.span(),
                "the expression is nested too deeply",
                format!("at most {MAX_DEPTH} levels"),
            ));
        }
        self.scope.step(e)?;
        if let ast::Expr::Function(function) = e {
            if is_aggregate(function) {
                return self.aggregate(function);
            }
        }
        if let Some(at) = self.key_position(e) {
            return Ok(OutputExpr::Key(at));
        }
        match e {
            ast::Expr::Nested(inner) => self.output(inner, depth),
            ast::Expr::Value(_) | ast::Expr::TypedString(_) => self.constant(e),
            ast::Expr::Identifier(name) => self.named(name, depth),
            ast::Expr::UnaryOp { op, expr } => {
                let kind = if *op == UnaryOperator::Not { Kind::Boolean } else { Kind::Number };
                let inner = self.typed(expr, kind, depth)?;
                match op {
                    UnaryOperator::Not => Ok(OutputExpr::Not(Box::new(inner))),
                    UnaryOperator::Minus => Ok(OutputExpr::Negate(Box::new(inner))),
                    UnaryOperator::Plus => Ok(inner),
                    _ => Err(self.scope.error(e.span(), "this operator is not supported", OPERATORS)),
                }
            }
            ast::Expr::BinaryOp { left, op, right } => self.binary(e, left, op, right, depth),
            ast::Expr::Between { expr, negated, low, high } => {
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
            ast::Expr::IsNotNull(inner) => {
                Ok(negate_if(true, OutputExpr::IsNull(Box::new(self.output(inner, depth + 1)?))))
            }
            ast::Expr::Case { operand: None, conditions, else_result, .. } => {
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
            other => Err(self.scope.error(other.span(), "this expression of results is not supported", OPERATORS)),
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
        Ok(OutputExpr::Arithmetic(Arithmetic::Multiply, Box::new(at), Box::new(factor)))
    }

    fn want(&mut self, wish: Wish) -> usize {
        self.wishes.iter().position(|w| *w == wish).unwrap_or_else(|| {
            self.wishes.push(wish);
            self.wishes.len() - 1
        })
    }

    fn histogram(
        &mut self,
        function: &'a ast::Function,
        alias: Option<&ast::Ident>,
    ) -> Result<Vec<OutputColumn>, SqlError> {
        let (wish, _) = self.scope.wish(function)?;
        self.histogram = Some(self.want(wish));
        let column = |name: &str, expr| OutputColumn { name: name.into(), expr };
        Ok(vec![
            column("low", OutputExpr::BinLow),
            column("high", OutputExpr::BinHigh),
            column(alias.map_or("count", |a| &a.value), OutputExpr::BinCount),
        ])
    }

    fn only_histogram(&self) -> Result<(), SqlError> {
        if self.histogram.is_none() || self.wishes.len() == 1 {
            return Ok(());
        }
        let second = self.items.iter().map(|(e, _)| *e).filter(|e| matches!(e, ast::Expr::Function(f) if is_aggregate(f)));
        let second = second.max_by_key(|e| histogram(e).is_none());
        let span = second.map_or(Span::empty(), Spanned::span);
        Err(self.scope.error(
            span,
            "HISTOGRAM answers one row per bin: no other aggregate can stand beside it",
            "one HISTOGRAM and keys of GROUP BY; ask the other aggregates in a query of their own",
        ))
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
            _ => return Err(self.scope.error(e.span(), "results have no dates to compute with", OPERATORS)),
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
        let Expr::Column(column) = typed.expr else { return Ok(OutputExpr::Null) };
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
            return Err(self.scope.error(span, format!("the operator {op} is not supported"), OPERATORS));
        }
        let parts = chain(e, op).into_iter().map(|part| self.typed(part, Kind::Boolean, depth));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(if *op == Op::And { OutputExpr::And(parts) } else { OutputExpr::Or(parts) })
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
            _ => return Err(self.scope.row(&ast::Expr::Function(function.clone()), 1).err().unwrap_or_else(|| {
                self.scope.error(function.name.span(), "this function of results is not supported", OPERATORS)
            })),
        };
        let arguments = self.scope.arguments(function)?;
        let odd = function.filter.is_some() || !function.within_group.is_empty();
        if odd || arguments.is_empty() || (known == Function::Abs && arguments.len() > 1) {
            return Err(self.scope.misused(function, "other arguments"));
        }
        self.call(known, &arguments, depth)
    }

    fn call(
        &mut self,
        function: Function,
        arguments: &[&'a ast::Expr],
        depth: usize,
    ) -> Result<OutputExpr, SqlError> {
        let arguments = arguments.iter().map(|e| self.typed(e, Kind::Number, depth));
        Ok(OutputExpr::Call(function, arguments.collect::<Result<_, _>>()?))
    }

    fn typed(&mut self, e: &'a ast::Expr, kind: Kind, depth: usize) -> Result<OutputExpr, SqlError> {
        let expr = self.output(e, depth + 1)?;
        self.expect(e, &expr, kind)?;
        Ok(expr)
    }

    fn expect(&self, e: &ast::Expr, expr: &OutputExpr, kind: Kind) -> Result<(), SqlError> {
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
                results.map(|e| self.kind(e)).find(|k| *k != Kind::Null).unwrap_or(Kind::Null)
            }
            _ => Kind::Number,
        }
    }
}

fn is_aggregate(function: &ast::Function) -> bool {
    let name = function.name.to_string().to_ascii_uppercase();
    aggregate::NAMES.contains(&name.as_str())
}

fn histogram(e: &ast::Expr) -> Option<&ast::Function> {
    match e {
        ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("HISTOGRAM") => Some(f),
        ast::Expr::Nested(inner) => histogram(inner),
        _ => None,
    }
}

fn negate_if(negated: bool, expr: OutputExpr) -> OutputExpr {
    if negated { OutputExpr::Not(Box::new(expr)) } else { expr }
}
