//! Taking what serde refuses out of a document, so that the rest can be read; and the way back from what is left to
//! what was written.

use super::yaml::join;
use crate::error::nearest;
use serde_path_to_error::{Path as SerdePath, Segment};
use serde_yaml::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Index(usize),
    Key(String),
}

/// What was taken out of a document so that the rest could be read.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Original paths that were taken out.
    paths: BTreeSet<String>,
    /// Original indices taken out of each list, by the list's original path.
    indices: BTreeMap<String, BTreeSet<usize>>,
}

/// A value that serde refused.
#[derive(Debug)]
pub(super) struct Refused {
    steps: Vec<Step>,
    /// Its path in the document as the user wrote it.
    pub path: String,
}

impl Pruned {
    /// The value that an error is about, in what is left of the document.
    pub(super) fn refused(&self, left: &Value, path: &SerdePath, message: &str) -> Refused {
        let mut steps: Vec<Step> = path
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Map { key } => Some(Step::Key(key.clone())),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        // The path of an unknown field may end at the field, at its map, or (a scorer's) somewhere around that.
        if let Some(field) = unknown_field(message)
            && steps.last() != Some(&Step::Key(field.to_owned()))
            && let Some(around) = steps.iter().try_fold(left, |value, step| step.of(value))
        {
            steps.extend(way_to(field, around).unwrap_or_default());
        }
        let mut original = String::new();
        for step in &steps {
            match step {
                Step::Index(index) => original += &format!("[{}]", self.index(&original, *index)),
                Step::Key(key) => original = join(&original, key),
            }
        }
        Refused { steps, path: original }
    }

    /// Whether a message only follows from what was taken out before: the field missed, or a misspelling of it.
    pub(super) fn explains(&self, path: &str, message: &str) -> bool {
        let field = message.starts_with("missing field").then(|| message.split('`').nth(1)).flatten();
        field.is_some_and(|field| {
            let taken = |p: &String| p.strip_prefix(path).map(|own| own.trim_start_matches('.').to_owned());
            self.paths.iter().filter_map(taken).any(|own| own == field || nearest(&own, [field]).is_some())
        })
    }

    /// Takes a refused value out, or the nearest around it that can be; false when that is the whole document.
    pub(super) fn take(&mut self, left: &mut Value, refused: Refused) -> bool {
        let Refused { mut steps, mut path } = refused;
        while let Some(last) = steps.pop() {
            if steps.iter().try_fold(&mut *left, |value, step| step.of_mut(value)).is_some_and(|v| last.remove(v)) {
                if let (Step::Index(_), Some((list, index))) = (&last, path.rsplit_once('['))
                    && let Ok(index) = index.trim_end_matches(']').parse()
                {
                    self.indices.entry(list.to_owned()).or_default().insert(index);
                }
                self.paths.insert(path);
                return true;
            }
            let parent = match &last {
                Step::Index(_) => path.rfind('[').unwrap_or(0),
                Step::Key(key) => path.len().saturating_sub(key.len() + 1),
            };
            path.truncate(parent);
        }
        false
    }

    /// The path in the document as written of a path in what is left of it.
    #[must_use]
    pub fn original(&self, path: &str) -> String {
        let mut original = String::new();
        let mut rest = path;
        while !rest.is_empty() {
            if let Some((index, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']'))
                && let Ok(index) = index.parse()
            {
                original += &format!("[{}]", self.index(&original, index));
                rest = after;
            } else {
                let next =
                    rest.char_indices().skip(1).find(|(_, c)| ".[".contains(*c)).map_or(rest.len(), |(at, _)| at);
                original += &rest[..next];
                rest = &rest[next..];
            }
        }
        original
    }

    /// Whether anything at a path or inside it was taken out.
    #[must_use]
    pub fn within(&self, path: &str) -> bool {
        let inside =
            |p: &String| p.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.paths.iter().any(inside)
    }

    /// The index as written of what is now the item `index` of a list.
    fn index(&self, list: &str, index: usize) -> usize {
        let gone = self.indices.get(list);
        (0..).filter(|i| gone.is_none_or(|g| !g.contains(i))).nth(index).unwrap_or(index)
    }
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Index(index) => value.get(*index),
            Self::Key(key) => value.get(key.as_str()),
        }
    }

    fn of_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        match self {
            Self::Index(index) => value.get_mut(*index),
            Self::Key(key) => value.get_mut(key.as_str()),
        }
    }

    fn remove(&self, value: &mut Value) -> bool {
        match (self, value) {
            (Self::Key(key), Value::Mapping(map)) => map.remove(key.as_str()).is_some(),
            (Self::Index(index), Value::Sequence(list)) if *index < list.len() => {
                list.remove(*index);
                true
            }
            _ => false,
        }
    }
}

/// The field that a message calls unknown.
fn unknown_field(message: &str) -> Option<&str> {
    message.starts_with("unknown field").then(|| message.split('`').nth(1)).flatten()
}

/// The steps to a key, where the value has it itself or exactly one map inside it does.
fn way_to(key: &str, value: &Value) -> Option<Vec<Step>> {
    fn gather(key: &str, value: &Value, at: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
        match value {
            Value::Mapping(map) => {
                for (name, inside) in map.iter().filter_map(|(name, inside)| Some((name.as_str()?, inside))) {
                    at.push(Step::Key(name.to_owned()));
                    if name == key {
                        found.push(at.clone());
                    }
                    gather(key, inside, at, found);
                    at.pop();
                }
            }
            Value::Sequence(list) => {
                for (index, inside) in list.iter().enumerate() {
                    at.push(Step::Index(index));
                    gather(key, inside, at, found);
                    at.pop();
                }
            }
            _ => {}
        }
    }
    if value.get(key).is_some() {
        return Some(vec![Step::Key(key.to_owned())]);
    }
    let mut found = Vec::new();
    gather(key, value, &mut Vec::new(), &mut found);
    if found.len() == 1 { found.pop() } else { None }
}
