//! What a data owner may change in a contract, and what it means. Each line is one edit of `BASE`: the words, the text
//! that goes, the text that comes, who can go on asking, and what becomes of epsilon. `governance` holds the verdicts to
//! this table; `workload` holds the table to the compiler and to made-up rows.

use governance::contract::compat::{Claim, Claim::*, Verdict, Verdict::*};

pub const BASE: &str = r#"
apiVersion = "v3.1.0"
kind = "DataContract"
name = "clinic"
version = "1.0.0"
description = "Visits"
purposes = ["research", "quality"]
[privacy]
unit = "person"
maxRows = 500
delta = 1e-6
contribution = { rows = 4, groups = 4, rowsPerGroup = 2, participants = 2 }

[[schema.properties]]
name = "person"
logicalType = "integer"
required = true
queryable = false
[[schema.properties]]
name = "age"
logicalType = "integer"
required = true
unit = "years"
logicalTypeOptions = { minimum = 20, maximum = 90 }
[[schema.properties]]
name = "ward"
logicalType = "string"
required = true
classification = "internal"
categories = ["A", "B", "C"]
[[schema.properties]]
name = "chol"
logicalType = "number"
description = "Cholesterol"
unit = "mg/dL"
logicalTypeOptions = { minimum = 80, maximum = 620, multipleOf = 2 }
nulls = "ignore"
[[schema.properties]]
name = "dose"
logicalType = "number"
required = true
logicalTypeOptions = { minimum = 1, maximum = 50, multipleOf = 0.5 }
[[schema.properties]]
name = "smoker"
logicalType = "boolean"
nulls = { impute = false }
[[schema.properties]]
name = "seen"
logicalType = "date"
required = true
logicalTypeOptions = { minimum = "2019-01-01", maximum = "2024-12-31" }
[[schema.properties]]
name = "code"
logicalType = "string"
required = true
[[schema.properties]]
name = "site"
logicalType = "string"
required = true
categories = ["north", "south"]
identifiesSite = true
[[schema.properties]]
name = "weight"
logicalType = "number"
required = true
[[schema.properties]]
name = "secret"
logicalType = "integer"
required = true
logicalTypeOptions = { minimum = 0, maximum = 9 }
queryable = false
"#;

pub type Edit = (&'static str, &'static str, &'static str, Verdict, Claim);

const AGE: &str = "minimum = 20, maximum = 90";
const CHOL: &str = "minimum = 80, maximum = 620, multipleOf = 2";
const DOSE: &str = "minimum = 1, maximum = 50, multipleOf = 0.5";
const SEEN: &str = "minimum = \"2019-01-01\", maximum = \"2024-12-31\"";
const WARD: &str = "[\"A\", \"B\", \"C\"]";
const LIMITS: &str = "rows = 4, groups = 4, rowsPerGroup = 2, participants = 2";
const SECRET: &str = "name = \"secret\"\nlogicalType = \"integer\"\nrequired = true\n\
    logicalTypeOptions = { minimum = 0, maximum = 9 }\nqueryable = false";
const LAST: &str = "maximum = 9 }\nqueryable = false\n";
const SMOKER: &str =
    "[[schema.properties]]\nname = \"smoker\"\nlogicalType = \"boolean\"\nnulls = { impute = false }\n";

#[rustfmt::skip]
pub const EDITS: &[Edit] = &[
    // The contract as a whole.
    ("a new version number",                   "1.0.0", "1.0.1",                                   Full,     Same),
    ("another description",                    "\"Visits\"", "\"Stays\"",                          Full,     Same),
    ("another name of the dataset",            "\"clinic\"", "\"clinics\"",                        Breaking, Same),
    ("a purpose more",                         "\"quality\"]", "\"quality\", \"planning\"]",       Backward, Same),
    ("a purpose less",                         ", \"quality\"]", "]",                              Forward,  Same),
    ("a purpose for another",                  "\"quality\"]", "\"planning\"]",                    Breaking, Same),
    ("hidden from who is not admitted",        "[privacy]", "customProperties = [{ property = \"visibility\", value = \"hidden\" }]\n[privacy]", Full, Same),
    ("purposes in another order",              "\"research\", \"quality\"", "\"quality\", \"research\"", Full, Same),
    // What epsilon is about.
    ("the row is the unit",                    "unit = \"person\"\nmaxRows = 500\ndelta = 1e-6\ncontribution = { rows = 4, groups = 4, rowsPerGroup = 2, participants = 2 }", "maxRows = 500\ndelta = 1e-6", Breaking, Unit),
    ("another column is the unit",             "unit = \"person\"", "unit = \"code\"",             Breaking, Unit),
    ("ids of the unit become text",            "name = \"person\"\nlogicalType = \"integer\"", "name = \"person\"\nlogicalType = \"string\"", Breaking, Unit),
    ("more rows of a unit count",              "{ rows = 4", "{ rows = 5",                         Backward, Price),
    ("fewer rows of a unit count",             LIMITS, "rows = 3, groups = 3, rowsPerGroup = 2, participants = 2", Forward, Price),
    ("a unit may be in fewer groups",          "groups = 4", "groups = 2",                         Forward,  Price),
    ("a unit may be in more groups than rows", "groups = 4", "groups = 9",                         Full,     Same),
    ("more rows of a unit in one group",       "rowsPerGroup = 2", "rowsPerGroup = 3",             Backward, Price),
    ("more rows, in fewer groups",             LIMITS, "rows = 6, groups = 2, rowsPerGroup = 2, participants = 2", Breaking, Price),
    ("a unit may be at more participants",     "participants = 2", "participants = 3",             Backward, Unit),
    ("a unit is at one participant only",      "participants = 2", "participants = 1",             Forward,  Price),
    ("larger files are allowed",               "maxRows = 500", "maxRows = 5000",                  Backward, Same),
    ("only smaller files are allowed",         "maxRows = 500", "maxRows = 100",                   Forward,  Same),
    ("a larger delta is allowed",              "delta = 1e-6", "delta = 1e-5",                     Backward, Price),
    ("only a smaller delta is allowed",        "delta = 1e-6", "delta = 1e-7",                     Forward,  Price),
    // Columns that come and go.
    ("a column more",                          LAST, "maximum = 9 }\nqueryable = false\n[[schema.properties]]\nname = \"sex\"\nlogicalType = \"string\"\ncategories = [\"f\", \"m\"]\n", Backward, Same),
    ("a withheld column more",                 LAST, "maximum = 9 }\nqueryable = false\n[[schema.properties]]\nname = \"key\"\nlogicalType = \"string\"\nqueryable = false\n", Full, Same),
    ("a column less",                          SMOKER, "",                                         Forward,  Same),
    ("a withheld column less",                 SECRET, "name = \"other\"\nlogicalType = \"boolean\"\nqueryable = false", Full, Same),
    ("another name of a column",               "name = \"smoker\"", "name = \"smokes\"",           Breaking, Same),
    ("a capital letter in a column's name",    "name = \"smoker\"", "name = \"Smoker\"",           Breaking, Same),
    ("another name of a withheld column",      "name = \"secret\"", "name = \"hidden\"",           Full,     Same),
    // Type and bounds.
    ("an integer becomes a number",            "name = \"age\"\nlogicalType = \"integer\"", "name = \"age\"\nlogicalType = \"number\"", Breaking, Price),
    ("free text becomes an integer",           "name = \"code\"\nlogicalType = \"string\"", "name = \"code\"\nlogicalType = \"integer\"", Breaking, Price),
    ("older people are let in",                AGE, "minimum = 20, maximum = 110",                 Backward, Price),
    ("the oldest are clamped",                 AGE, "minimum = 20, maximum = 80",                  Forward,  Price),
    ("bounds move",                            AGE, "minimum = 30, maximum = 110",                 Breaking, Price),
    ("a range that reaches zero",              DOSE, "minimum = 0, maximum = 50, multipleOf = 0.5", Breaking, Price),
    ("a range that stays above zero",          DOSE, "minimum = 0.5, maximum = 60, multipleOf = 0.5", Backward, Price),
    ("bounds between whole numbers",           CHOL, "minimum = 79.5, maximum = 620, multipleOf = 2", Breaking, Price),
    ("an earlier first day",                   SEEN, "minimum = \"2010-01-01\", maximum = \"2024-12-31\"", Backward, Price),
    ("bounds of a withheld column",            "maximum = 9 }", "maximum = 99 }",                  Full,     Same),
    ("bounds are dropped",                     "logicalTypeOptions = { minimum = 1, maximum = 50, multipleOf = 0.5 }\n", "", Breaking, Price),
    ("bounds are declared",                    "name = \"weight\"\nlogicalType = \"number\"\n", "name = \"weight\"\nlogicalType = \"number\"\nlogicalTypeOptions = { minimum = 0, maximum = 300 }\n", Breaking, Price),
    ("a finer step",                           DOSE, "minimum = 1, maximum = 50, multipleOf = 0.25", Backward, Price),
    ("a finer step that is not whole",         CHOL, "minimum = 80, maximum = 620, multipleOf = 0.1", Breaking, Price),
    ("a coarser step",                         CHOL, "minimum = 80, maximum = 620, multipleOf = 10", Forward, Price),
    ("a step that crosses the old one",        CHOL, "minimum = 80, maximum = 620, multipleOf = 3", Breaking, Price),
    ("no step any more",                       DOSE, "minimum = 1, maximum = 50",                  Backward, Price),
    // Categories.
    ("a category at the end",                  WARD, "[\"A\", \"B\", \"C\", \"D\"]",               Backward, Same),
    ("a category in the middle",               WARD, "[\"A\", \"B2\", \"B\", \"C\"]",              Breaking, Same),
    ("the last category is gone",              WARD, "[\"A\", \"B\"]",                             Forward,  Same),
    ("the first category is gone",             WARD, "[\"B\", \"C\"]",                             Breaking, Same),
    ("categories in another order",            WARD, "[\"C\", \"B\", \"A\"]",                      Breaking, Same),
    ("a category for another",                 WARD, "[\"A\", \"B\", \"D\"]",                      Breaking, Same),
    ("free text gets categories",              "name = \"code\"\nlogicalType = \"string\"\n", "name = \"code\"\nlogicalType = \"string\"\ncategories = [\"x\", \"y\"]\n", Breaking, Same),
    ("categories become free text",            "categories = [\"A\", \"B\", \"C\"]\n", "",         Breaking, Same),
    // Missing values.
    ("a required column may be missing",       "required = true\nunit = \"years\"", "unit = \"years\"", Backward, Price),
    ("a required column is imputed",           "required = true\nunit = \"years\"", "nulls = { impute = 50 }\nunit = \"years\"", Backward, Same),
    ("it is never missing any more",           "multipleOf = 2 }\nnulls = \"ignore\"", "multipleOf = 2 }\nrequired = true", Forward, Price),
    ("an imputed column is never missing",     "nulls = { impute = false }", "required = true",    Forward,  Same),
    ("what was left out is imputed",           "multipleOf = 2 }\nnulls = \"ignore\"", "multipleOf = 2 }\nnulls = { impute = 200 }", Breaking, Price),
    ("another constant is imputed",            "impute = false", "impute = true",                  Breaking, Same),
    // Who may see what.
    ("a column is withheld",                   "name = \"smoker\"", "name = \"smoker\"\nqueryable = false", Forward, Same),
    ("a withheld column is opened",            SECRET, "name = \"secret\"\nlogicalType = \"integer\"\nrequired = true\nlogicalTypeOptions = { minimum = 0, maximum = 9 }", Backward, Same),
    ("opened, with other bounds",              SECRET, "name = \"secret\"\nlogicalType = \"integer\"\nrequired = true\nlogicalTypeOptions = { minimum = 0, maximum = 5 }", Backward, Same),
    ("a column identifies the site",           "name = \"smoker\"", "name = \"smoker\"\nidentifiesSite = true", Forward, Same),
    ("a column identifies no site any more",   "identifiesSite = true\n", "",                      Backward, Same),
    // Words.
    ("another unit of measure",                "mg/dL", "mmol/L",                                  Breaking, Same),
    ("no unit of measure",                     "unit = \"mg/dL\"\n", "",                           Full,     Same),
    ("another classification",                 "\"internal\"", "\"public\"",                       Full,     Same),
    ("another description of a column",        "\"Cholesterol\"", "\"Serum cholesterol\"",         Full,     Same),
    // Several at once: what one lets through the other may not.
    ("wider, and one column less",             "logicalTypeOptions = { minimum = 20, maximum = 90 }\n[[schema.properties]]\nname = \"ward\"\nlogicalType = \"string\"\nrequired = true\nclassification = \"internal\"\ncategories = [\"A\", \"B\", \"C\"]\n", "logicalTypeOptions = { minimum = 20, maximum = 99 }\n", Breaking, Price),
];

/// The contract after an edit.
pub fn edited((what, from, to, ..): &Edit) -> String {
    assert_eq!(
        BASE.matches(from).count(),
        1,
        "{what}: the text that goes is there once"
    );
    BASE.replace(from, to)
}
