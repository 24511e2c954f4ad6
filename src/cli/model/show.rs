//! `tripos model show`: what a model or an adapter is.

use super::super::environment;
use super::super::failure::Failure;
use super::super::output::print;
use super::super::rewriting::{Format, shares, size};
use crate::model::{AdapterFacts, Description, Tokenizer, describe};
use crate::report::thousands;
use serde_json::json;
use std::path::Path;

/// Lines of a chat template that are shown.
const TEMPLATE: usize = 4;
/// Where values begin.
const COLUMN: usize = 16;

/// Describes it. A file with problems is described as far as its header goes, and then is an error.
pub(super) fn run(file: &Path, format: Format) -> Result<(), Failure> {
    let (description, problems) = describe(file)?;
    print(&match format {
        Format::Text => page(&description, environment::width().clamp(40, 120)),
        Format::Json => {
            let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let mut document = json!({"schema": 1, "problems": found});
            if let (Some(document), Ok(serde_json::Value::Object(said))) =
                (document.as_object_mut(), serde_json::to_value(&description))
            {
                document.extend(said);
            }
            format!("{document}\n")
        }
    })?;
    if problems.any_error() { Err(problems.into()) } else { Ok(()) }
}

/// All of it, in lines of at most so many columns.
fn page(of: &Description, width: usize) -> String {
    let mut page = Page { out: String::new(), width };
    page.line("file", &format!("{} ({})", of.path.display(), size(of.bytes)));
    page.line("kind", &of.kind);
    page.maybe("name", of.name.as_deref());
    page.maybe("architecture", of.architecture.as_deref());
    page.line("parameters", &thousands(of.parameters));
    page.out += &shares(&of.formats, &" ".repeat(COLUMN));
    for (what, number) in &of.sizes {
        page.line(what, number);
    }
    if let Some(tokenizer) = &of.tokenizer {
        page.tokenizer(tokenizer);
    }
    if let Some(template) = &of.chat_template {
        page.template(template);
    }
    page.maybe("licence", of.licence.as_deref());
    if let Some(adapter) = &of.adapter {
        page.adapter(adapter);
    }
    page.maybe("labels", of.labels.as_ref().map(|labels| labels.join(", ")).as_deref());
    for (what, text) in &of.lineage {
        page.line(what, text);
    }
    page.out.push('\n');
    for ability in &of.abilities {
        page.line(&format!("{} {}", if ability.can { "can" } else { "cannot" }, ability.what), &ability.how);
    }
    page.out
}

struct Page {
    out: String,
    width: usize,
}

impl Page {
    /// A name and its value, which goes on in the next line where it is long. A file cannot send escape codes.
    fn line(&mut self, name: &str, value: &str) {
        let plain: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let room = self.width.saturating_sub(COLUMN).max(16);
        for (i, part) in wrapped(&plain, room).into_iter().enumerate() {
            self.out += &format!("{:<COLUMN$}{part}\n", if i == 0 { name } else { "" });
        }
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    fn tokenizer(&mut self, of: &Tokenizer) {
        let pre = of.pre.as_ref().map_or_else(String::new, |pre| format!(" ({pre})"));
        self.line("tokenizer", &format!("{}{pre}, {} tokens", of.model, thousands(of.tokens as u64)));
        let special = of.special.iter().map(|(part, id, text)| format!("{part} {id} {text}"));
        let special = special.collect::<Vec<_>>().join(", ");
        self.maybe("special tokens", Some(special.as_str()).filter(|text| !text.is_empty()));
    }

    fn template(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let room = self.width.saturating_sub(COLUMN).max(16);
        for (i, line) in lines.iter().take(TEMPLATE).enumerate() {
            let name = if i == 0 { "chat template" } else { "" };
            let cut: String = line.chars().take(room).map(|c| if c.is_control() { ' ' } else { c }).collect();
            let cut = if cut.chars().count() < line.chars().count() {
                cut.chars().take(room - 1).chain(['…']).collect()
            } else {
                cut
            };
            self.out += format!("{name:<COLUMN$}{cut}").trim_end();
            self.out.push('\n');
        }
        if lines.len() > TEMPLATE {
            self.line("", &format!("… {} more lines", lines.len() - TEMPLATE));
        }
    }

    fn adapter(&mut self, of: &AdapterFacts) {
        let ranks: Vec<String> = of.ranks.iter().map(u64::to_string).collect();
        let alpha = of.alpha.map_or_else(|| "no alpha".to_owned(), |alpha| format!("alpha {alpha}"));
        self.line("adapter", &format!("{}, rank {}, {alpha}", of.method, ranks.join(", ")));
        let on: Vec<String> = of.on.iter().map(|(part, layers)| format!("{part} ×{layers}")).collect();
        self.line("changes", &on.join(", "));
    }
}

/// Words in lines of at most so many columns; a longer word is a line of its own.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line += word,
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_model_fits_80_columns() {
        let (tiny, _) = describe(Path::new("models/tripos-tiny.gguf")).unwrap();
        let text = page(&tiny, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        // Each time it is made anew it has other hashes.
        let hashes = |word: &str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.rsplit_once(' ') {
                Some((name, hash)) if hashes(hash) => format!("{name} HASH"),
                _ => line.to_owned(),
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        file            models/tripos-tiny.gguf (3.2 MiB)
        kind            model
        name            tripos-tiny
        architecture    llama
        parameters      3,148,032
                        Q8_0       29 tensors  99.93 % of parameters    3.2 MiB
                        F32         9 tensors   0.07 % of parameters    9.0 KiB
        context         512
        layers          4
        width           256
        heads           8
        key/value heads 4
        feed-forward    704
        tokenizer       gpt2 (qwen2), 768 tokens
        special tokens  bos 0 <|endoftext|>, eos 0 <|endoftext|>, eot 2 <|im_end|>
        chat template   {% for message in messages %}{{ '<|im_start|>' + message['role'…
        licence         apache-2.0
        base.file       tripos-tiny-base.gguf
        base.sha256     HASH
        parent          HASH
        recipe.sha256   HASH

        can run         suites of completions and of likelihoods: tripos run SUITE
                        --model FILE
        can chat        chat prompts, by its own template
        can quantize    tripos quantize FILE OUT --type T
        can train       adapters, or all of it: tripos train RECIPE
        ");
    }

    #[test]
    fn long_values_go_on_in_the_next_line() {
        assert_eq!(wrapped("a few words that go on", 10), ["a few", "words that", "go on"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
