//! SELECT, HAVING, ORDER BY and LIMIT: from syntax trees to output expressions over keys and aggregates.
//!
//! A column may stand inside an aggregate or be a key of GROUP BY; anywhere else it would be a row leaving its owner.

use super::aggregate::{self, Wish};
use super::name::canonical_name;
use super::scope::Scope;
use super::syntax::Select;
use super::types::Kind;
use super::{GroupKey, OrderTerm, OutputColumn, OutputExpr, SqlError};
use sqlparser::ast::{self, SelectItem, Spanned};
use sqlparser::tokenizer::Span;

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
        let mut compiler = Self {
            scope,
            keys: Vec::new(),
            wishes: Vec::new(),
            items,
            histogram: None,
        };
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
            columns.push(OutputColumn {
                name,
                expr: self.output(e, 1)?,
            });
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
                    return Err(self
                        .scope
                        .error(term.span(), "ORDER BY ... USING is not supported", "ASC, DESC"));
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
            return Err(self
                .scope
                .error(span, "nothing is measured: SELECT has no aggregate", supported));
        }
        let limit = match &select.limit {
            None => None,
            Some(e) => Some(
                self.scope
                    .constant(e, "a whole number of rows", |x| x >= 0.0 && x.fract() == 0.0 && x < 1e9)?
                    as u64,
            ),
        };
        Ok(Outputs {
            columns,
            having,
            order_by,
            limit,
        })
    }

    /// A position (`GROUP BY 1`) or an alias becomes the expression it stands for; a column of that name goes first.
    fn resolve(&self, e: &'a ast::Expr) -> Result<&'a ast::Expr, SqlError> {
        match e {
            ast::Expr::Value(value) => {
                let ast::Value::Number(text, _) = &value.value else {
                    return Ok(e);
                };
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
            ast::Expr::Identifier(name) if !self.scope.is_column(name) => Ok(self.alias(name).unwrap_or(e)),
            _ => Ok(e),
        }
    }

    pub fn alias(&self, name: &ast::Ident) -> Option<&'a ast::Expr> {
        let named = |alias: &ast::Ident| alias.value.eq_ignore_ascii_case(&name.value);
        self.items
            .iter()
            .find(|(_, alias)| alias.is_some_and(named))
            .map(|(e, _)| *e)
    }

    pub fn histogram(
        &mut self,
        function: &'a ast::Function,
        alias: Option<&ast::Ident>,
    ) -> Result<Vec<OutputColumn>, SqlError> {
        let (wish, _) = self.scope.wish(function)?;
        self.histogram = Some(self.want(wish));
        let column = |name: &str, expr| OutputColumn {
            name: name.into(),
            expr,
        };
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
        let second = self
            .items
            .iter()
            .map(|(e, _)| *e)
            .filter(|e| matches!(e, ast::Expr::Function(f) if is_aggregate(f)));
        let second = second.max_by_key(|e| histogram(e).is_none());
        let span = second.map_or(Span::empty(), Spanned::span);
        Err(self.scope.error(
            span,
            "HISTOGRAM answers one row per bin: no other aggregate can stand beside it",
            "one HISTOGRAM and keys of GROUP BY; ask the other aggregates in a query of their own",
        ))
    }
}

pub(super) fn is_aggregate(function: &ast::Function) -> bool {
    let name = function.name.to_string().to_ascii_uppercase();
    aggregate::NAMES.contains(&name.as_str())
}

pub(super) fn histogram(e: &ast::Expr) -> Option<&ast::Function> {
    match e {
        ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("HISTOGRAM") => Some(f),
        ast::Expr::Nested(inner) => histogram(inner),
        _ => None,
    }
}
