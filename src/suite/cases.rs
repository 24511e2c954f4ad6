//! `cases:` and `examples:` in their many shapes.

use super::file::{CaseEntry, CaseFile, Generate};
use super::probe::ProbeEntry;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_untagged::UntaggedEnumVisitor;
use serde_untagged::de::Error;
use std::collections::BTreeMap;

/// `cases:` and `examples:`.
#[derive(Debug, Clone)]
pub(super) enum Cases {
    /// A file of cases in our own shape (`.jsonl`, `.yaml`) or a CSV whose header names the variables.
    Path(String),
    /// Cases written in the suite.
    List(Vec<CaseEntry>),
    /// Other people's rows.
    File(CaseFile),
    /// Made by rule.
    Generate(Generate),
    /// Counterfactual pairs.
    Probe(ProbeEntry),
    /// Long texts, one case each.
    Text(TextFiles),
}

/// `{text: FILE}` or `{text: [FILES]}`: long texts for perplexity.
#[derive(Debug, Clone)]
pub(super) struct TextFiles {
    pub files: Vec<String>,
    pub stride: Option<u32>,
}

/// One file or several.
#[derive(Debug, Clone)]
struct Files(Vec<String>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a file name or a list of them")
            .string(|path| Ok(Self(vec![path.to_owned()])))
            .seq(|list| list.deserialize().map(Self))
            .deserialize(deserializer)
    }
}

/// The shapes that are maps, before it is known which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keyed {
    generate: Option<Generate>,
    probe: Option<ProbeEntry>,
    file: Option<String>,
    text: Option<Files>,
    vars: Option<BTreeMap<String, String>>,
    target: Option<String>,
    id: Option<String>,
    tags: Option<String>,
    limit: Option<usize>,
    stride: Option<u32>,
}

impl Keyed {
    fn cases(self) -> Result<Cases, Error> {
        let Self { generate, probe, file, text, vars, target, id, tags, limit, stride } = self;
        let shapes = [
            ("generate", generate.is_some()),
            ("probe", probe.is_some()),
            ("file", file.is_some()),
            ("text", text.is_some()),
        ];
        let given: Vec<&str> = shapes.iter().filter_map(|(name, given)| given.then_some(*name)).collect();
        if let [first, second, ..] = given[..] {
            return Err(Error::custom(format!("write `{first}:` or `{second}:`, not both")));
        }
        let columns = vars.is_some() || target.is_some() || id.is_some() || tags.is_some() || limit.is_some();
        let inside = if generate.is_some() { Some("generate") } else { probe.is_some().then_some("probe") };
        if let Some(shape) = inside.filter(|_| columns || stride.is_some()) {
            return Err(Error::custom(format!("`{shape}:` takes its settings inside, none beside it")));
        }
        if let Some(probe) = probe {
            return Ok(Cases::Probe(probe));
        }
        match (generate, file, text) {
            (.., Some(_)) if columns => Err(Error::custom("`text:` takes only `stride` beside it")),
            (_, Some(_), _) if stride.is_some() => Err(Error::custom("`stride` belongs beside `text:` only")),
            (Some(generate), ..) => Ok(Cases::Generate(generate)),
            (_, Some(file), _) => Ok(Cases::File(CaseFile { file, vars, target, id, tags, limit })),
            (.., Some(Files(files))) => Ok(Cases::Text(TextFiles { files, stride })),
            (None, None, None) => Err(Error::custom("write `generate:`, `probe:`, `file:` or `text:`")),
        }
    }
}

impl<'de> Deserialize<'de> for Cases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UntaggedEnumVisitor::new()
            .expecting("a file name, a list of cases, {generate: …}, {probe: …}, {file: …} or {text: …}")
            .string(|path| Ok(Self::Path(path.to_owned())))
            .seq(|list| list.deserialize().map(Self::List))
            .map(|map| map.deserialize::<Keyed>()?.cases())
            .deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::shape::Text;

    fn cases(yaml: &str) -> Result<Cases, String> {
        serde_yaml::from_str(yaml).map_err(|e| e.to_string())
    }

    #[test]
    fn cases_come_as_path_list_file_generator_or_text() {
        assert!(matches!(cases("a.jsonl").unwrap(), Cases::Path(p) if p == "a.jsonl"));
        let list = cases("[{vars: {q: hi}, target: 4}]").unwrap();
        assert!(matches!(list, Cases::List(l) if l[0].target == Some(Text("4".into()))));
        assert!(matches!(cases("{file: x.csv, target: y}").unwrap(), Cases::File(_)));
        assert!(matches!(cases("{generate: {count: 1, let: {}, case: {vars: {}}}}").unwrap(), Cases::Generate(_)));
        assert!(matches!(cases("{text: book.txt}").unwrap(), Cases::Text(t) if t.files == ["book.txt"]));
        assert!(matches!(cases("{probe: {swap: {}, case: {vars: {}}}}").unwrap(), Cases::Probe(_)));
        let text = cases("{text: [a.txt, b.txt], stride: 64}").unwrap();
        assert!(matches!(text, Cases::Text(t) if t.files == ["a.txt", "b.txt"] && t.stride == Some(64)));
    }

    #[test]
    fn shapes_do_not_mix() {
        let refused = |yaml: &str| cases(yaml).unwrap_err();
        insta::assert_snapshot!(refused("{generate: {count: 1, let: {}, case: {vars: {}}}, limit: 3}"), @"`generate:` takes its settings inside, none beside it");
        insta::assert_snapshot!(refused("{probe: {swap: {}, case: {vars: {}}}, limit: 3}"), @"`probe:` takes its settings inside, none beside it");
        insta::assert_snapshot!(refused("{file: a.csv, text: a.txt}"), @"write `file:` or `text:`, not both");
        insta::assert_snapshot!(refused("{text: a.txt, limit: 3}"), @"`text:` takes only `stride` beside it");
        insta::assert_snapshot!(refused("{file: a.csv, stride: 3}"), @"`stride` belongs beside `text:` only");
        insta::assert_snapshot!(refused("{vars: {a: b}}"), @"write `generate:`, `probe:`, `file:` or `text:`");
    }
}
