//! What the admin listener answered, in words for the command line.

use serde_json::Value;

use super::Call;

/// `None` for what is no answer to this.
pub(super) fn of(call: &Call, answer: &Value) -> Option<String> {
    match call {
        Call::Reload | Call::Anew { .. } | Call::Rollback { .. } => swapped(answer),
        Call::Filters => filters(answer),
        Call::Disable { filter, .. } => switched(answer, filter, "disabled: no new request meets it"),
        Call::Enable { filter } => switched(answer, filter, "enabled"),
        Call::Drain { .. } => drain(answer),
    }
}

fn swapped(answer: &Value) -> Option<String> {
    let generation = answer["generation"].as_u64()?;
    let filters = answer["filters"].as_object().into_iter().flatten().map(|(name, digest)| match digest.as_str() {
        Some(digest) => format!("{name} is {}", digest.get(..19).unwrap_or(digest)),
        None => format!("{name} is gone"),
    });
    let filters: Vec<_> = filters.collect();
    let filters = if filters.is_empty() { "no filter is another".to_owned() } else { filters.join(", ") };
    Some(format!("generation {generation} serves: {filters} (built in {} ms)", answer["total_ms"]))
}

fn switched(answer: &Value, filter: &str, how: &str) -> Option<String> {
    let generation = answer["generation"].as_u64()?;
    Some(format!("{filter} is {how} (generation {generation} serves)"))
}

fn drain(answer: &Value) -> Option<String> {
    let left = answer["in_flight"].as_u64()?;
    Some(match answer["draining"].as_bool()? {
        true => format!("draining: `/ready` says no; requests are served, {left} now"),
        false => "not draining: `/ready` says what it finds".to_owned(),
    })
}

/// One line for each filter, in columns.
fn filters(answer: &Value) -> Option<String> {
    let head = ["FILTER", "VERSION", "STATE", "EXCHANGES", "CPU", "TRAPS", "MEMORY"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(answer["filters"].as_array()?.iter().map(row)).collect();
    let mut width = [0; 7];
    for row in &rows {
        width.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(width).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    Some(rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn row(filter: &Value) -> [String; 7] {
    let text = |key: &str| filter[key].as_str().unwrap_or("-").to_owned();
    let each = |key: &str| filter[key].as_object().into_iter().flatten().map(|(_, value)| value.clone());
    // From a zero of our own: a sum of no numbers is a negative one.
    let cpu = each("phases").filter_map(|phase| phase["cpu_ms"].as_f64()).fold(0.0, |sum, ms| sum + ms);
    let traps: u64 = each("traps").filter_map(|count| count.as_u64()).sum();
    let is = |key: &str| filter[key].as_bool().unwrap_or(false);
    let states =
        [("service", "service"), ("disabled", "disabled"), ("quarantined", "quarantined"), ("pinned", "brought back")];
    let states: Vec<_> = states.into_iter().filter(|(key, _)| is(key)).map(|(_, word)| word).collect();
    let digest = text("digest");
    [
        text("name"),
        digest.get(..19).unwrap_or(&digest).to_owned(),
        if states.is_empty() { "serves".to_owned() } else { states.join(", ") },
        filter["exchanges"].to_string(),
        format!("{cpu:.1} ms"),
        traps.to_string(),
        format!("{} KiB", filter["memory_bytes"].as_u64().unwrap_or(0) / 1024),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_swap_is_told_in_words() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let answer = json!({ "generation": 3, "filters": { "a": digest, "b": null }, "total_ms": 1.5 });
        let told = |answer: &Value| of(&Call::Reload, answer);
        let wanted = "generation 3 serves: a is sha256:abababababab, b is gone (built in 1.5 ms)";
        assert_eq!(told(&answer).as_deref(), Some(wanted));
        let answer = json!({ "generation": 4, "filters": {}, "total_ms": 0.5 });
        assert_eq!(told(&answer).as_deref(), Some("generation 4 serves: no filter is another (built in 0.5 ms)"));
        assert_eq!(told(&json!({})), None);
    }

    #[test]
    fn filters_stand_in_columns() {
        let filter = |name: &str, disabled: bool| {
            json!({ "name": name, "digest": format!("sha256:{}", "ab".repeat(32)), "disabled": disabled, "quarantined": disabled,
                    "exchanges": 12, "phases": { "a": { "cpu_ms": 1.25 }, "b": { "cpu_ms": 2.0 } }, "traps": { "trap": 2 },
                    "memory_bytes": 65536 })
        };
        let answer = json!({ "filters": [filter("a", false), filter("longer", true)] });
        let wanted = "\
FILTER  VERSION              STATE                  EXCHANGES  CPU     TRAPS  MEMORY
a       sha256:abababababab  serves                 12         3.2 ms  2      64 KiB
longer  sha256:abababababab  disabled, quarantined  12         3.2 ms  2      64 KiB";
        assert_eq!(of(&Call::Filters, &answer).as_deref(), Some(wanted));
        let idle =
            json!({ "name": "n", "digest": "sha256:ab", "exchanges": 0, "phases": {}, "traps": {}, "memory_bytes": 0 });
        let told = of(&Call::Filters, &json!({ "filters": [idle] })).expect("a list");
        assert!(told.ends_with("n       sha256:ab  serves  0          0.0 ms  0      0 KiB"), "{told}");
    }
}
