//! Figures of several rounds: their median, and how far apart they lie.

use std::fmt;

/// What one thing came to in each round.
#[derive(Clone, Debug, Default)]
pub struct Figures(pub Vec<f64>);

impl Figures {
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// The least and the most.
    pub fn ends(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted.first().copied().unwrap_or(f64::NAN), sorted.last().copied().unwrap_or(f64::NAN))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// `median (least … most)`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return write!(f, "none") };
        write!(f, "{} ({} … {})", short(self.median()), short(*least), short(*most))
    }
}

/// The same figures against others, round by round: rounds that lie side by side met the same neighbours.
pub fn ratio(these: &Figures, others: &Figures) -> Figures {
    Figures(these.0.iter().zip(&others.0).map(|(a, b)| a / b).collect())
}

/// Three digits are all that a benchmark can tell.
fn short(figure: f64) -> String {
    match figure.abs() {
        a if a >= 100.0 => format!("{figure:.0}"),
        a if a >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
