//! The JSON Schema of rule files, for editors: made from the types, so that it cannot lie for long.

use serde_json::{Value, json};

use crate::rollout::Rollout;

/// What rewrites `rollout-rules/schema.json` after the types changed.
pub const SCHEMA_COMMAND: &str = "HUIDU_BLESS=1 cargo test -p huidu-core the_committed_schema";

/// The JSON Schema of a rule file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Rollout).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$id".to_owned(),
            json!("https://huidu.example/rollout-rules/schema.json"),
        );
        object.insert("title".to_owned(), json!("Rollout rules of huidu"));
    }
    schema
}
