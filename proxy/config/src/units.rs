//! Durations and sizes: a whole number and its unit, so that nobody has to guess whether `30` is seconds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    node::{Kind, Node, Typed},
    reader::Cx,
    shape::{Shape, or_variable},
};

type Unit = (&'static str, u64);

/// In milliseconds, small to large.
const TIMES: &[Unit] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// In bytes; those by 1024 first, so that they are the ones shown.
const SIZES: &[Unit] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Milliseconds of an hour, for the ranges below.
pub(crate) const HOUR: u64 = 3_600_000;
/// Milliseconds of a second.
pub(crate) const SECOND: u64 = 1_000;
/// Bytes.
pub(crate) const KIB: u64 = 1 << 10;
/// Bytes.
pub(crate) const MIB: u64 = 1 << 20;
/// Bytes.
pub(crate) const GIB: u64 = 1 << 30;

/// A duration; the range is in milliseconds.
pub(crate) struct Time<const MIN: u64, const MAX: u64>(pub(crate) Duration);

/// A size; the range is in bytes.
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) usize);

impl<const MIN: u64, const MAX: u64> Shape for Time<MIN, MAX> {
    fn title() -> String {
        format!("a duration from {} to {}", show(MIN, TIMES), show(MAX, TIMES))
    }
    fn schema() -> Value {
        schema(TIMES)
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let help = "write a whole number and its unit: `10ms`, `1s`, `2m`, `1h`";
        quantity(node, cx, TIMES, MIN..=MAX, &Self::title(), help).map(|ms| Self(Duration::from_millis(ms)))
    }
}

impl<const MIN: u64, const MAX: u64> Shape for Size<MIN, MAX> {
    fn title() -> String {
        format!("a size from {} to {}", show(MIN, SIZES), show(MAX, SIZES))
    }
    fn schema() -> Value {
        schema(SIZES)
    }
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let help = "write a whole number and its unit: `512B`, `64KiB`, `1MiB`, also `KB` and `MB`";
        let bytes = quantity(node, cx, SIZES, MIN..=MAX, &Self::title(), help)?;
        usize::try_from(bytes).ok().map(Self)
    }
}

fn schema(units: &[Unit]) -> Value {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    or_variable(json!({ "type": "string", "pattern": format!("^[0-9]+({})$", names.join("|")) }))
}

/// The number in the smallest unit.
fn quantity(
    node: &Node,
    cx: &mut Cx<'_>,
    units: &[Unit],
    range: std::ops::RangeInclusive<u64>,
    title: &str,
    help: &str,
) -> Option<u64> {
    let Kind::Scalar(scalar) = &node.kind else {
        return cx.mismatch(node, title, help);
    };
    match scalar.typed() {
        Typed::Text(_) => {}
        Typed::Number(_) => {
            return cx.error(node.at, format!("`{}` has no unit", scalar.shown()), help);
        }
        _ => return cx.mismatch(node, title, help),
    }
    let digits = scalar.text.len() - scalar.text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = scalar.text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    // A number that does not fit is out of any range.
    let number = if number.is_empty() { None } else { Some(number.parse::<u64>().unwrap_or(u64::MAX)) };
    let (Some(factor), Some(number)) = (factor, number) else {
        return cx.error(node.at, format!("`{}` is not {}", scalar.shown(), article(title)), help);
    };
    let value = number.saturating_mul(factor);
    if !range.contains(&value) {
        return cx.error(node.at, format!("`{}` is out of range", scalar.shown()), format!("it takes {title}"));
    }
    Some(value)
}

/// `a duration from 1ms to 1h` -> `a duration`.
fn article(title: &str) -> &str {
    title.split_once(" from ").map_or(title, |(what, _)| what)
}

/// In the largest unit that divides it; the first ones win, so `64KiB` and not `65536B`.
fn show(value: u64, units: &[Unit]) -> String {
    let best = units
        .iter()
        .filter(|(_, factor)| {
            value > 0 && value.is_multiple_of(*factor) && (factor.is_power_of_two() || units == TIMES)
        })
        .max_by_key(|(_, factor)| *factor);
    let (unit, factor) = best.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}
