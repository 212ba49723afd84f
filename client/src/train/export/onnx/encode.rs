//! `Encoder::encode` as a graph: all numbers at once, all booleans at once, one lookup a column of categories, and at
//! the end one Gather that puts the features in the encoder's order. A few nodes however many numbers there are.

use governance::Scalar;
use workload::training::{Coding, Encoder, FeatureColumn};

use super::graph::{Graph, Name, number, numbers, texts};
use super::proto::DataType;

/// Answers the encoded rows: floats, `[rows, width]`.
pub fn encode(graph: &mut Graph, encoder: &Encoder) -> Name {
    let (mut reals, mut truths, mut words) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    for column in &encoder.columns {
        let place = Place { column, at };
        match &column.coding {
            Coding::Number { low, high } => {
                let about = format!(
                    "number (a date in days since 1970-01-01), clamped to {low} .. {high}; NaN and infinities are missing"
                );
                graph.input(&column.name, DataType::Double, about);
                reals.push((place, low.get(), high.get()));
            }
            Coding::Boolean => {
                let about = "1 is true, 0 is false, any other number is missing".to_owned();
                graph.input(&column.name, DataType::Int64, about);
                truths.push(place);
            }
            Coding::Categories(labels) => {
                let about = format!("text; any but {labels:?} is missing");
                graph.input(&column.name, DataType::String, about);
                words.push((place, labels));
            }
        }
        at += column.width();
    }
    let mut parts = Parts::new(encoder.width());
    if !reals.is_empty() {
        encode_numbers(graph, &reals, &mut parts);
    }
    if !truths.is_empty() {
        encode_booleans(graph, &truths, &mut parts);
    }
    for (place, labels) in words {
        encode_categories(graph, place, labels, &mut parts);
    }
    parts.in_order(graph)
}

/// A column and where its features stand in a row.
#[derive(Clone, Copy)]
struct Place<'a> {
    column: &'a FeatureColumn,
    at: usize,
}

impl Place<'_> {
    /// The feature that says that the value is missing.
    fn indicator(&self) -> Option<usize> {
        self.column.missing.then(|| self.at + self.column.width() - 1)
    }
}

/// Computed features side by side, and which of them is which.
struct Parts {
    names: Vec<Name>,
    columns: usize,
    /// For each feature of the encoder its column in the parts.
    order: Vec<i64>,
}

impl Parts {
    fn new(width: usize) -> Self {
        Self {
            names: Vec::new(),
            columns: 0,
            order: vec![0; width],
        }
    }

    /// Adds a matrix of floats whose columns are these features; `None` is one that the encoder does not have.
    fn add(&mut self, name: Name, features: impl Iterator<Item = Option<usize>>) {
        for feature in features {
            if let Some(feature) = feature {
                self.order[feature] = self.columns as i64;
            }
            self.columns += 1;
        }
        self.names.push(name);
    }

    fn in_order(self, graph: &mut Graph) -> Name {
        let all = beside(graph, &self.names, "encode/parts");
        let order = graph.integers("encode/order", &[self.order.len()], &self.order);
        graph.node("Gather", &[&all, &order], "features/encoded", vec![number("axis", 1)])
    }
}

/// `scaled` of the encoder, operation by operation in doubles, so that features agree to the last bit.
fn encode_numbers(graph: &mut Graph, columns: &[(Place<'_>, f64, f64)], parts: &mut Parts) {
    let row = [1, columns.len()];
    let places: Vec<Place<'_>> = columns.iter().map(|(place, _, _)| *place).collect();
    let imputed = |column: &FeatureColumn| match &column.impute {
        Some(Scalar::Number(x)) => Some(x.get()),
        Some(Scalar::Date(days)) => Some(f64::from(*days)),
        _ => None,
    };
    let constants: Vec<Option<f64>> = places.iter().map(|place| imputed(place.column)).collect();
    let lows: Vec<f64> = columns.iter().map(|(_, low, _)| *low).collect();
    let highs: Vec<f64> = columns.iter().map(|(_, _, high)| *high).collect();
    let halves: Vec<f64> = columns.iter().map(|(_, low, high)| high / 2.0 - low / 2.0).collect();
    // What stands for a missing number that is not imputed is replaced below: any finite number will do.
    let finite: Vec<f64> = constants.iter().zip(&lows).map(|(c, low)| c.unwrap_or(*low)).collect();

    let names: Vec<Name> = places.iter().map(|place| place.column.name.clone()).collect();
    let raw = beside(graph, &names, "numbers/raw");
    let nan = graph.node("IsNaN", &[&raw], "numbers/nan", vec![]);
    let infinite = graph.node("IsInf", &[&raw], "numbers/infinite", vec![]);
    let missing = graph.node("Or", &[&nan, &infinite], "numbers/missing", vec![]);
    let finite = graph.doubles("numbers/finite", &row, &finite);
    let filled = graph.node("Where", &[&missing, &finite, &raw], "numbers/filled", vec![]);
    let low = graph.doubles("numbers/low", &row, &lows);
    let high = graph.doubles("numbers/high", &row, &highs);
    let raised = graph.node("Max", &[&filled, &low], "numbers/raised", vec![]);
    let within = graph.node("Min", &[&raised, &high], "numbers/within", vec![]);
    let above = graph.node("Sub", &[&within, &low], "numbers/above", vec![]);
    let half = graph.doubles("numbers/half", &row, &halves);
    let ratio = graph.node("Div", &[&above, &half], "numbers/ratio", vec![]);
    let (least, most) = (
        graph.doubles("numbers/least", &[], &[-1.0]),
        graph.doubles("numbers/most", &[], &[1.0]),
    );
    let shifted = graph.node("Sub", &[&ratio, &most], "numbers/shifted", vec![]);
    let scaled = graph.node("Clip", &[&shifted, &least, &most], "numbers/scaled", vec![]);
    let known = Known {
        values: graph.cast(&scaled, DataType::Float, "numbers/known"),
        missing,
        imputed: constants.iter().map(Option::is_some).collect(),
    };
    known.with_indicators(graph, "numbers", &places, parts);
}

fn encode_booleans(graph: &mut Graph, places: &[Place<'_>], parts: &mut Parts) {
    let row = [1, places.len()];
    let imputed = |column: &FeatureColumn| match &column.impute {
        Some(Scalar::Boolean(b)) => Some(i64::from(*b)),
        _ => None,
    };
    let constants: Vec<Option<i64>> = places.iter().map(|place| imputed(place.column)).collect();
    let fills: Vec<i64> = constants.iter().map(|c| c.unwrap_or(0)).collect();

    let names: Vec<Name> = places.iter().map(|place| place.column.name.clone()).collect();
    let raw = beside(graph, &names, "booleans/raw");
    let (no, yes) = (
        graph.integers("booleans/0", &[], &[0]),
        graph.integers("booleans/1", &[], &[1]),
    );
    let is_no = graph.node("Equal", &[&raw, &no], "booleans/false", vec![]);
    let is_yes = graph.node("Equal", &[&raw, &yes], "booleans/true", vec![]);
    let either = graph.node("Or", &[&is_no, &is_yes], "booleans/either", vec![]);
    let missing = graph.node("Not", &[&either], "booleans/missing", vec![]);
    let fill = graph.integers("booleans/fill", &row, &fills);
    let filled = graph.node("Where", &[&missing, &fill, &raw], "booleans/filled", vec![]);
    let known = Known {
        values: graph.cast(&filled, DataType::Float, "booleans/known"),
        missing,
        imputed: constants.iter().map(Option::is_some).collect(),
    };
    known.with_indicators(graph, "booleans", places, parts);
}

/// Columns of one feature each, as floats, with a number even where the value is missing.
struct Known {
    values: Name,
    missing: Name,
    /// Which columns have a constant for a missing value; it stands in `values` already.
    imputed: Vec<bool>,
}

impl Known {
    /// 0 where a value is missing and nothing is imputed; the indicators beside it.
    fn with_indicators(self, graph: &mut Graph, group: &str, places: &[Place<'_>], parts: &mut Parts) {
        let name = |what: &str| format!("{group}/{what}");
        let open: Vec<bool> = self.imputed.iter().map(|imputed| !imputed).collect();
        let open = graph.booleans(&name("unimputed"), &[1, open.len()], &open);
        let absent = graph.node("And", &[&self.missing, &open], &name("absent"), vec![]);
        let zero = graph.floats(&name("zero"), &[], &[0.0]);
        let values = graph.node("Where", &[&absent, &zero, &self.values], &name("values"), vec![]);
        parts.add(values, places.iter().map(|place| Some(place.at)));
        if places.iter().any(|place| place.column.missing) {
            let indicators = graph.cast(&absent, DataType::Float, &name("indicators"));
            parts.add(indicators, places.iter().map(Place::indicator));
        }
    }
}

/// One-hot by position. A text that is no label gets the position after the last one: the indicator's, or nobody's.
fn encode_categories(graph: &mut Graph, place: Place<'_>, labels: &[String], parts: &mut Parts) {
    let (column, width) = (&place.column.name, place.column.width());
    let name = |what: &str| format!("{column}/{what}");
    let imputed = match &place.column.impute {
        Some(Scalar::Text(text)) => labels.iter().position(|label| label == text),
        _ => None,
    };
    let other = imputed.unwrap_or(labels.len());
    let lookup = vec![
        texts("keys_strings", labels),
        numbers("values_int64s", 0..labels.len() as i64),
        number("default_int64", other as i64),
    ];
    let position = graph.node("LabelEncoder", &[column], &name("position"), lookup);
    let all: Vec<i64> = (0..width as i64).collect();
    let positions = graph.integers(&name("positions"), &[1, width], &all);
    let hot = graph.node("Equal", &[&position, &positions], &name("hot"), vec![]);
    let values = graph.cast(&hot, DataType::Float, &name("values"));
    parts.add(values, (place.at..place.at + width).map(Some));
}

/// Matrices of one height, side by side.
fn beside(graph: &mut Graph, names: &[Name], output: &str) -> Name {
    let names: Vec<&Name> = names.iter().collect();
    graph.node("Concat", &names, output, vec![number("axis", 1)])
}
