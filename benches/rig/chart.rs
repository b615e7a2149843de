//! Charts as SVG, beside the report: bars for contenders, lines for what grows.

use std::{fmt::Write, fs};

use sluice_benches::Report;

const WIDTH: usize = 760;
const LABELS: usize = 270;
const LINE: usize = 22;

/// One bar: its label, and its least, median and most.
pub(crate) type Bar = (String, [f64; 3]);

/// Writes `<name>.svg` beside the report and shows it in it.
pub(crate) fn bars(report: &mut Report, name: &str, title: &str, bars: &[Bar]) {
    let most = bars.iter().map(|bar| bar.1[2]).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - 70) as f64 / most;
    let mut body = String::new();
    for (n, (label, [low, median, high])) in bars.iter().enumerate() {
        let y = 40 + n * LINE;
        let (x, middle) = (LABELS as f64, (y + LINE / 2 - 3) as f64);
        let colour = if label.contains("Sluice") { "#2f6f9f" } else { "#b0b4b8" };
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <path d=\"M{:.1} {middle}H{:.1}\" stroke=\"#222\"/>\
             <text x=\"{:.1}\" y=\"{}\">{median:.1}</text>",
            LABELS - 8,
            y + 13,
            escaped(label),
            median * scale,
            LINE - 6,
            x + low * scale,
            x + high * scale,
            x + high * scale + 6.0,
            y + 13,
        );
    }
    keep(report, name, title, 50 + bars.len() * LINE, &body);
}

/// A line through points whose first coordinate grows in powers: the axis is logarithmic.
pub(crate) fn line(report: &mut Report, name: &str, title: &str, points: &[(f64, f64)]) {
    let (height, left, bottom) = (260.0, 60.0, 220.0);
    let most = points.iter().map(|p| p.1).fold(f64::MIN_POSITIVE, f64::max);
    let log = |x: f64| x.max(1.0).ln();
    let (first, last) = (points.first().map_or(0.0, |p| log(p.0)), points.last().map_or(1.0, |p| log(p.0)));
    let at = |(x, y): (f64, f64)| {
        let part = (log(x) - first) / (last - first).max(f64::MIN_POSITIVE);
        (left + part * (WIDTH as f64 - left - 60.0), bottom - y / most * 160.0)
    };
    let mut body = format!("<path d=\"M{left} {bottom}H{}\" stroke=\"#222\"/>\n", WIDTH - 30);
    let mut path = String::new();
    for (n, point) in points.iter().enumerate() {
        let (x, y) = at(*point);
        let _ = write!(path, "{}{x:.1} {y:.1}", if n == 0 { "M" } else { "L" });
        let _ = writeln!(
            body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#2f6f9f\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y - 8.0,
            point.1,
            bottom + 16.0,
            point.0,
        );
    }
    let _ = writeln!(body, "<path d=\"{path}\" fill=\"none\" stroke=\"#2f6f9f\" stroke-width=\"2\"/>");
    keep(report, name, title, height as usize, &body);
}

fn keep(report: &mut Report, name: &str, title: &str, height: usize, body: &str) {
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"14\" font-weight=\"bold\">{}</text>\n{body}</svg>\n",
        escaped(title)
    );
    let file = format!("{}-{name}.svg", Report::today());
    let folder = Report::folder();
    fs::create_dir_all(&folder).expect("the folder of reports");
    fs::write(folder.join(&file), svg).expect("a chart");
    report.say(format!("\n![{title}]({file})\n"));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
