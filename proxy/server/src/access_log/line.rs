//! A line from what is known: a JSON object of it, or the pieces of a format.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use sluice_config::plan::{self, AccessFormat, AccessTo, Field, Piece};

use super::{
    redact::{REDACTED, Redactor},
    value::Value,
};

/// Something that has a line.
pub(super) trait Known {
    fn value(&self, field: Field) -> Value<'_>;

    /// All values of a header field, with commas between them.
    fn header(&self, side: Side, name: &str) -> Value<'_>;

    /// Where it stands in a trace.
    fn place(&self) -> Option<SpanContext>;
}

/// Which head.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Request,
    Response,
}

/// How a line looks.
pub(super) struct Look {
    pub(super) to: AccessTo,
    pub(super) format: AccessFormat,
    redact: Arc<Redactor>,
}

impl Look {
    pub(super) fn new(plan: &plan::AccessLog, redact: Arc<Redactor>) -> Self {
        Self { to: plan.to, format: plan.format.clone(), redact }
    }

    /// With its end.
    pub(super) fn line(&self, known: &impl Known) -> String {
        let mut out = self.text(known);
        out.push('\n');
        out
    }

    pub(super) fn text(&self, known: &impl Known) -> String {
        let mut out = String::with_capacity(1024);
        match &self.format {
            AccessFormat::Json => self.json(&mut out, known),
            AccessFormat::Line { pieces, .. } => pieces.iter().for_each(|piece| self.piece(&mut out, piece, known)),
        }
        out
    }

    /// What is not known is left out.
    fn json(&self, out: &mut String, known: &impl Known) {
        out.push('{');
        for field in Field::ALL {
            let value = self.value(*field, known);
            if value.is_absent() {
                continue;
            }
            if out.len() > 1 {
                out.push(',');
            }
            out.extend(["\"", field.name(), "\":"]);
            value.json(out);
        }
        out.push('}');
    }

    fn piece(&self, out: &mut String, piece: &Piece, known: &impl Known) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Field(field) => self.value(*field, known).text(out),
            Piece::RequestHeader(name) => self.header(Side::Request, name, known).text(out),
            Piece::ResponseHeader(name) => self.header(Side::Response, name, known).text(out),
        }
    }

    pub(super) fn value<'a>(&self, field: Field, known: &'a impl Known) -> Value<'a> {
        match (field, known.value(field)) {
            (Field::Path, Value::Text(path)) => Value::Text(self.redact.target(path)),
            (_, value) => value,
        }
    }

    fn header<'a>(&self, side: Side, name: &str, known: &'a impl Known) -> Value<'a> {
        match known.header(side, name) {
            Value::Text(_) if self.redact.hides(name) => Value::Text(REDACTED.into()),
            // URLs, whose queries hold what those of paths hold.
            Value::Text(url) if ["referer", "location", "content-location"].contains(&name) => {
                Value::Text(self.redact.target(url))
            }
            value => value,
        }
    }
}
