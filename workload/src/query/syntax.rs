//! SQL text to a syntax tree of exactly one SELECT, with everything outside the dialect refused where it stands.
//!
//! Three nets, each coarser than the one before: words of clauses we do not have are found among the tokens (so the
//! caret is exact); the parser runs with a dialect of our own that enables almost nothing; and what was parsed must equal
//! a bare `SELECT` once the parts we understand are taken out, so nothing a parser knows can be ignored silently.

use super::error::{SQL, SqlError};
use sqlparser::ast::{
    self, Expr, GroupByExpr, LimitClause, OrderByExpr, OrderByKind, SelectItem, SetExpr, Spanned, Statement,
    TableFactor,
};
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

const MAX_TEXT: usize = 16_384;
const MAX_TOKENS: usize = 2_000;
pub(super) const SHAPE: &str =
    "SELECT ... FROM dataset [WHERE ...] [GROUP BY ...] [HAVING ...] [ORDER BY ...] [LIMIT n]";

/// The parts of the one SELECT.
pub(super) struct Select {
    pub projection: Vec<SelectItem>,
    pub table: ast::Ident,
    pub table_alias: Option<ast::Ident>,
    pub selection: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
    pub order_by: Vec<OrderByExpr>,
    pub limit: Option<Expr>,
}

/// The text with its tokens, for carets.
pub(super) struct Source {
    tokens: Vec<TokenWithSpan>,
}

impl Source {
    /// Parses; `is_column` tells names of columns, which may equal a clause's word.
    pub fn parse(sql: &str, is_column: &dyn Fn(&str) -> bool) -> Result<(Self, Select), SqlError> {
        if sql.len() > MAX_TEXT {
            let message = format!("the text is {} bytes long", sql.len());
            return Err(SqlError::whole(SQL, message, format!("at most {MAX_TEXT} bytes")));
        }
        let tokens = Tokenizer::new(&Sotto, sql)
            .tokenize_with_location()
            .map_err(|e| SqlError {
                code: SQL,
                line: e.location.line.max(1),
                column: e.location.column.max(1),
                length: 1,
                message: e.message.to_lowercase(),
                supported: SHAPE.into(),
            })?;
        let tokens: Vec<_> = tokens
            .into_iter()
            .filter(|t| !matches!(t.token, Token::Whitespace(_)))
            .collect();
        let source = Self { tokens };
        if source.tokens.len() > MAX_TOKENS {
            let message = format!("the text has {} tokens", source.tokens.len());
            return Err(SqlError::whole(SQL, message, format!("at most {MAX_TOKENS} tokens")));
        }
        source.refuse_clauses(is_column)?;
        let statements = Parser::new(&Sotto)
            .with_recursion_limit(60)
            .with_tokens_with_locations(source.tokens.clone())
            .parse_statements()
            .map_err(|e| source.parser_error(&e))?;
        let select = source.only_select(statements)?;
        Ok((source, select))
    }

    /// A refusal with the caret under the token that starts at the span's start.
    pub fn error(&self, span: Span, message: impl Into<String>, supported: impl Into<String>) -> SqlError {
        let token = self.tokens.iter().find(|t| t.span.start == span.start);
        let at = token.or(self.tokens.first()).map(|t| t.span);
        let (start, end) = at.map_or_else(|| (Location::new(1, 1), Location::new(1, 2)), |s| (s.start, s.end));
        let length = if end.line == start.line {
            end.column.saturating_sub(start.column)
        } else {
            1
        };
        SqlError {
            code: SQL,
            line: start.line,
            column: start.column,
            length: length.max(1),
            message: message.into(),
            supported: supported.into(),
        }
    }

    /// The operator token between two operands.
    pub fn between(&self, left: &Expr, right: &Expr) -> Span {
        let (from, to) = (left.span().end, right.span().start);
        let operator = self
            .tokens
            .iter()
            .find(|t| t.span.start >= from && t.span.start < to && !matches!(t.token, Token::LParen | Token::RParen));
        operator.map_or(left.span(), |t| t.span)
    }

    /// The first unquoted word among `words`, at or after `from`.
    pub fn word(&self, words: &[&str], from: Location) -> Option<Span> {
        let hit = self.tokens.iter().find(|t| {
            t.span.start >= from
                && matches!(&t.token, Token::Word(w) if w.quote_style.is_none()
                    && words.iter().any(|x| w.value.eq_ignore_ascii_case(x)))
        });
        hit.map(|t| t.span)
    }

    fn refuse_clauses(&self, is_column: &dyn Fn(&str) -> bool) -> Result<(), SqlError> {
        let word_at = |i: usize| match self.tokens.get(i).map(|t| &t.token) {
            Some(Token::Word(w)) if w.quote_style.is_none() => w.value.to_ascii_uppercase(),
            Some(Token::LParen) => "(".into(),
            _ => String::new(),
        };
        for i in 0..self.tokens.len() {
            let word = word_at(i);
            if word.is_empty() || is_column(&word) {
                continue;
            }
            let before = |n: usize| i.checked_sub(n).map(word_at).unwrap_or_default();
            let refusal = match word.as_str() {
                "SELECT" if i > 0 => Some((
                    "a query inside a query is not supported".to_string(),
                    "one SELECT over one dataset; CASE and FILTER (WHERE ...) express most subqueries".to_string(),
                )),
                "DISTINCT" if before(1) == "(" && before(2) == "COUNT" => None,
                "DISTINCT" => Some((
                    "DISTINCT is supported only as COUNT(DISTINCT unit)".into(),
                    "GROUP BY lists distinct keys; COUNT(DISTINCT unit) counts privacy units".into(),
                )),
                "WITH" if i > 0 => None,
                _ => clause(&word).map(|(what, instead)| (what.to_string(), instead.to_string())),
            };
            if let Some((message, supported)) = refusal {
                return Err(self.error(self.tokens[i].span, message, supported));
            }
        }
        Ok(())
    }

    fn parser_error(&self, error: &ParserError) -> SqlError {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => {
                return SqlError::whole(SQL, "the text is nested too deeply", "at most 60 levels");
            }
        };
        let (text, location) = match text.rsplit_once(" at Line: ") {
            Some((before, place)) => (before, read_location(place)),
            None => (text, None),
        };
        let location = location
            .or(self.tokens.last().map(|t| t.span.end))
            .unwrap_or_else(|| Location::new(1, 1));
        let mut message = text.to_string();
        if let Some(first) = message.get(..1).map(str::to_lowercase) {
            message.replace_range(..1, &first);
        }
        let known = self.tokens.iter().any(|t| t.span.start == location);
        if known {
            return self.error(Span::new(location, location), message, SHAPE);
        }
        SqlError {
            code: SQL,
            line: location.line.max(1),
            column: location.column.max(1),
            length: 1,
            message,
            supported: SHAPE.into(),
        }
    }

    fn only_select(&self, mut statements: Vec<Statement>) -> Result<Select, SqlError> {
        let place = |i: usize| self.tokens.get(i).map_or(Span::empty(), |t| t.span);
        if statements.len() > 1 {
            let second = self
                .tokens
                .iter()
                .position(|t| t.token == Token::SemiColon)
                .map_or(0, |i| i + 1);
            return Err(self.error(place(second), "a second statement", "one SELECT at a time"));
        }
        let Some(Statement::Query(query)) = statements.pop() else {
            return Err(self.error(place(0), "this is not a SELECT", SHAPE));
        };
        let mut query = *query;
        let order_by = query.order_by.take();
        let limit = query.limit_clause.take();
        let body = std::mem::replace(&mut *query.body, bare_select());
        let SetExpr::Select(select) = body else {
            return Err(self.error(place(0), "this is not a plain SELECT", SHAPE));
        };
        let mut select = *select;
        let projection = std::mem::take(&mut select.projection);
        let from = std::mem::take(&mut select.from);
        let selection = select.selection.take();
        let having = select.having.take();
        let grouping = std::mem::replace(&mut select.group_by, GroupByExpr::Expressions(vec![], vec![]));
        // What is left must be what a bare SELECT leaves, or a clause would be ignored.
        if SetExpr::Select(Box::new(select)) != bare_select() || query != bare_query() {
            return Err(self.error(place(0), "a clause of this SELECT is not supported", SHAPE));
        }
        let (table, table_alias) = self.table(from)?;
        let group_by = match grouping {
            GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => list,
            _ => {
                let at = self.word(&["GROUP"], Location::new(0, 0)).unwrap_or(place(0));
                return Err(self.error(
                    at,
                    "this form of GROUP BY is not supported",
                    "GROUP BY columns, expressions, aliases or positions",
                ));
            }
        };
        Ok(Select {
            projection,
            table,
            table_alias,
            selection,
            group_by,
            having,
            order_by: self.order(order_by)?,
            limit: self.limit(limit)?,
        })
    }

    fn table(&self, mut from: Vec<ast::TableWithJoins>) -> Result<(ast::Ident, Option<ast::Ident>), SqlError> {
        let end = self.tokens.last().map_or(Span::empty(), |t| t.span);
        let place = self.word(&["FROM"], Location::new(0, 0)).unwrap_or(end);
        let refuse = |span, message: &str| Err(self.error(span, message, "FROM names one dataset, as in FROM heart"));
        if from.len() > 1 {
            return refuse(from[1].span(), "a second table");
        }
        let Some(mut only) = from.pop() else {
            return refuse(end, "FROM is missing");
        };
        let span = only.span();
        let (mut ident, mut table_alias) = (None, None);
        if let TableFactor::Table { name, alias, .. } = &mut only.relation {
            if let [part] = name.0.as_slice() {
                ident = part.as_ident().cloned();
            }
            if let Some(found) = alias.take() {
                if !found.columns.is_empty() {
                    return refuse(span, "an alias with columns");
                }
                table_alias = Some(found.name);
            }
        }
        let Some(ident) = ident else {
            return refuse(
                if span == Span::empty() { place } else { span },
                "this is not a dataset",
            );
        };
        // Nothing but a name may be left, or a sample or a hint would be ignored.
        let text = only.to_string();
        if text != ident.to_string() {
            return refuse(span, "more than a name after FROM");
        }
        Ok((ident, table_alias))
    }

    fn order(&self, order_by: Option<ast::OrderBy>) -> Result<Vec<OrderByExpr>, SqlError> {
        let Some(order_by) = order_by else {
            return Ok(Vec::new());
        };
        match order_by.kind {
            OrderByKind::Expressions(list)
                if order_by.interpolate.is_none() && list.iter().all(|o| o.with_fill.is_none()) =>
            {
                Ok(list)
            }
            _ => {
                let at = self.word(&["ORDER"], Location::new(0, 0)).unwrap_or(Span::empty());
                Err(self.error(
                    at,
                    "this form of ORDER BY is not supported",
                    "ORDER BY expression [ASC | DESC] [NULLS FIRST | NULLS LAST]",
                ))
            }
        }
    }

    fn limit(&self, limit: Option<LimitClause>) -> Result<Option<Expr>, SqlError> {
        match limit {
            None => Ok(None),
            Some(LimitClause::LimitOffset {
                limit,
                offset: None,
                limit_by,
            }) if limit_by.is_empty() => Ok(limit),
            Some(_) => {
                let at = self.word(&["LIMIT"], Location::new(0, 0)).unwrap_or(Span::empty());
                Err(self.error(at, "this form of LIMIT is not supported", "LIMIT n"))
            }
        }
    }
}

/// Clauses outside the dialect, by the word that opens them.
fn clause(word: &str) -> Option<(&'static str, &'static str)> {
    const ONE: &str = "one SELECT over one dataset";
    Some(match word {
        "JOIN" | "LATERAL" | "APPLY" => ("joins are not supported", "one dataset in FROM, without a join"),
        "UNION" | "INTERSECT" | "EXCEPT" | "MINUS" => {
            ("set operations are not supported", "run each SELECT on its own")
        }
        "WITH" => ("common table expressions (WITH) are not supported", ONE),
        "OVER" | "WINDOW" | "QUALIFY" | "PARTITION" => (
            "window functions are not supported",
            "aggregates with GROUP BY and HAVING",
        ),
        "ROLLUP" | "CUBE" | "SETS" => (
            "grouping sets are not supported",
            "GROUP BY columns, expressions, aliases or positions",
        ),
        "OFFSET" | "FETCH" | "TOP" => ("only LIMIT shortens a result", "ORDER BY ... LIMIT n"),
        "EXISTS" => ("a query inside a query is not supported", ONE),
        "ANY" | "SOME" => ("quantified comparisons are not supported", "IN (list), AND, OR"),
        "TABLESAMPLE" => ("sampling is not supported", "the whole dataset, filtered by WHERE"),
        "INTO" => ("a result cannot be stored by SQL", "the client's output options"),
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "CREATE" | "DROP" | "ALTER" | "TRUNCATE" | "COPY" | "SET"
        | "SHOW" | "DESCRIBE" | "EXPLAIN" | "GRANT" | "REVOKE" | "PRAGMA" | "ATTACH" | "BEGIN" | "COMMIT" | "CALL"
        | "VALUES" => ("only questions can be asked: this is not a SELECT", SHAPE),
        "CAST" | "TRY_CAST" | "CONVERT" => (
            "casts are not supported",
            "columns have the types of the contract; integers and numbers mix freely",
        ),
        "ILIKE" | "RLIKE" | "REGEXP" | "SIMILAR" => ("only LIKE matches text", "LIKE with % and _ (case-sensitive)"),
        "INTERVAL" => (
            "intervals are not supported",
            "comparisons with DATE 'YYYY-MM-DD' and EXTRACT",
        ),
        _ => return None,
    })
}

/// The end of a parser's message, `7, Column: 12`.
fn read_location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
}

fn bare_query() -> ast::Query {
    let mut statements = Parser::parse_sql(&Sotto, "SELECT 1").unwrap_or_default();
    // Unwrap safety: the parser answers this constant text with one query.
    let Some(Statement::Query(mut query)) = statements.pop() else {
        unreachable!("a constant text parses")
    };
    if let SetExpr::Select(select) = &mut *query.body {
        select.projection.clear();
    }
    *query
}

fn bare_select() -> SetExpr {
    *bare_query().body
}

/// ANSI as narrow as the parser allows: everything its dialects add is off but FILTER.
#[derive(Debug)]
struct Sotto;

impl Dialect for Sotto {
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_ascii_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
}
