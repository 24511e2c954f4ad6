//! Everything that llama.cpp takes for granted, checked before it sees the file.
//!
//! An exception inside llama.cpp's loader only fails the load; an assertion, or an exception in a call outside the
//! loader (the tokenizer), ends the process. The checks cover the second kind wherever a header shows it, and the
//! commonest of the first kind for the sake of the message.

mod adapter;
mod container;
mod hyperparameters;
mod tensors;
mod vocabulary;

pub(super) use adapter::{fits as adapter_fits, made_for as adapter_made_for};

use super::architecture::{Family, family};
use super::{Gguf, GgufProblem, Value};

/// All problems of a file, in the order container, hyperparameters, vocabulary, tensors.
pub(super) fn problems(gguf: &Gguf) -> Vec<GgufProblem> {
    let mut checker = Checker { gguf, arch: gguf.architecture().unwrap_or_default(), found: Vec::new() };
    container::check(&mut checker);
    match gguf.metadata().get("general.type") {
        None => model(&mut checker),
        Some(Value::Text(kind)) => match kind.as_str() {
            "model" => model(&mut checker),
            "adapter" => adapter::check(&mut checker),
            other => checker.found.push(GgufProblem::OtherKind { general_type: other.to_owned() }),
        },
        Some(other) => checker.wrong_type("general.type", other, "str"),
    }
    checker.found
}

fn model(checker: &mut Checker<'_>) {
    let Some(family) = known_family(checker) else { return };
    if family == Family::Other {
        checker.found.push(GgufProblem::NotGenerative { architecture: checker.arch.to_owned() });
        return;
    }
    let split = checker.gguf.metadata().u64("split.count").unwrap_or(1);
    if split > 1 {
        checker.found.push(GgufProblem::Split { parts: split });
        return;
    }
    let shape = hyperparameters::check(checker, family);
    vocabulary::check(checker);
    tensors::check(checker, shape.as_ref());
}

/// The family of `general.architecture`, or a problem.
fn known_family(checker: &mut Checker<'_>) -> Option<Family> {
    checker.required_text("general.architecture")?;
    let family = family(checker.arch);
    if family.is_none() {
        checker.found.push(GgufProblem::UnknownArchitecture { architecture: checker.arch.to_owned() });
    }
    family
}

/// A file under examination, and what has been found so far.
struct Checker<'a> {
    gguf: &'a Gguf,
    /// `general.architecture`, or nothing.
    arch: &'a str,
    found: Vec<GgufProblem>,
}

impl<'a> Checker<'a> {
    fn field(&mut self, key: &str, fault: impl Into<String>) {
        self.found.push(GgufProblem::field(key, fault));
    }

    fn wrong_type(&mut self, key: &str, value: &Value, expected: &str) {
        self.field(key, format!("has type {}; llama.cpp expects {expected}", value.type_name()));
    }

    /// The full name of a hyperparameter: `llama.block_count`.
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.arch)
    }

    fn missing(&mut self, key: &str, expected: &'static str) {
        self.found.push(GgufProblem::MissingField { key: key.to_owned(), expected });
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.gguf.metadata().get(key)
    }

    fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            other => {
                self.wrong_type(key, other, "str");
                None
            }
        }
    }

    fn required_text(&mut self, key: &str) -> Option<&'a str> {
        if self.get(key).is_none() {
            self.missing(key, "a text");
        }
        self.text(key)
    }

    /// llama.cpp reads whole numbers as `u32` and accepts no other width.
    fn u32(&mut self, key: &str) -> Option<u32> {
        match self.get(key)? {
            Value::U32(n) => Some(*n),
            other => {
                self.wrong_type(key, other, "u32");
                None
            }
        }
    }

    /// A `u32` that must be there and lie in `1..=most`.
    fn required_u32(&mut self, key: &str, most: u32) -> Option<u32> {
        if self.get(key).is_none() {
            self.missing(key, "a u32");
        }
        let n = self.u32(key)?;
        if !(1..=most).contains(&n) {
            self.field(key, format!("is {n}, outside 1 to {most}"));
            return None;
        }
        Some(n)
    }

    fn f32(&mut self, key: &str) -> Option<f32> {
        match self.get(key)? {
            Value::F32(x) => Some(*x),
            other => {
                self.wrong_type(key, other, "f32");
                None
            }
        }
    }

    fn bool(&mut self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(b) => Some(*b),
            other => {
                self.wrong_type(key, other, "bool");
                None
            }
        }
    }
}

/// The bundled model, altered: what the checks of each kind are tested with.
#[cfg(test)]
fn refusals(alter: impl FnOnce(&mut Gguf)) -> String {
    let mut gguf = Gguf::open(std::path::Path::new("models/tripos-tiny.gguf")).unwrap();
    alter(&mut gguf);
    problems(&gguf).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: Value) -> String {
        refusals(|gguf| {
            gguf.metadata.set(key, value);
        })
    }

    #[test]
    fn the_untouched_model_has_no_problem() {
        assert_eq!(refusals(|_| ()), "");
    }

    #[test]
    fn refuses_what_is_no_language_model() {
        insta::assert_snapshot!(with("general.architecture", "lama".into()), @"llama.cpp does not know the architecture `lama`");
        insta::assert_snapshot!(with("general.architecture", "(unknown)".into()), @"llama.cpp does not know the architecture `(unknown)`");
        insta::assert_snapshot!(with("general.architecture", Value::U32(1)), @"metadata `general.architecture` has type u32; llama.cpp expects str");
        insta::assert_snapshot!(with("general.architecture", "bert".into()), @"the architecture `bert` cannot continue a text from left to right");
        insta::assert_snapshot!(with("general.type", "mmproj".into()), @"this GGUF file holds `mmproj`, not a language model or an adapter");
        insta::assert_snapshot!(with("split.count", Value::U16(3)), @"this file is one of the 3 parts of a split model");
        insta::assert_snapshot!(refusals(|gguf| { gguf.metadata.remove("general.architecture"); }), @"the metadata lacks `general.architecture` (a text)");
    }
}
