//! What of a document is given and not learned: `{{ question | given }}`, or `{% filter given %}…{% endfilter %}`.
//!
//! A question drawn at random cannot be foretold; learning it wastes what a small model can hold. While a document is
//! rendered, what is given stands between two noncharacters.

use super::control::{Controls, GIVEN, QUOTE};
use super::lesson::Lesson;
use super::template::TextTemplate;
use super::{Prompt, PromptError, data};
use crate::suite::Case;
use std::ops::Range;

/// A value between the marks.
pub(super) fn mark(text: &str) -> String {
    format!("{}{text}{}", GIVEN[0], GIVEN[1])
}

impl Lesson {
    /// A document that a case and its `examples` fill in: all of it is learned, but for what is `given`. Compile its template
    /// with [`TextTemplate::compile_document`].
    ///
    /// ```
    /// use tripos::error::Place;
    /// use tripos::prompt::{Controls, Lesson, TextTemplate};
    /// use tripos::suite::Case;
    /// let template = TextTemplate::compile_document("{{ q | given }} 3.", &Place::file("r.yaml"))?;
    /// let lesson = Lesson::document(&Case::new("1", [("q", "1 + 2 is")], None), &[], &template, &Controls::new(&[])?)?;
    /// assert_eq!((lesson.text.as_str(), &lesson.text[lesson.answers[0].clone()]), ("1 + 2 is 3.", " 3."));
    /// # Ok::<(), tripos::prompt::PromptError>(())
    /// ```
    pub fn document(
        case: &Case,
        examples: &[&Case],
        template: &TextTemplate,
        controls: &Controls,
    ) -> Result<Self, PromptError> {
        let rendered = || {
            let mut context = data::example_context(case, controls)?;
            let examples = examples.iter().map(|example| data::example(example, controls));
            context.insert_value("examples", examples.collect::<Result<Vec<_>, _>>()?.into());
            template.render(&context)
        };
        let (raw, learned) = apart(&rendered().map_err(|error| error.of("case", &case.id))?);
        let plain = |at: usize| at - raw[..at].matches(QUOTE).count() * QUOTE.len_utf8();
        let answers = learned.iter().map(|part| plain(part.start)..plain(part.end)).collect();
        let Prompt { text, quoted, .. } = controls.unmark(raw.clone(), 0);
        Ok(Self { text, quoted, answers, other_start: None })
    }
}

/// The text without the marks of what is given, and the ranges of what is not. One that stands inside another adds nothing.
fn apart(marked: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut learned, mut depth) = (String::with_capacity(marked.len()), Vec::new(), 0_usize);
    for part in marked.split_inclusive(GIVEN) {
        let piece = part.trim_end_matches(GIVEN);
        if depth == 0 && !piece.is_empty() {
            learned.push(text.len()..text.len() + piece.len());
        }
        text.push_str(piece);
        match part.chars().next_back() {
            Some(mark) if mark == GIVEN[0] => depth += 1,
            Some(mark) if mark == GIVEN[1] => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (text, learned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Place, render};

    fn learned(template: &str, case: &Case) -> Vec<String> {
        let template = TextTemplate::compile_document(template, &Place::file("r.yaml")).unwrap();
        let controls = Controls::new(&["<|end|>".to_owned()]).unwrap();
        let lesson = Lesson::document(case, &[], &template, &controls).unwrap();
        assert!(lesson.quoted.iter().all(|range| &lesson.text[range.clone()] == "<|end|>"));
        lesson.answers.iter().map(|range| lesson.text[range.clone()].to_owned()).collect()
    }

    #[test]
    fn what_is_given_is_not_learned_and_the_rest_is() {
        let case = Case::new("1", [("q", "1 + 1"), ("r", "<|end|> é")], Some("2"));
        assert_eq!(learned("{{ q | given }} is {{ target }}", &case), [" is 2"]);
        assert_eq!(learned("{% filter given %}Q: {{ r }}\nA:{% endfilter %} {{ r }}!", &case), [" <|end|> é!"]);
        assert_eq!(learned("a{{ q | given }}b{{ q | given }}c", &case), ["a", "b", "c"]);
        assert_eq!(learned("all of {{ q }}", &case), ["all of 1 + 1"]);
        assert_eq!(learned("{% filter given %}{{ q | given }} {{ q }}{% endfilter %}", &case), Vec::<String>::new());
        assert_eq!(learned("{{ 7 | given }}8", &case), ["8"]);
    }

    #[test]
    fn examples_stand_in_a_document_and_are_learned_unless_given() {
        let template =
            "{% for e in examples %}{{ e.q | given }} {{ e.target }}. {% endfor %}{{ q | given }} {{ target }}";
        let template = TextTemplate::compile_document(template, &Place::file("r.yaml")).unwrap();
        let [one, two] = [("1", "2"), ("3", "4")].map(|(q, target)| Case::new(q, [("q", q)], Some(target)));
        let lesson = Lesson::document(&two, &[&one], &template, &Controls::new(&[]).unwrap()).unwrap();
        assert_eq!(lesson.text, "1 2. 3 4");
        assert_eq!(lesson.answers, [1..5, 6..8]);
    }

    /// A prompt is all given: there the filter would only put marks into it.
    #[test]
    fn no_other_template_knows_the_filter() {
        let error = TextTemplate::compile_part("{{ q | given }}", &Place::new("qa.txt", 1, 1)).unwrap_err();
        assert!(render(&error, false).starts_with("error: unknown filter `given`"), "{error}");
    }

    #[test]
    fn data_cannot_hold_the_marks() {
        let controls = Controls::new(&[]).unwrap();
        let template = TextTemplate::compile_document("{{ q }}", &Place::file("r.yaml")).unwrap();
        for mark in GIVEN {
            let case = Case::new("1", [("q", format!("a{mark}").as_str())], None);
            let PromptError::Of { error, .. } = Lesson::document(&case, &[], &template, &controls).unwrap_err() else {
                panic!()
            };
            assert!(matches!(*error, PromptError::Reserved { .. }), "{error}");
        }
    }
}
