//! A record of OpenTelemetry from what is known: the same as a line says, with types and names of the conventions.

use std::time::Duration;

use http::Method;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord, SeverityNumber},
};
use sluice_config::plan::{AccessFormat, Field};

use super::{
    line::{Known, Look},
    value::{Value, path_of, short},
};
use crate::{method, outside::Machine};

/// What the record itself says, so that its body need not.
const ELSEWHERE: [Field; 3] = [Field::Time, Field::TraceId, Field::SpanId];
/// What is found again by its name in all signals.
const ATTRIBUTES: [(Field, &str); 7] = [
    (Field::Method, "http.request.method"),
    (Field::Status, "http.response.status_code"),
    (Field::Route, "http.route"),
    (Field::Error, "error.type"),
    (Field::RequestId, "sluice.request_id"),
    (Field::Upstream, "sluice.upstream"),
    (Field::Generation, "sluice.generation"),
];

impl Look {
    /// The record of something that is over.
    pub(super) fn record(&self, known: &impl Known) -> LogRecord {
        let body = match &self.format {
            AccessFormat::Json => self.fields(known),
            AccessFormat::Line { .. } => string(&self.text(known)),
        };
        let began = match known.value(Field::Time) {
            Value::Time(time) => nanos(time),
            _ => 0,
        };
        let severity = if failed(known) { SeverityNumber::Error } else { SeverityNumber::Info };
        let mut record = LogRecord {
            time_unix_nano: began,
            observed_time_unix_nano: nanos(Machine::wall_clock_now()),
            severity_number: severity.into(),
            severity_text: if failed(known) { "ERROR" } else { "INFO" }.to_owned(),
            body: Some(body),
            attributes: ATTRIBUTES.iter().filter_map(|(field, key)| self.attribute(*field, key, known)).collect(),
            event_name: "sluice.access".to_owned(),
            ..LogRecord::default()
        };
        if let Some(place) = known.place() {
            record.trace_id = place.trace_id().to_bytes().to_vec();
            record.span_id = place.span_id().to_bytes().to_vec();
            record.flags = place.trace_flags().to_u8().into();
        }
        record
    }

    /// What is not known is left out.
    fn fields(&self, known: &impl Known) -> AnyValue {
        let field = |field: &Field| Some(pair(field.name(), any(&self.value(*field, known))?));
        let fields = Field::ALL.iter().filter(|field| !ELSEWHERE.contains(field));
        list_of(fields.filter_map(field).collect())
    }

    fn attribute(&self, field: Field, key: &str, known: &impl Known) -> Option<KeyValue> {
        let value = match (field, self.value(field, known)) {
            (Field::Method, Value::Text(name)) => {
                string(Method::from_bytes(name.as_bytes()).as_ref().map_or("_OTHER", method::known))
            }
            // There was no answer.
            (Field::Status, Value::Number(0)) => return None,
            (_, value) => any(&value)?,
        };
        Some(pair(key, value))
    }
}

/// Nothing came of it. Who goes away has their reasons, which are not ours.
fn failed(known: &impl Known) -> bool {
    let error = match known.value(Field::Error) {
        Value::Text(token) => Some(token != "client_closed"),
        _ => None,
    };
    match known.value(Field::Status) {
        Value::Number(0) => error.unwrap_or(true),
        Value::Number(status) => status >= 500,
        _ => error.unwrap_or(false),
    }
}

/// `None` for what is not known.
fn any(value: &Value<'_>) -> Option<AnyValue> {
    Some(match value {
        _ if value.is_absent() => return None,
        Value::Text(text) => string(text),
        Value::Number(number) => of(any_value::Value::IntValue(i64::try_from(*number).unwrap_or(i64::MAX))),
        Value::Flag(flag) => of(any_value::Value::BoolValue(*flag)),
        Value::Micros(time) => of(any_value::Value::DoubleValue(micros(*time))),
        Value::Chain(exchange) => {
            let filters = exchange.ran().map(|ran| {
                list_of(vec![
                    pair("filter", string(ran.filter)),
                    pair("digest", string(&ran.digest.short())),
                    pair("us", of(any_value::Value::DoubleValue(micros(ran.used)))),
                    pair("outcome", string(ran.outcome.name())),
                ])
            });
            of(any_value::Value::ArrayValue(ArrayValue { values: filters.collect() }))
        }
        Value::Properties(exchange) => {
            let set = exchange.set_properties();
            list_of(set.map(|(path, value)| pair(&path_of(path), string(&String::from_utf8_lossy(value)))).collect())
        }
        Value::Absent | Value::Time(_) | Value::Address(_) => {
            let mut text = String::new();
            value.text(&mut text);
            string(&text)
        }
    })
}

fn of(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn list_of(values: Vec<KeyValue>) -> AnyValue {
    of(any_value::Value::KvlistValue(KeyValueList { values }))
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Cut as in a line; nothing is escaped, as nothing in it can end it.
fn string(text: &str) -> AnyValue {
    let (kept, cut) = short(text);
    of(any_value::Value::StringValue(if cut { format!("{kept}…") } else { kept.to_owned() }))
}

/// Tenths of a microsecond, as lines have them.
#[allow(clippy::cast_precision_loss, reason = "no request takes so long")]
fn micros(time: Duration) -> f64 {
    (time.as_nanos() / 100) as f64 / 10.0
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
