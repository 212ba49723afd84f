//! Every refusal points at the right token and says what to do instead.

use super::common::*;
use governance::Contract;
use workload::query::{QueryTask, QueryWorkload, compile};

/// (SQL with the offending token between « and », a word of the message, a word of what is supported)
const REFUSED: &[(&str, &str, &str)] = &[
    // the shape of the text
    ("«DELETE» FROM heart", "not a SELECT", "SELECT"),
    ("SELECT COUNT(*) FROM heart; «SELECT» 1", "inside a query", "one SELECT"),
    (
        "SELECT COUNT(*) FROM heart «JOIN» other ON a = b",
        "joins",
        "one dataset",
    ),
    ("SELECT COUNT(*) FROM heart, «other»", "second table", "one dataset"),
    (
        "SELECT COUNT(*) FROM heart «UNION» SELECT COUNT(*) FROM heart",
        "set operations",
        "own",
    ),
    ("«WITH» t AS (SELECT 1) SELECT COUNT(*) FROM t", "WITH", "one SELECT"),
    (
        "SELECT COUNT(*) FROM («SELECT» * FROM heart) t",
        "inside a query",
        "one SELECT",
    ),
    ("SELECT AVG(age) «OVER» () FROM heart", "window", "GROUP BY"),
    ("SELECT «DISTINCT» sex FROM heart", "DISTINCT", "GROUP BY"),
    (
        "SELECT COUNT(*) FROM heart GROUP BY «ROLLUP»(sex)",
        "grouping sets",
        "GROUP BY",
    ),
    ("SELECT COUNT(*) FROM heart LIMIT 1 «OFFSET» 2", "LIMIT", "LIMIT"),
    (
        "SELECT COUNT(*) FROM heart WHERE «EXISTS» (SELECT 1)",
        "inside a query",
        "one SELECT",
    ),
    ("SELECT COUNT(*) FROM «hearts»", "unknown dataset", "heart"),
    (
        "SELECT COUNT(*) FROM heart WHER «age» > 3 GROUP BY",
        "end of statement",
        "SELECT",
    ),
    ("SELECT COUNT(*) FORM «heart»", "end of statement", "SELECT"),
    ("SELECT COUNT(*) FROM heart WHERE age > «'x»", "unterminated", "SELECT"),
    // rows stay home
    ("SELECT «*» FROM heart", "rows never leave", "aggregates"),
    ("SELECT «age» FROM heart", "rows never leave", "COUNT"),
    (
        "SELECT sex, «age», COUNT(*) FROM heart GROUP BY sex",
        "rows never leave",
        "COUNT",
    ),
    ("SELECT COUNT(*) FROM heart ORDER BY «age»", "rows never leave", "COUNT"),
    ("SELECT «sex» FROM heart GROUP BY sex", "nothing is measured", "COUNT"),
    ("SELECT «1» FROM heart", "nothing is measured", "COUNT"),
    // names
    ("SELECT AVG(«chlo») FROM heart", "did you mean `chol`", "age"),
    ("SELECT AVG(«weight») FROM heart", "unknown column", "chol"),
    ("SELECT COUNT(*) FROM heart WHERE «id» = 7", "forbidden", "age"),
    (
        "SELECT COUNT(*) FROM heart WHERE «dataset» = 'Cleveland'",
        "identifies a participant",
        "together",
    ),
    (
        "SELECT COUNT(*) FROM heart GROUP BY «dataset»",
        "identifies a participant",
        "together",
    ),
    ("SELECT AVG(«other».age) FROM heart", "unknown dataset", "heart"),
    ("SELECT «FOO»(age) FROM heart", "unknown function", "AVG"),
    (
        "SELECT COUNT(*) FROM heart WHERE «SUM»(age) > 3",
        "cannot stand here",
        "HAVING",
    ),
    (
        "SELECT AVG(«SUM»(age)) FROM heart",
        "cannot stand here",
        "inside one another",
    ),
    (
        "SELECT COUNT(*) FROM heart WHERE «BIN»(age, 10) = 40",
        "key of GROUP BY",
        "FLOOR",
    ),
    // kinds and constants
    ("SELECT AVG(«sex») FROM heart", "expected a number", "CASE"),
    ("SELECT COUNT(*) FROM heart WHERE «age»", "expected a condition", ""),
    (
        "SELECT COUNT(*) FROM heart WHERE age «=» 'old'",
        "cannot be compared",
        "one kind",
    ),
    (
        "SELECT COUNT(*) FROM heart WHERE sex = «'male'»",
        "not a category",
        "'Male'",
    ),
    (
        "SELECT COUNT(*) FROM heart WHERE cp IN ('asymptomatic', «'none'»)",
        "not a category",
        "non-anginal",
    ),
    ("SELECT COUNT(*) FROM heart WHERE age IN (40, «num»)", "constants", "OR"),
    ("SELECT COUNT(*) FROM heart WHERE sex LIKE «cp»", "constant", "LIKE"),
    ("SELECT COUNT(*) FROM heart WHERE age «%» 2 = 0", "operator", "BETWEEN"),
    (
        "SELECT COUNT(*) FROM heart WHERE sex «||» cp = 'x'",
        "operator",
        "BETWEEN",
    ),
    (
        "SELECT COUNT(*) FROM heart WHERE «CAST»(age AS TEXT) = '4'",
        "casts",
        "contract",
    ),
    ("SELECT COUNT(*) FROM heart WHERE sex «ILIKE» 'm%'", "LIKE", "LIKE"),
    ("SELECT AVG(age «/» oldpeak) FROM heart", "close to zero", "GREATEST"),
    (
        "SELECT QUANTILE(age, «1.5») FROM heart",
        "share from 0 to 1",
        "constant",
    ),
    (
        "SELECT QUANTILE(age, «num») FROM heart",
        "share from 0 to 1",
        "constant",
    ),
    ("SELECT HISTOGRAM(age, «0») FROM heart", "number of bins", "constant"),
    ("SELECT «HISTOGRAM»(age, 5) + 1 FROM heart", "stands alone", "SELECT"),
    (
        "SELECT HISTOGRAM(age, 5), «AVG»(age) FROM heart",
        "one row per bin",
        "HISTOGRAM",
    ),
    (
        "SELECT «PERCENTILE_CONT»(0.5) FROM heart",
        "WITHIN GROUP",
        "WITHIN GROUP",
    ),
    ("SELECT «CORR»(age) FROM heart", "two columns", "CORR"),
    ("SELECT COUNT(DISTINCT «age») FROM heart", "distinctly", "COUNT(*)"),
    ("SELECT SUM(«DISTINCT» age) FROM heart", "DISTINCT", "unit"),
    ("SELECT COUNT(*) + «'x'» FROM heart", "expected a number", ""),
    // keys
    ("SELECT COUNT(*) FROM heart GROUP BY «oldpeak»", "whole numbers", "BIN"),
    ("SELECT COUNT(*) FROM heart GROUP BY BIN(age, «0»)", "width", "constant"),
    (
        "SELECT COUNT(*) FROM heart GROUP BY BIN(age, «0.0001»)",
        "bins",
        "at most",
    ),
    (
        "SELECT COUNT(*) FROM heart GROUP BY «3»",
        "position 3",
        "positions 1 to 1",
    ),
    ("SELECT COUNT(*) FROM heart LIMIT «1.5»", "whole number", ""),
];

#[test]
fn the_caret_stands_under_the_offending_token() {
    for (marked, message, supported) in REFUSED {
        let sql = marked.replace(['«', '»'], "");
        let column = marked.chars().take_while(|c| *c != '«').count() as u64 + 1;
        let error = refusal(&heart(), &sql);
        let shown = error.render(&sql);
        assert_eq!((error.line, error.column), (1, column), "{sql}\n{shown}");
        assert!(
            error.message.to_lowercase().contains(&message.to_lowercase()),
            "{message}\n{shown}"
        );
        assert!(error.supported.contains(supported), "{supported}\n{shown}");
        assert!(!error.supported.is_empty() && error.code == "SOTTO-1001", "{shown}");
    }
}

#[test]
fn the_caret_finds_its_line_in_a_text_of_many() {
    let sql = "SELECT COUNT(*)\nFROM heart\nWHERE age > 40\n  AND wieght < 3";
    let error = refusal(&heart(), sql);
    assert_eq!(
        (error.line, error.column, error.length),
        (4, 7, 6),
        "{}",
        error.render(sql)
    );
}

#[test]
fn a_column_without_bounds_is_refused_where_it_would_weigh() {
    let text = "name = 't'\nversion = '1'\npurposes = ['p']\n[privacy]\nmaxRows = 10\ndelta = 1e-6\n\
        [[schema.properties]]\nname = 'cost'\nlogicalType = 'number'\nrequired = true\n\
        [[schema.properties]]\nname = 'note'\nlogicalType = 'string'\nrequired = true\n";
    let contract = Contract::parse(text).unwrap();
    let error = refusal(&contract, "SELECT SUM(cost) FROM t");
    assert!(error.message.contains("`cost` has no bounds") && error.column == 12);
    assert!(
        refusal(&contract, "SELECT COUNT(*) FROM t GROUP BY note")
            .message
            .contains("no declared categories")
    );
    assert!(
        refusal(&contract, "SELECT MEDIAN(cost) FROM t")
            .message
            .contains("no bounds")
    );
    plan(&contract, "SELECT COUNT(*) FROM t WHERE cost > 3 AND note LIKE 'a%'");
}

#[test]
fn rows_times_range_must_fit_and_nothing_saturates_silently() {
    let text = |rows: u64| {
        format!(
            "name = 't'\nversion = '1'\npurposes = ['p']\n[privacy]\nmaxRows = {rows}\ndelta = 1e-6\n\
            [[schema.properties]]\nname = 'x'\nlogicalType = 'number'\nrequired = true\n\
            logicalTypeOptions = {{ minimum = 0, maximum = 1e15 }}\n"
        )
    };
    let small = Contract::parse(&text(1 << 30)).unwrap();
    let plan = plan(&small, "SELECT AVG(x) FROM t");
    let most = plan.components.iter().map(|c| i128::from(c.clip)).max().unwrap();
    assert!(most * i128::from(plan.noise.members) < 1 << 62);
    let large = Contract::parse(&text(1 << 40)).unwrap();
    let crowd = engine::CohortTerms {
        n: 1 << 24,
        c: 1,
        s_min: 1 << 23,
    };
    let error = compile("SELECT AVG(x) FROM t", &large, &crowd, 1.0, 1e-6).unwrap_err();
    assert!(
        error.code == "SOTTO-1003" && error.message.contains("do not fit"),
        "{error}"
    );
}

#[test]
fn budgets_that_are_none_are_refused_by_name() {
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-12] {
        let error = compile("SELECT COUNT(*) FROM heart", &heart(), &TERMS, epsilon, 1e-6).unwrap_err();
        assert!(
            error.code == "SOTTO-1002" && error.message.contains("epsilon"),
            "{error}"
        );
    }
    let error = compile("SELECT COUNT(*) FROM heart", &heart(), &TERMS, 1.0, 0.0).unwrap_err();
    assert!(error.code == "SOTTO-1002" && error.message.contains("delta"), "{error}");
}

#[test]
fn deep_and_wide_texts_are_refused_and_not_endured() {
    let started = std::time::Instant::now();
    let shapes = [
        "(".repeat(1_900),
        "NOT ".repeat(1_900),
        "- ".repeat(1_900),
        "1 + ".repeat(900) + "1 > 0",
        "CASE WHEN ".repeat(900),
        "(CASE ".repeat(40) + "age" + &" WHEN 1 THEN 2 WHEN 3 THEN 4 WHEN 5 THEN 6 END)".repeat(40) + " = 1",
        "(CASE WHEN ".repeat(40) + "age" + &" BETWEEN 0 AND 1 THEN 1 ELSE 0 END)".repeat(40) + " = 1",
        "(CASE WHEN ".repeat(13) + "age" + &" NOT BETWEEN 0 AND 1 THEN 1 ELSE 0 END)".repeat(13) + " = 1",
        "age > 0".to_string() + &" IS TRUE".repeat(1_000),
        "age > 0".to_string() + &" IS TRUE".repeat(40),
        "age > 0".to_string() + &" = TRUE".repeat(500),
        "x".repeat(20_000),
    ];
    for shape in shapes {
        let sql = format!("SELECT COUNT(*) FROM heart WHERE {shape}");
        let error = refusal(&heart(), &sql);
        assert!(!error.render(&sql).is_empty());
    }
    let bomb = "COUNT(*) AS a0, ".to_string()
        + &(1..40)
            .map(|i| format!("a{0} + a{0} AS a{i}", i - 1))
            .collect::<Vec<_>>()
            .join(", ");
    assert!(
        refusal(&heart(), &format!("SELECT {bomb} FROM heart"))
            .message
            .contains("too")
    );
    let cycle = refusal(&heart(), "SELECT x + 1 AS y, y + 1 AS x, COUNT(*) FROM heart");
    assert!(cycle.message.contains("too deeply"), "{cycle}");
    plan(
        &heart(),
        &format!("SELECT COUNT(*) FROM heart WHERE {}num < 9", "age > 0 AND ".repeat(300)),
    );
    assert!(started.elapsed().as_secs() < 20, "bounded work");
}

#[test]
fn a_request_of_another_kind_or_dataset_is_no_plan() {
    use engine::Workload;
    let request = governance::Request {
        nonce: governance::ContentHash([0; 32]),
        analyst: "ana".into(),
        dataset: "heart".into(),
        contract: heart().hash(),
        purpose: "research".into(),
        kind: "query".into(),
        task: QueryTask {
            sql: "SELECT COUNT(*) FROM heart".into(),
        }
        .to_task(),
        epsilon: 1.0,
        delta: 1e-6,
        max_attempts: 1,
        issued_at_ms: 0,
        expires_at_ms: 1,
    };
    let plan = |request: &governance::Request| QueryWorkload.plan(request, &heart(), &TERMS);
    let good = plan(&request).unwrap();
    assert_eq!((good.dim, good.rounds), (1, 1));
    assert!(
        plan(&governance::Request {
            kind: "train".into(),
            ..request.clone()
        })
        .is_err()
    );
    assert!(
        plan(&governance::Request {
            dataset: "hie".into(),
            ..request.clone()
        })
        .is_err()
    );
    assert!(
        plan(&governance::Request {
            task: "{}".into(),
            ..request.clone()
        })
        .is_err()
    );
    let sum = engine::PlainSum {
        values: vec![0; 1],
        contributors: 4,
        variance: 4 * good.variance,
    };
    let done = QueryWorkload.absorb(&good, 0, None, &sum).unwrap();
    let engine::Outcome::Done { release } = done else {
        panic!("one round")
    };
    let table: workload::query::Table = serde_json::from_slice(&release).unwrap();
    assert_eq!((table.columns.len(), table.rows.len()), (1, 1));
    assert!(
        QueryWorkload
            .absorb(&good, 0, None, &engine::PlainSum { values: vec![], ..sum })
            .is_err()
    );
}

/// Rows that WHERE leaves cost time and the others do not: a question that makes a row expensive would count them by a clock.
#[test]
fn a_question_that_makes_a_row_expensive_is_refused() {
    let contract = heart();
    let long = format!("SELECT COUNT(*) FROM heart WHERE sex LIKE '%{}'", "a".repeat(1100));
    assert!(refusal(&contract, &long).message.contains("too large"));
    let mut nested = format!("(sex LIKE '%{}')", "a".repeat(40));
    for _ in 0..8 {
        nested = format!("({nested} BETWEEN FALSE AND TRUE)");
    }
    let nested = format!("SELECT COUNT(*) FILTER (WHERE {nested}) FROM heart");
    assert!(refusal(&contract, &nested).message.contains("too large"));
}
