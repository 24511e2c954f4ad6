//! JSON Schemas that a completion is held to, checked before anything is asked.

use serde_json::{Map, Value};

/// What is wrong with a JSON Schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The JSON pointer to the part concerned; empty for the whole.
    pub pointer: String,
    /// What is wrong with it.
    pub reason: String,
    /// How to mend it.
    pub help: &'static str,
}

/// The first problem of a JSON Schema: it does not compile (a reference may only lead inside it or to the drafts'
/// meta-schemas; nothing is fetched), or it plainly admits nothing. That it admits nothing is seen where a part says so
/// by itself (`false`, `enum: []`, `not: {}`, a minimum above its maximum), not where parts only contradict each other.
///
/// ```
/// use tripos::sampling::check_schema;
/// assert_eq!(check_schema(&serde_json::json!({"type": "object"})), None);
/// assert_eq!(check_schema(&serde_json::json!({"enum": []})).unwrap().reason, "`enum` is empty, so nothing satisfies it");
/// ```
#[must_use]
pub fn check_schema(schema: &Value) -> Option<SchemaProblem> {
    if let Some((pointer, reason)) = nothing(schema) {
        return Some(SchemaProblem { pointer, reason, help: "no completion could end: let it admit something" });
    }
    let error = jsonschema::options().offline().build(schema).err()?;
    let help = "see https://json-schema.org; a reference leads inside the schema, as `#/$defs/name`";
    Some(SchemaProblem { pointer: error.instance_path().as_str().to_owned(), reason: error.to_string(), help })
}

/// Where and why a schema admits nothing.
fn nothing(schema: &Value) -> Option<(String, String)> {
    match schema {
        Value::Bool(false) => Some((String::new(), "`false` is satisfied by nothing".to_owned())),
        Value::Object(schema) => own(schema).or_else(|| inside(schema)),
        _ => None,
    }
}

/// What a schema says by itself.
fn own(schema: &Map<String, Value>) -> Option<(String, String)> {
    let list_is_empty = |key: &str| schema.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty);
    if let Some(key) = ["enum", "type", "anyOf", "oneOf"].into_iter().find(|key| list_is_empty(key)) {
        return Some((format!("/{key}"), format!("`{key}` is empty, so nothing satisfies it")));
    }
    let everything = |value: &Value| *value == Value::Bool(true) || value.as_object().is_some_and(Map::is_empty);
    if schema.get("not").is_some_and(everything) {
        return Some(("/not".to_owned(), "`not` excludes everything".to_owned()));
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let bounds = [
        ("string", "minLength", "maxLength"),
        ("array", "minItems", "maxItems"),
        ("object", "minProperties", "maxProperties"),
        ("number", "minimum", "maximum"),
        ("integer", "minimum", "maximum"),
    ];
    // Of another type, a value is not bound by them.
    let of_type = |name: &str| schema.get("type").is_some_and(|kind| kind == name);
    let crossed = bounds
        .into_iter()
        .find(|(kind, low, high)| of_type(kind) && number(low).zip(number(high)).is_some_and(|(low, high)| low > high));
    crossed.map(|(_, low, high)| (format!("/{low}"), format!("`{low}` is above `{high}`, so nothing satisfies it")))
}

/// What the parts of a schema that every value must satisfy say.
fn inside(schema: &Map<String, Value>) -> Option<(String, String)> {
    let below = |key: &str, (pointer, reason)| (format!("/{key}{pointer}"), reason);
    let listed = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten().map(nothing);
    let all = listed("allOf").enumerate().find_map(|(i, found)| Some(below(&format!("allOf/{i}"), found?)));
    if all.is_some() {
        return all;
    }
    for key in ["anyOf", "oneOf"] {
        let found: Option<Vec<_>> = listed(key).collect();
        if let Some(first) = found.and_then(|found| found.into_iter().next()) {
            return Some(below(&format!("{key}/0"), first));
        }
    }
    if schema.get("type").is_none_or(|kind| kind != "object") {
        return None;
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let properties = schema.get("properties").and_then(Value::as_object)?;
    required.into_iter().find_map(|name| Some(below(&format!("properties/{name}"), nothing(properties.get(name)?)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(schema: &Value) -> String {
        check_schema(schema).map_or_else(String::new, |p| format!("{}: {}", p.pointer, p.reason))
    }

    #[test]
    fn a_schema_that_plainly_admits_nothing_is_refused_where_it_says_so() {
        insta::assert_snapshot!(problem(&json!(false)), @": `false` is satisfied by nothing");
        insta::assert_snapshot!(problem(&json!({"type": "object", "required": ["a"], "properties": {"a": {"enum": []}}})), @"/properties/a/enum: `enum` is empty, so nothing satisfies it");
        insta::assert_snapshot!(problem(&json!({"allOf": [true, {"not": {}}]})), @"/allOf/1/not: `not` excludes everything");
        insta::assert_snapshot!(problem(&json!({"anyOf": [false, {"type": "string", "minLength": 3, "maxLength": 2}]})), @"/anyOf/0: `false` is satisfied by nothing");
        for schema in [
            json!(true),
            json!({}),
            json!({"anyOf": [false, true]}),
            json!({"type": "object", "properties": {"a": false}}),
            json!({"minLength": 3, "maxLength": 2}),
            json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {}}}),
        ] {
            assert_eq!(check_schema(&schema), None, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_does_not_compile_is_refused() {
        insta::assert_snapshot!(problem(&json!({"properties": {"a": {"type": "strin"}}})), @r#"/properties/a/type: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword"#);
        insta::assert_snapshot!(problem(&json!({"$ref": "#/$defs/missing"})), @": Pointer '/$defs/missing' does not exist");
        assert!(check_schema(&json!({"$ref": "https://example.com/schema.json"})).is_some());
        assert!(check_schema(&json!([1])).is_some());
    }
}
