//! Two records side by side, field by field.

use crate::{
    known::KNOWN,
    plan::Exchange,
    play::Played,
    seen::{Record, Seen},
};

/// What one exchange is known by while it is compared.
pub struct Case<'a> {
    /// `group: chain: exchange`.
    pub name: &'a str,
    /// What client and origin sent, as they sent it; to tell what a filter touched.
    pub sent: String,
    pub replied: String,
    pub envoy: Record,
    pub sluice: Record,
    /// Names of the known differences, and of the rows of their tables, that it showed.
    pub met: Vec<String>,
}

/// Takes away what is known, and says what is left.
pub fn compare(case: &mut Case<'_>) -> Vec<String> {
    for known in KNOWN {
        let before = (case.envoy.clone(), case.sluice.clone());
        (known.level)(case);
        if before != (case.envoy.clone(), case.sluice.clone()) {
            case.met.push(known.name.to_owned());
        }
    }
    let (envoy, sluice) = (&case.envoy, &case.sluice);
    let mut left = Vec::new();
    messages("client", &envoy.client, &sluice.client, &mut left);
    field("client connection", &envoy.connection, &sluice.connection, &mut left);
    messages("upstream", &envoy.upstream, &sluice.upstream, &mut left);
    messages("service", &envoy.service, &sluice.service, &mut left);
    lines("metrics", &envoy.metrics, &sluice.metrics, &mut left);
    lines("guest log", &envoy.guest, &sluice.guest, &mut left);
    if !left.is_empty() && !case.met.is_empty() {
        left.push(format!("(known, and taken away before: {})", case.met.join("; ")));
    }
    left
}

/// The records of one exchange of a chain that was played; index 0 is the start.
pub fn case<'a>(name: &'a str, index: usize, exchange: Option<&Exchange>, envoy: &Played, sluice: &Played) -> Case<'a> {
    let record = |played: &Played| match index.checked_sub(1) {
        None => Record { guest: played.start.clone(), ..Record::default() },
        Some(index) => played.records[index].clone(),
    };
    let first = |pieces: &[Vec<u8>]| String::from_utf8_lossy(&pieces[0]).into_owned();
    let sent = exchange.map(|e| first(&e.pieces)).unwrap_or_default();
    let replied = exchange.map(|e| first(&e.reply.pieces)).unwrap_or_default();
    Case { name, sent, replied, envoy: record(envoy), sluice: record(sluice), met: Vec::new() }
}

fn messages(who: &str, envoy: &[Seen], sluice: &[Seen], left: &mut Vec<String>) {
    let firsts = |all: &[Seen]| all.iter().map(|m| m.line.clone()).collect::<Vec<_>>();
    if envoy.len() != sluice.len() {
        lines(&format!("{who} messages"), &firsts(envoy), &firsts(sluice), left);
    }
    for (index, (e, s)) in envoy.iter().zip(sluice).enumerate() {
        let at = if index == 0 { who.to_owned() } else { format!("{who}[{index}]") };
        field(&format!("{at} line"), &e.line, &s.line, left);
        lines(&format!("{at} headers"), &headers(&e.headers), &headers(&s.headers), left);
        field(&format!("{at} framing"), &e.framing, &s.framing, left);
        field(&format!("{at} body"), &shown(&e.body), &shown(&s.body), left);
        lines(&format!("{at} trailers"), &headers(&e.trailers), &headers(&s.trailers), left);
        field(&format!("{at} end"), &e.end, &s.end, left);
    }
}

fn headers(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    fields.iter().map(|(n, v)| format!("{n}: {}", v.escape_ascii())).collect()
}

fn shown(body: &[u8]) -> String {
    if body.len() > 300 {
        return format!("{}... ({} bytes)", body[..300].escape_ascii(), body.len());
    }
    body.escape_ascii().to_string()
}

fn field(what: &str, envoy: &str, sluice: &str, left: &mut Vec<String>) {
    if envoy != sluice {
        left.push(format!("{what}\n    envoy:  {envoy}\n    sluice: {sluice}"));
    }
}

fn lines(what: &str, envoy: &[String], sluice: &[String], left: &mut Vec<String>) {
    if envoy != sluice {
        left.push(format!("{what}\n{}", side_by_side(envoy, sluice).join("\n")));
    }
}

/// The shortest list of lines that only one has, with those that both have between them.
fn side_by_side(envoy: &[String], sluice: &[String]) -> Vec<String> {
    let mut longest = vec![vec![0_usize; sluice.len() + 1]; envoy.len() + 1];
    for i in (0..envoy.len()).rev() {
        for j in (0..sluice.len()).rev() {
            longest[i][j] = if envoy[i] == sluice[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < envoy.len() || j < sluice.len() {
        if i < envoy.len() && j < sluice.len() && envoy[i] == sluice[j] {
            out.push(format!("            {}", envoy[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == sluice.len() || (i < envoy.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            out.push(format!("    envoy:  {}", envoy[i]));
            i += 1;
        } else {
            out.push(format!("    sluice: {}", sluice[j]));
            j += 1;
        }
    }
    out
}
