//! Metrics that filters define: any bytes may stand in their names, and none of them breaks the page.

use std::collections::HashMap;

use sluice_host::{MetricSample, MetricType};

use super::{
    page::{Family, Labels, Page, Value},
    to_f64,
};

const PREFIX: &str = "sluice.custom.";
const HELP: &str = "Defined by a filter";

/// Names that differ only in characters that a name cannot have become one metric.
pub(super) fn add(page: &mut Page, samples: &[MetricSample]) {
    let mut families: Vec<Family> = Vec::new();
    let mut known = HashMap::new();
    for sample in samples {
        let kind = sample.kind as u32;
        let base = word(&sample.name);
        let base =
            if sample.kind == MetricType::Counter { base.strip_suffix("_total").unwrap_or(&base) } else { &base };
        let at = *known.entry((kind, base.to_owned())).or_insert_with(|| {
            families.push(Family::new(format!("{PREFIX}{base}"), "", HELP));
            families.len() - 1
        });
        if let Some(family) = families.get_mut(at) {
            family.put(labels(sample), value(sample));
        }
    }
    families.into_iter().for_each(|family| page.add(family));
}

fn value(sample: &MetricSample) -> Value {
    match sample.kind {
        MetricType::Counter => Value::Count(sample.value),
        #[allow(clippy::cast_precision_loss, reason = "whoever reads the page loses the same bits")]
        MetricType::Gauge => Value::Level(sample.value.cast_signed() as f64),
        MetricType::Histogram => Value::spread(to_f64(sample.sum), vec![(f64::INFINITY, sample.value)]),
    }
}

fn labels(sample: &MetricSample) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in &sample.labels {
        let name = label(name);
        let taken = |name: &str| labels.iter().any(|(known, _)| known == name);
        let free = (2..).map(|number| format!("{name}_{number}")).find(|name| !taken(name));
        let name = if taken(&name) { free.unwrap_or_default() } else { name };
        labels.push((name, value.to_string()));
    }
    labels.sort();
    labels
}

/// A name for a label. Those with a meaning of their own and those that begin with two underscores are not for us.
fn label(name: &str) -> String {
    let name = word(name);
    let name = if name.starts_with("__") { name.trim_start_matches('_') } else { &name };
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || ["le", "quantile"].contains(&name) {
        return format!("label_{name}");
    }
    name.to_owned()
}

/// What a name may hold; anything else becomes an underscore.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn sample(kind: MetricType, name: &str, labels: &[(&str, &str)], value: u64) -> MetricSample {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        MetricSample { name: name.into(), labels, kind, value, sum: value.wrapping_mul(10) }
    }

    fn text(samples: &[MetricSample]) -> String {
        let mut page = Page::default();
        page.add(Family::new("sluice.generation", "", "The generation that serves").with([], Value::Level(1.0)));
        add(&mut page, samples);
        page.text().expect("a page")
    }

    /// Every line by its name and labels; fails on a line that no reader of the format would take.
    fn lines(text: &str) -> Vec<(String, f64)> {
        let name = r"[a-zA-Z_:][a-zA-Z0-9_:]*";
        let label = r#"[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*""#;
        let line = format!(r"^({name}(?:\{{{label}(?:,{label})*\}})?) (\S+)$");
        let (line, comment) = (
            regex::Regex::new(&line).expect("a pattern"),
            regex::Regex::new(&format!("^# (HELP {name} .*|TYPE {name} (counter|gauge|histogram))$"))
                .expect("a pattern"),
        );
        assert!(text.ends_with('\n'));
        let values = text.split_terminator('\n').filter(|l| !comment.is_match(l)).map(|l| {
            let found = line.captures(l).unwrap_or_else(|| panic!("no line of a page: {l:?}"));
            (found[1].to_owned(), found[2].parse().unwrap_or_else(|_| panic!("no number: {l:?}")))
        });
        let values: Vec<_> = values.collect();
        let names: BTreeSet<_> = values.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), values.len(), "a series stands there twice:\n{text}");
        let types: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE ")).collect();
        assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len(), "a family stands there twice:\n{text}");
        values
    }

    #[test]
    fn each_kind_is_shown_with_its_labels() {
        let shown = text(&[
            sample(MetricType::Counter, "hits_total", &[("path", "/")], 3),
            sample(MetricType::Gauge, "level", &[], (-2_i64).cast_unsigned()),
            sample(MetricType::Histogram, "sizes", &[], 4),
        ]);
        for line in [
            "# TYPE sluice_custom_hits_total counter\nsluice_custom_hits_total{path=\"/\"} 3\n",
            "# TYPE sluice_custom_level gauge\nsluice_custom_level -2.0\n",
            "sluice_custom_sizes_bucket{le=\"+Inf\"} 4\nsluice_custom_sizes_sum 40.0\nsluice_custom_sizes_count 4\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
        assert_eq!(lines(&shown).len(), 6);
    }

    #[test]
    fn hostile_names_make_a_page_like_any_other() {
        let nasty = "a\"b\\c\nd{}=,# TYPE x\u{0}\u{1F980}é";
        let shown = text(&[
            sample(MetricType::Counter, nasty, &[(nasty, nasty), (nasty, "again"), ("le", "1"), ("__x", "")], 1),
            sample(MetricType::Counter, "generation", &[("0", "x"), ("", "y")], 1),
            sample(MetricType::Counter, "x", &[], 1),
            sample(MetricType::Gauge, "x_total", &[], 1),
            sample(MetricType::Histogram, "x_total", &[], 1),
            sample(MetricType::Gauge, "x_total_sum", &[], 1),
            sample(MetricType::Gauge, "x_total_2", &[], 1),
        ]);
        assert!(lines(&shown).len() >= 9, "{shown}");
        assert!(shown.contains("a_b_c_d"), "{shown}");
        assert!(shown.contains(r#"="a\"b\\c\nd{}=,# TYPE x"#), "{shown}");
    }

    #[test]
    fn names_that_become_the_same_become_one() {
        let counts = ["a.b", "a-b", "a_b"].map(|name| sample(MetricType::Counter, name, &[("l.x", "1")], 5));
        assert!(text(&counts).contains("sluice_custom_a_b_total{l_x=\"1\"} 15\n"));
    }

    #[test]
    fn ten_thousand_names_are_ten_thousand_lines() {
        let many: Vec<_> = (0..10_000).map(|n| sample(MetricType::Gauge, &format!("n\"{n}\n"), &[], n)).collect();
        assert_eq!(lines(&text(&many)).len(), 10_001);
    }
}
