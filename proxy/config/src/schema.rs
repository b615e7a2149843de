//! The JSON Schema of the file, made from the same declarations as its reader.

use serde_json::{Value, json};

use crate::{file::File, shape::Shape};

/// JSON Schema (2020-12) of a configuration file, for editors and for `sluice schema`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sluicegate configuration",
    });
    if let (Value::Object(schema), Value::Object(file)) = (&mut schema, File::schema()) {
        schema.extend(file);
        let variable = json!({
            "variable": {
                "type": "string",
                "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
                "description": "Text with an environment variable, `${NAME}` or `${NAME:-default}`."
            }
        });
        schema.insert("$defs".into(), variable);
    }
    schema
}
