//! `json`: the completion is one JSON document, valid under a schema where one is given.

use super::ScoreError;
use super::extract::fenced;
use super::judgement::{Judgement, clip};
use crate::suite::Json;
use jsonschema::Validator;
use serde_json::Value;

/// Accepts a text that is one JSON document, or that holds exactly one in fenced blocks (prose around the fence is
/// allowed, prose around bare JSON is not: `answer: {take: json}` on the scorer allows it). A schema may only refer to
/// what is inside it or to the drafts' own meta-schemas; nothing is fetched.
#[derive(Debug)]
pub(super) struct JsonScorer {
    schema: Option<Validator>,
}

impl JsonScorer {
    pub(super) fn new(spec: &Json) -> Result<Self, ScoreError> {
        let compile = |schema: &Value| {
            jsonschema::options().offline().build(schema).map_err(|error| ScoreError::Schema {
                reason: located(&error.to_string(), error.instance_path().as_str()),
            })
        };
        Ok(Self { schema: spec.schema.as_ref().map(compile).transpose()? })
    }

    pub(super) fn judge(&self, text: &str) -> Judgement {
        let document = match the_document(text) {
            Ok(document) => document,
            Err(reason) => return Judgement::pass(false, || reason),
        };
        let violation = self.schema.as_ref().and_then(|schema| schema.iter_errors(&document).next());
        Judgement::pass(violation.is_none(), || match violation {
            Some(error) => located(&clip(&error.to_string()), error.instance_path().as_str()),
            None => String::new(),
        })
    }
}

/// The one document of a text, or why there is not exactly one.
fn the_document(text: &str) -> Result<Value, String> {
    let whole = match serde_json::from_str(text.trim()) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let blocks = fenced(text);
    let Some(first) = blocks.first() else { return Err(format!("not JSON: {whole}")) };
    let mut documents: Vec<Value> = blocks.iter().filter_map(|block| serde_json::from_str(block).ok()).collect();
    match (documents.len(), documents.pop()) {
        (1, Some(document)) => Ok(document),
        (0, _) => match serde_json::from_str::<Value>(first) {
            Err(error) => Err(format!("not JSON inside the fence: {error}")),
            Ok(_) => Err("not JSON".to_owned()),
        },
        (count, _) => Err(format!("{count} JSON documents, where one is wanted")),
    }
}

fn located(message: &str, path: &str) -> String {
    if path.is_empty() { format!("at the root: {message}") } else { format!("at {path}: {message}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::ScoreValue;
    use serde_json::json;

    fn judge(schema: Option<Value>, text: &str) -> Judgement {
        JsonScorer::new(&Json { schema }).unwrap().judge(text)
    }

    #[test]
    fn wants_exactly_one_document_bare_or_fenced() {
        for text in ["{\"a\": 1}", " [1] ", "```json\n{\"a\": 1}\n```", "Here:\n```\n{}\n```\nDone.", "null"] {
            assert_eq!(judge(None, text).value, ScoreValue::Pass(true), "{text}");
        }
        for text in
            ["", "Here: {\"a\": 1}", "{} {}", "{'a': 1}", "```\n{}\n```\n```\n{}\n```", "```json\n{\"a\": \n```", "NaN"]
        {
            assert_eq!(judge(None, text).value, ScoreValue::Pass(false), "{text}");
        }
    }

    #[test]
    fn names_the_first_violation_with_its_path() {
        let schema =
            json!({"type": "object", "properties": {"items": {"items": {"type": "integer"}}}, "required": ["id"]});
        assert_eq!(judge(Some(schema.clone()), "{\"id\": 1, \"items\": [1, 2]}").value, ScoreValue::Pass(true));
        let wrong = judge(Some(schema.clone()), "{\"id\": 1, \"items\": [1, \"two\"]}");
        assert_eq!(wrong.value, ScoreValue::Pass(false));
        insta::assert_snapshot!(wrong.explanation, @r#"at /items/1: "two" is not of type "integer""#);
        insta::assert_snapshot!(judge(Some(schema), "{}").explanation, @r#"at the root: "id" is a required property"#);
    }

    #[test]
    fn says_why_a_text_is_not_json() {
        insta::assert_snapshot!(judge(None, "Sure! {}").explanation, @"not JSON: expected value at line 1 column 1");
        insta::assert_snapshot!(judge(None, "```\n{\n```").explanation,
            @"not JSON inside the fence: EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(judge(None, "```\n1\n```\n```\n2\n```").explanation, @"2 JSON documents, where one is wanted");
    }

    #[test]
    fn refuses_a_bad_schema_and_remote_references() {
        for schema in [
            json!({"type": "strin"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/$defs/missing"}),
        ] {
            assert!(matches!(JsonScorer::new(&Json { schema: Some(schema) }), Err(ScoreError::Schema { .. })));
        }
        let inside = json!({"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"});
        assert_eq!(judge(Some(inside), "\"x\"").value, ScoreValue::Pass(false));
    }
}
