//! Functions of single values inside a polars expression: what polars lacks, or rounds differently than the specification.
//!
//! Each costs one pass and one allocation per batch. They answer for every value, so they cannot fail on data; a type
//! they were not made for is a programming error that polars reports before it reads a row.

use polars::prelude::*;

/// A type that a column holds.
pub trait Element: PolarsDataType {
    type Value<'a>: 'a;

    fn values(column: &Column) -> PolarsResult<&ChunkedArray<Self>>;
    fn each<'a>(array: &'a ChunkedArray<Self>) -> impl Iterator<Item = Option<Self::Value<'a>>> + 'a;
}

/// `of(value)` of every value that is not NULL; NULL where it answers `None`.
pub fn map_values<I, O, T>(
    expr: Expr,
    dtype: DataType,
    of: impl Fn(I::Value<'_>) -> Option<T> + Send + Sync + 'static,
) -> Expr
where
    I: Element,
    O: PolarsDataType,
    ChunkedArray<O>: FromIterator<Option<T>> + IntoSeries,
{
    map_options::<I, O, T>(expr, dtype, move |v| v.and_then(&of))
}

/// `of` of every value, NULLs too.
pub fn map_options<I, O, T>(
    expr: Expr,
    dtype: DataType,
    of: impl Fn(Option<I::Value<'_>>) -> Option<T> + Send + Sync + 'static,
) -> Expr
where
    I: Element,
    O: PolarsDataType,
    ChunkedArray<O>: FromIterator<Option<T>> + IntoSeries,
{
    expr.map(
        move |column| {
            let answer: ChunkedArray<O> = I::each(I::values(&column)?).map(&of).collect();
            Ok(answer.with_name(column.name().clone()).into_series().into_column())
        },
        move |_, field| Ok(Field::new(field.name().clone(), dtype.clone())),
    )
}

impl Element for Float64Type {
    type Value<'a> = f64;

    fn values(column: &Column) -> PolarsResult<&Float64Chunked> {
        column.f64()
    }

    fn each<'a>(array: &'a Float64Chunked) -> impl Iterator<Item = Option<f64>> + 'a {
        array.iter()
    }
}

impl Element for Int32Type {
    type Value<'a> = i32;

    fn values(column: &Column) -> PolarsResult<&Int32Chunked> {
        column.i32()
    }

    fn each<'a>(array: &'a Int32Chunked) -> impl Iterator<Item = Option<i32>> + 'a {
        array.iter()
    }
}

impl Element for StringType {
    type Value<'a> = &'a str;

    fn values(column: &Column) -> PolarsResult<&StringChunked> {
        column.str()
    }

    fn each<'a>(array: &'a StringChunked) -> impl Iterator<Item = Option<&'a str>> + 'a {
        array.iter()
    }
}
