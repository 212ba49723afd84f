//! SQLite as a second opinion: the rows of all participants in one table, a question in its dialect, and how far apart
//! two answers may be. It has no private SQL: the texts differ where this file says so, and nowhere else.

use super::common::TERMS;
use governance::Contract;
use rusqlite::{Connection, types::ValueRef};
use workload::query::{Aggregate, Cell, ComponentKind, OutputExpr, QueryPlan, Row, Table, Value, compile};

pub const COLUMNS: [&str; 9] = [
    "person", "sex", "ward", "code", "age", "chol", "visits", "smoker", "seen",
];

/// Everything is within these bounds and nobody has more rows than counted, so clamping and bounding change nothing.
pub fn clinic() -> Contract {
    let column = |name: &str, kind: &str, more: &str| {
        format!("[[schema.properties]]\nname = \"{name}\"\nlogicalType = \"{kind}\"\n{more}\n")
    };
    let range = |low: &str, high: &str| format!("logicalTypeOptions = {{ minimum = {low}, maximum = {high} }}");
    let head = "apiVersion = \"v3.1.0\"\nkind = \"DataContract\"\nname = \"clinic\"\nversion = \"1.0.0\"\n\
        purposes = [\"research\"]\n[privacy]\nunit = \"person\"\nmaxRows = 10000\ndelta = 1e-6\n\
        contribution = { rows = 5, groups = 5, rowsPerGroup = 5 }\n";
    let text = [
        head.into(),
        column("person", "integer", "required = true"),
        column("sex", "string", "categories = [\"female\", \"male\"]"),
        column(
            "ward",
            "string",
            "categories = [\"A\", \"a\", \"b_1\", \"b%\"]\nrequired = true",
        ),
        column("code", "string", ""),
        column("age", "integer", &format!("{}\nrequired = true", range("0", "110"))),
        column("chol", "number", &range("0", "600")),
        column("visits", "integer", &range("-5", "20")),
        column("smoker", "boolean", ""),
        column("seen", "date", &range("\"2019-01-01\"", "\"2024-12-31\"")),
    ];
    Contract::parse(&text.concat()).unwrap()
}

/// A high epsilon: nothing is noised here, and the lattice is the finer for it.
pub fn ask(sql: &str) -> QueryPlan {
    compile(sql, &clinic(), &TERMS, 20.0, 1e-6).unwrap_or_else(|e| panic!("{}", e.render(sql)))
}

/// One value of an answer; a bin is its lower edge and a condition 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    Null,
    Number(f64),
    Text(String),
}

pub fn plain(cell: &Cell) -> Plain {
    match cell {
        Cell::Null | Cell::Estimate { value: None, .. } => Plain::Null,
        Cell::Number(x) | Cell::Bin { low: x, .. } | Cell::Estimate { value: Some(x), .. } => Plain::Number(*x),
        Cell::Text(text) => Plain::Text(text.clone()),
        Cell::Boolean(b) => Plain::Number(f64::from(u8::from(*b))),
    }
}

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn empty() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA case_sensitive_like = ON").unwrap();
        Self(connection)
    }

    /// The union of the participants' rows. Numbers are stored as REAL: the division of integers would cut them off.
    pub fn holding(participants: &[Vec<Row>]) -> Self {
        let sqlite = Self::empty();
        sqlite
            .0
            .execute_batch(
                "CREATE TABLE clinic (person REAL, sex TEXT, ward TEXT, code TEXT, age REAL, chol REAL, visits REAL, \
                 smoker INTEGER, seen TEXT)",
            )
            .unwrap();
        let insert = "INSERT INTO clinic VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, date('1970-01-01', ?9))";
        let mut insert = sqlite.0.prepare(insert).unwrap();
        for row in participants.iter().flatten() {
            let values = COLUMNS.map(|name| match row.get(name) {
                Some(Value::Number(x)) => rusqlite::types::Value::Real(*x),
                Some(Value::Text(text)) => rusqlite::types::Value::Text(text.clone()),
                Some(Value::Boolean(b)) => rusqlite::types::Value::Integer(i64::from(*b)),
                Some(Value::Date(days)) => rusqlite::types::Value::Text(format!("{days:+} days")),
                Some(Value::Null) | None => rusqlite::types::Value::Null,
            });
            insert.execute(rusqlite::params_from_iter(values)).unwrap();
        }
        drop(insert);
        sqlite
    }

    pub fn rows(&self, sql: &str, parameters: &[&str]) -> Vec<Vec<Plain>> {
        let mut statement = self.0.prepare(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
        let columns = statement.column_count();
        let found = statement
            .query_map(rusqlite::params_from_iter(parameters), |row| {
                (0..columns)
                    .map(|i| {
                        Ok(match row.get_ref(i)? {
                            ValueRef::Integer(x) => Plain::Number(x as f64),
                            ValueRef::Real(x) => Plain::Number(x),
                            ValueRef::Text(text) => Plain::Text(String::from_utf8_lossy(text).into_owned()),
                            ValueRef::Null | ValueRef::Blob(_) => Plain::Null,
                        })
                    })
                    .collect()
            })
            .unwrap();
        found.collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{e}: {sql}"))
    }
}

/// The question in SQLite's words. Standard deviations stay variances and correlations squares with a sign: this SQLite
/// has no square root.
pub fn translated(sql: &str) -> String {
    let mut text = sql.replace("DATE '", "'");
    let both = |x: &str, y: &str| {
        format!(
            "(SUM(({x}) * ({y})) - SUM({x}) FILTER (WHERE ({y}) IS NOT NULL) * SUM({y}) FILTER (WHERE ({x}) IS NOT \
             NULL) / COUNT(({x}) * ({y})))"
        )
    };
    let mean = |x: &str, y: &str| format!("({} / COUNT(({x}) * ({y})))", both(x, y));
    let sample = |x: &str, y: &str| format!("({} / NULLIF(COUNT(({x}) * ({y})) - 1, 0))", both(x, y));
    // x and y among the rows that have both
    let own = |x: &str, y: &str| {
        let (x, y) = (format!("({x}) + 0 * ({y})"), format!("({y}) + 0 * ({x})"));
        format!("({} * {})", both(&x, &x), both(&y, &y))
    };
    text = call(&text, "STDDEV", &|a| sample(a[0], a[0]));
    text = call(&text, "STDDEV_POP", &|a| mean(a[0], a[0]));
    text = call(&text, "VAR", &|a| sample(a[0], a[0]));
    text = call(&text, "VAR_POP", &|a| mean(a[0], a[0]));
    text = call(&text, "COVAR_SAMP", &|a| sample(a[0], a[1]));
    text = call(&text, "COVAR_POP", &|a| mean(a[0], a[1]));
    text = call(&text, "CORR", &|a| {
        let c = both(a[0], a[1]);
        format!("({c} * ABS({c}) / {})", own(a[0], a[1]))
    });
    text = call(&text, "SHARE", &|a| format!("AVG({})", a[0]));
    text = call(&text, "LEAST", &|a| format!("MIN({})", a.join(", ")));
    text = call(&text, "GREATEST", &|a| format!("MAX({})", a.join(", ")));
    text = call(&text, "BIN", &|a| format!("(FLOOR(({}) / {}) * {})", a[0], a[1], a[1]));
    text = call(&text, "FLOOR", &|a| {
        let x = a[0];
        format!("(CAST({x} AS INTEGER) - (({x}) < CAST({x} AS INTEGER)) + 0.0)")
    });
    text = call(&text, "CEIL", &|a| {
        let x = a[0];
        format!("(CAST({x} AS INTEGER) + (({x}) > CAST({x} AS INTEGER)) + 0.0)")
    });
    text = call(&text, "EXTRACT", &|a| {
        let (part, of) = a[0].split_once(" FROM ").unwrap();
        let read = |letter: &str| format!("CAST(strftime('%{letter}', {of}) AS INTEGER)");
        let number = match part {
            "YEAR" => read("Y"),
            "QUARTER" => format!("(({} + 2) / 3)", read("m")),
            "MONTH" => read("m"),
            "DAY" => read("d"),
            "ISODOW" => read("u"),
            other => panic!("EXTRACT({other})"),
        };
        format!("({number} + 0.0)")
    });
    escaped(&text)
}

/// Rewrites every call of a function, innermost arguments and all.
fn call(text: &str, name: &str, rewrite: &dyn Fn(&[&str]) -> String) -> String {
    let open = format!("{name}(");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = text[from..].find(&open).map(|at| at + from) {
        from = at + open.len();
        if text[..at].ends_with(word) {
            continue;
        }
        let (mut depth, mut start, mut arguments) = (0, from, Vec::new());
        for (i, c) in text[from..].char_indices().map(|(i, c)| (i + from, c)) {
            match c {
                '(' => depth += 1,
                ',' if depth == 0 => {
                    arguments.push(text[start..i].trim());
                    start = i + 1;
                }
                ')' if depth == 0 => {
                    arguments.push(text[start..i].trim());
                    let text = format!("{}{}{}", &text[..at], rewrite(&arguments), &text[i + 1..]);
                    return call(&text, name, rewrite);
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
    }
    text.into()
}

/// SQLite knows a character that escapes only where it is told one.
fn escaped(text: &str) -> String {
    let mut parts = text.split("LIKE '");
    let mut result = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (pattern, rest) = part.split_once('\'').unwrap();
        result += &format!("LIKE '{pattern}' ESCAPE '\\'{rest}");
    }
    result
}

/// How far the lattice may move each column from the truth: half a step a row, carried through the aggregate.
pub fn slack(plan: &QueryPlan, rows: f64) -> Vec<f64> {
    let lattice = |at: usize| match &plan.components[at].kind {
        ComponentKind::Sum { lattice, .. } => (0.5 / lattice.scale.get(), lattice.high.get() - lattice.low.get()),
        _ => (0.0, 0.0),
    };
    // Of a mean of products less a product of means; a sample's factor is at most 2.
    let moment = |left: usize, right: usize, product: usize| {
        let ((a, x), (b, y)) = (lattice(left), lattice(right));
        2.0 * (lattice(product).0 + a * y + b * x)
    };
    let one = |e: &OutputExpr| match e {
        OutputExpr::Aggregate(at) => match plan.output.aggregates[*at] {
            Aggregate::Count { .. } => 0.0,
            Aggregate::Sum { sum, .. } => rows * lattice(sum).0,
            Aggregate::Average { sum, .. } => lattice(sum).0,
            Aggregate::Variance { sum, square, .. } => moment(sum, sum, square),
            Aggregate::Covariance {
                left, right, product, ..
            } => moment(left, right, product),
            _ => 1e-4,
        },
        OutputExpr::Key(_) => 0.0,
        _ => 1e-3,
    };
    plan.output.columns.iter().map(|c| one(&c.expr)).collect()
}

/// A row of ours as SQLite says it: deviations and correlations squared.
pub fn squared(plan: &QueryPlan, row: &[Cell]) -> Vec<Plain> {
    let column = |(cell, column): (&Cell, &workload::query::OutputColumn)| {
        let squares = match column.expr {
            OutputExpr::Aggregate(at) => matches!(
                plan.output.aggregates[at],
                Aggregate::Variance { root: true, .. } | Aggregate::Correlation { .. }
            ),
            _ => false,
        };
        match plain(cell) {
            Plain::Number(x) if squares => Plain::Number(x * x.abs()),
            value => value,
        }
    };
    row.iter().zip(&plan.output.columns).map(column).collect()
}

/// Whether two values agree.
pub fn agree(ours: &Plain, theirs: &Plain, slack: f64) -> bool {
    match (ours, theirs) {
        (Plain::Number(a), Plain::Number(b)) => (a - b).abs() <= slack + 1e-9 * (1.0 + b.abs()),
        (a, b) => a == b,
    }
}

/// The answer of a plan over participants, compared with SQLite's to the same question over their union. `keys`
/// leading columns name the row; `in_order` if the question orders and cuts. Two differences are meant: a group of no
/// rows is an answer here, for its absence would tell of rows, and the sum of no values is an estimate of 0 and not
/// NULL.
pub fn compared(
    sql: &str,
    participants: &[Vec<Row>],
    sqlite: &Sqlite,
    keys: usize,
    in_order: bool,
) -> Result<(), String> {
    let plan = ask(sql);
    let Table { rows: ours, .. } = super::common::answer(&plan, participants);
    let ours: Vec<Vec<Plain>> = ours.iter().map(|row| squared(&plan, row)).collect();
    let theirs = sqlite.rows(&translated(sql), &[]);
    let slack = slack(&plan, participants.iter().map(Vec::len).sum::<usize>() as f64);
    let same = |a: &[Plain], b: &[Plain]| {
        a.len() == b.len()
            && (0..a.len()).all(|i| {
                let sums = matches!(plan.output.columns[i].expr, OutputExpr::Aggregate(at)
                    if matches!(plan.output.aggregates[at], Aggregate::Sum { .. }));
                agree(&a[i], &b[i], slack[i]) || (sums && b[i] == Plain::Null && a[i] == Plain::Number(0.0))
            })
    };
    let fault = |ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        Err(format!(
            "{sql}\n  ours   {ours:?}\n  sqlite {theirs:?}\n  within {slack:?}"
        ))
    };
    if in_order {
        let equal = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| same(a, b));
        return if equal { Ok(()) } else { fault(&ours, &theirs) };
    }
    let mut met = 0;
    for row in &ours {
        // A group that no row is in is not in SQLite's answer.
        match theirs.iter().find(|t| t[..keys] == row[..keys]) {
            Some(found) if same(row, found) => met += 1,
            Some(found) => return fault(row, found),
            None if row[keys..]
                .iter()
                .all(|x| matches!(x, Plain::Null | Plain::Number(0.0))) => {}
            None => return fault(row, &"no such group"),
        }
    }
    if met == theirs.len() {
        Ok(())
    } else {
        fault(&ours, &theirs)
    }
}
