//! Labels of a metric, as filters write them into its name.

/// How filters write a label into a name, between its name and its value and behind it.
pub(super) const ASSIGN: &str = "=.=";
pub(super) const END: &str = ";.;";

/// Cuts a name as filters of Envoy and Istio write it, `name_label=.=value;.;label=.=value;.;rest`, into the name without
/// labels and the labels. The first label begins behind the last underscore before its value.
pub(super) fn split(name: &str) -> (Box<str>, Vec<(Box<str>, Box<str>)>) {
    let mut base = String::new();
    let mut labels = Vec::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once(ASSIGN) {
        let Some((value, behind)) = after.split_once(END) else { break };
        let (prefix, label) = match before.rsplit_once('_') {
            Some((prefix, label)) if labels.is_empty() => (prefix, label),
            _ => ("", before),
        };
        if label.is_empty() {
            break;
        }
        base.push_str(prefix);
        labels.push((label.into(), value.into()));
        rest = behind;
    }
    let rest = if base.is_empty() { rest.trim_start_matches('_') } else { rest };
    if !base.is_empty() && !rest.is_empty() && !rest.starts_with('_') {
        base.push('_');
    }
    base.push_str(rest);
    if base.is_empty() { (name.into(), Vec::new()) } else { (base.into(), labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cut_out_of_names() {
        let cut = |name: &str| {
            let (base, labels) = split(name);
            let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
            format!("{base} {}", labels.join(","))
        };
        assert_eq!(cut("plain_name"), "plain_name ");
        assert_eq!(cut("requests_method=.=GET;.;"), "requests method=GET");
        assert_eq!(
            cut("istio_reporter=.=source;.;code=.=200;.;_requests_total"),
            "istio_requests_total reporter=source,code=200"
        );
        assert_eq!(cut("a=.=b;.;c"), "c a=b");
        assert_eq!(cut("n_a=.=;.;"), "n a=");
        for strange in ["=.=", "a=.=b", ";.;", "=.=x;.;", "a=.=x;.;"] {
            assert!(!split(strange).0.is_empty(), "{strange}");
        }
    }
}
