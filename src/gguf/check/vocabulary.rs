//! The tokenizer's tables (`llama_vocab::impl::load`, and what tokenising a prompt asserts or throws later).

use super::Checker;
use crate::gguf::{Array, Value};
use std::borrow::Cow;
use std::collections::HashMap;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

/// The highest token type (`LLAMA_TOKEN_TYPE_BYTE`).
const BYTE: i32 = 6;

/// Written for "no such token": −1 as a `u32`.
const NONE: u32 = u32::MAX;

/// The keys of token ids beside beginning, end and separator, which have defaults.
const IDS: [&str; 14] = [
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "padding_token_id",
    "mask_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
];

/// The tokenizers that decoders have (`tokenizer.ggml.model`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// SentencePiece with byte fallback: `llama`.
    SentencePiece,
    /// Byte-pair merges: `gpt2`, `hybriddna`, `whitespace`.
    Merges,
    /// Byte-pair merges over raw text: `gemma4`.
    Gemma4,
    Rwkv,
    Plamo2,
}

pub(super) fn check(checker: &mut Checker<'_>) {
    texts(checker);
    let Some(kind) = kind(checker) else { return };
    let gguf = checker.gguf;
    let Some(tokens) = tokens(checker) else { return };
    distinct(checker, tokens);
    types(checker, tokens);
    scores(checker, tokens.len());
    if matches!(kind, Kind::Merges | Kind::Gemma4) {
        merges(checker, kind);
    }
    if matches!(kind, Kind::SentencePiece | Kind::Plamo2) {
        byte_fallback(checker, tokens, kind);
    }
    for name in IDS {
        id(checker, &format!("tokenizer.ggml.{name}"), tokens.len());
    }
    let pre = gguf.metadata().text("tokenizer.ggml.pre").unwrap_or_default();
    ends(checker, kind, pre, tokens.len());
}

/// Texts and switches that llama.cpp reads, or that we do.
fn texts(checker: &mut Checker<'_>) {
    checker.text("tokenizer.ggml.pre");
    checker.text("tokenizer.chat_template");
    for name in ["add_space_prefix", "remove_extra_whitespaces"] {
        checker.bool(&format!("tokenizer.ggml.{name}"));
    }
    let key = "tokenizer.ggml.suppress_tokens";
    match checker.get(key) {
        None | Some(Value::Array(Array::I32(_))) => {}
        Some(other) => checker.wrong_type(key, other, "an array of i32"),
    }
}

fn kind(checker: &mut Checker<'_>) -> Option<Kind> {
    let key = "tokenizer.ggml.model";
    let model = checker.required_text(key)?;
    Some(match model {
        "llama" => Kind::SentencePiece,
        "gpt2" | "hybriddna" | "whitespace" => Kind::Merges,
        "gemma4" => Kind::Gemma4,
        "rwkv" => Kind::Rwkv,
        "plamo2" => Kind::Plamo2,
        "none" | "no_vocab" => {
            checker.field(key, "is `none`: the model has no vocabulary, so it cannot read text");
            return None;
        }
        other => {
            checker.field(key, format!("is `{other}`, not a tokenizer of a text-generation model"));
            return None;
        }
    })
}

fn tokens<'a>(checker: &mut Checker<'a>) -> Option<&'a [String]> {
    match checker.get(TOKENS) {
        None => checker.missing(TOKENS, "an array of texts"),
        Some(Value::Array(Array::Text(tokens))) if tokens.is_empty() => checker.field(TOKENS, "is empty"),
        Some(Value::Array(Array::Text(tokens))) if i32::try_from(tokens.len()).is_err() => {
            checker.field(TOKENS, "has more elements than ids exist");
        }
        Some(Value::Array(Array::Text(tokens))) => return Some(tokens),
        Some(other) => checker.wrong_type(TOKENS, other, "an array of str"),
    }
    None
}

/// llama.cpp asserts that all spellings differ. It reads them as C strings, so up to the first NUL, and renames those
/// that are empty then.
fn distinct(checker: &mut Checker<'_>, tokens: &[String]) {
    let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        let text = token.split('\0').next().unwrap_or_default();
        let text = if text.is_empty() { format!("[EMPTY_{id}]").into() } else { Cow::Borrowed(text) };
        if let Some(first) = seen.insert(text, id) {
            checker.field(TOKENS, format!("spells tokens {first} and {id} alike: {token:?}"));
            return;
        }
    }
}

fn types(checker: &mut Checker<'_>, tokens: &[String]) {
    let types = match checker.get(TYPES) {
        None => return,
        Some(Value::Array(Array::I32(types))) => types,
        Some(other) => return checker.wrong_type(TYPES, other, "an array of i32"),
    };
    if types.len() != tokens.len() {
        return checker.field(TYPES, format!("has {} elements for {} tokens", types.len(), tokens.len()));
    }
    for (id, (kind, token)) in types.iter().zip(tokens).enumerate() {
        if !(0..=BYTE).contains(kind) {
            return checker.field(TYPES, format!("gives token {id} the type {kind}, outside 0 to {BYTE}"));
        }
        if *kind == BYTE && byte_of(token).is_none() {
            return checker.field(TYPES, format!("calls token {id} a byte, but it is spelt {token:?}, not `<0x00>`"));
        }
    }
}

/// The byte behind `<0x0A>`.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}

fn scores(checker: &mut Checker<'_>, tokens: usize) {
    let len = match checker.get(SCORES) {
        None => return,
        Some(Value::Array(Array::F32(scores))) => {
            if let Some(id) = scores.iter().position(|score| score.is_nan()) {
                checker.field(SCORES, format!("gives token {id} no number (NaN)"));
            }
            scores.len()
        }
        Some(Value::Array(Array::I32(scores))) => scores.len(),
        Some(other) => return checker.wrong_type(SCORES, other, "an array of f32"),
    };
    if len != tokens {
        checker.field(SCORES, format!("has {len} elements for {tokens} tokens"));
    }
}

/// Each merge is two spellings with one space between; the first may itself be a space.
fn merges(checker: &mut Checker<'_>, kind: Kind) {
    let without = kind == Kind::Merges && checker.gguf.metadata().text("tokenizer.ggml.pre") == Some("kimi-k2");
    match checker.get(MERGES) {
        None if without => {}
        None => checker.missing(MERGES, "an array of texts"),
        Some(Value::Array(Array::Text(merges))) => {
            let whole =
                |merge: &String| merge.bytes().skip(1).position(|b| b == b' ').is_some_and(|at| at + 2 < merge.len());
            if let Some(i) = merges.iter().position(|merge| !whole(merge)) {
                let merge = merges.get(i).map_or("", String::as_str);
                checker.field(
                    MERGES,
                    format!("has {merge:?} as element {i}, which is not two parts with a space between"),
                );
            }
        }
        Some(other) => checker.wrong_type(MERGES, other, "an array of str"),
    }
}

/// Text outside the vocabulary is spelt in bytes. A byte without a token is an exception while tokenising, where nothing
/// catches it; so each byte that UTF-8 text can hold needs `<0xNN>`, or in SentencePiece the character itself.
fn byte_fallback(checker: &mut Checker<'_>, tokens: &[String], kind: Kind) {
    let mut known = [false; 256];
    for token in tokens {
        let bare =
            || token.as_bytes().first().copied().filter(|b| kind == Kind::SentencePiece && token.len() == 1 && *b != 0);
        // llama.cpp looks for upper-case digits only.
        let spelt = byte_of(token).filter(|byte| *token == format!("<0x{byte:02X}>"));
        if let Some(slot) = spelt.or_else(bare).and_then(|byte| known.get_mut(usize::from(byte))) {
            *slot = true;
        }
    }
    let can_occur = |byte: u8| !matches!(byte, 0 | 0xc0 | 0xc1 | 0xf5..);
    let missing: Vec<u8> =
        (0..=u8::MAX).zip(known).filter(|(byte, known)| can_occur(*byte) && !known).map(|(b, _)| b).collect();
    if let Some(first) = missing.first() {
        checker
            .field(TOKENS, format!("has no token for {} of the 256 bytes, such as `<0x{first:02X}>`", missing.len()));
    }
}

/// The id under a key: in the vocabulary, or none.
fn id(checker: &mut Checker<'_>, key: &str, tokens: usize) -> Option<u32> {
    let id = checker.u32(key).filter(|id| *id != NONE)?;
    if usize::try_from(id).is_ok_and(|id| id < tokens) {
        return Some(id);
    }
    checker.field(key, format!("is {id}, and there are {tokens} tokens"));
    None
}

/// llama.cpp asserts a token where it adds one at the beginning or the end of each text. The defaults are its own.
fn ends(checker: &mut Checker<'_>, kind: Kind, pre: &str, tokens: usize) {
    const BOS_FIRST: [&str; 11] = [
        "llama3",
        "llama-v3",
        "llama-bpe",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
        "jina-v5-nano",
        "tekken",
        "chameleon",
    ];
    let merges = kind == Kind::Merges;
    let (bos_default, eos_default) = match kind {
        Kind::SentencePiece | Kind::Plamo2 => (Some(1), Some(2)),
        Kind::Merges if ["chatglm-bpe", "glm4", "glm5"].contains(&pre) => (None, Some(11)),
        Kind::Merges => (Some(11), Some(11)),
        Kind::Gemma4 | Kind::Rwkv => (None, None),
    };
    let bos_added = kind == Kind::SentencePiece || kind == Kind::Gemma4 || (merges && BOS_FIRST.contains(&pre));
    for (name, default, added) in [("bos", bos_default, bos_added), ("eos", eos_default, false)] {
        let id_key = format!("tokenizer.ggml.{name}_token_id");
        let add_key = format!("tokenizer.ggml.add_{name}_token");
        let said = id(checker, &id_key, tokens);
        let added = checker.bool(&add_key).unwrap_or(added) || (kind == Kind::Gemma4 && name == "bos");
        let default = default.filter(|default| *default < tokens);
        let absent = checker.get(&id_key).is_none() || checker.gguf.metadata().u64(&id_key) == Some(NONE.into());
        if added && said.is_none() && default.is_none() && absent {
            checker.missing(&id_key, "a u32; the model adds this token to each text");
        }
    }
    id(checker, "tokenizer.ggml.seperator_token_id", tokens);
    checker.bool("tokenizer.ggml.add_sep_token");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::check::refusals;

    fn with(name: &str, value: Value) -> String {
        let all = refusals(|gguf| {
            gguf.metadata.set(format!("tokenizer.ggml.{name}"), value);
        });
        all.lines().next().unwrap_or_default().to_owned()
    }

    /// The bundled vocabulary with one token spelt otherwise.
    fn respelt(id: usize, text: &str) -> String {
        let gguf = crate::gguf::Gguf::open(std::path::Path::new("models/tripos-tiny.gguf")).unwrap();
        let mut tokens = gguf.tokens().to_vec();
        text.clone_into(&mut tokens[id]);
        with("tokens", Value::Array(Array::Text(tokens)))
    }

    fn ints(n: i32) -> Value {
        Value::Array(Array::I32(vec![n; 768]))
    }

    #[test]
    fn refuses_tokens_spelt_alike_because_llama_cpp_asserts() {
        insta::assert_snapshot!(respelt(9, "<|im_end|>"), @r#"metadata `tokenizer.ggml.tokens` spells tokens 2 and 9 alike: "<|im_end|>""#);
        insta::assert_snapshot!(respelt(9, "<|im_end|>\0x"), @r#"metadata `tokenizer.ggml.tokens` spells tokens 2 and 9 alike: "<|im_end|>\0x""#);
        insta::assert_snapshot!(respelt(9, "[EMPTY_9]"), @"");
        assert_eq!(respelt(9, ""), "");
    }

    #[test]
    fn refuses_tables_that_do_not_match() {
        insta::assert_snapshot!(with("tokens", Value::Array(Array::Text(vec![]))), @"metadata `tokenizer.ggml.tokens` is empty");
        insta::assert_snapshot!(with("tokens", Value::Array(Array::U8(vec![1]))), @"metadata `tokenizer.ggml.tokens` has type arr[u8]; llama.cpp expects an array of str");
        insta::assert_snapshot!(with("token_type", Value::Array(Array::I32(vec![1; 767]))), @"metadata `tokenizer.ggml.token_type` has 767 elements for 768 tokens");
        insta::assert_snapshot!(with("token_type", ints(7)), @"metadata `tokenizer.ggml.token_type` gives token 0 the type 7, outside 0 to 6");
        insta::assert_snapshot!(with("token_type", ints(6)), @r#"metadata `tokenizer.ggml.token_type` calls token 0 a byte, but it is spelt "<|endoftext|>", not `<0x00>`"#);
        insta::assert_snapshot!(with("scores", Value::Array(Array::F32(vec![0.0; 3]))), @"metadata `tokenizer.ggml.scores` has 3 elements for 768 tokens");
        insta::assert_snapshot!(with("scores", Value::Array(Array::F32(vec![f32::NAN; 768]))), @"metadata `tokenizer.ggml.scores` gives token 0 no number (NaN)");
    }

    #[test]
    fn refuses_merges_that_are_not_two_parts() {
        let merge = |text: &str| with("merges", Value::Array(Array::Text(vec!["a b".into(), text.into()])));
        for bad in ["", " ", "a", "ab", "a ", " b", "  "] {
            assert!(merge(bad).contains("as element 1, which is not two parts"), "{bad:?}");
        }
        insta::assert_snapshot!(merge("ab"), @r#"metadata `tokenizer.ggml.merges` has "ab" as element 1, which is not two parts with a space between"#);
        for good in ["a b", "  b", "→ ←", "a  b"] {
            assert_eq!(merge(good), "", "{good:?}");
        }
    }

    #[test]
    fn refuses_ids_outside_the_vocabulary() {
        insta::assert_snapshot!(with("eos_token_id", Value::U32(768)), @"metadata `tokenizer.ggml.eos_token_id` is 768, and there are 768 tokens");
        insta::assert_snapshot!(with("eos_token_id", Value::I32(1)), @"metadata `tokenizer.ggml.eos_token_id` has type i32; llama.cpp expects u32");
        for name in IDS {
            assert!(with(name, Value::U32(768)).contains("and there are 768 tokens"), "{name}");
            assert_eq!(with(name, Value::U32(NONE)), "", "{name}");
        }
    }

    #[test]
    fn refuses_a_missing_token_that_would_be_added() {
        let gemma = refusals(|gguf| {
            gguf.metadata.set("tokenizer.ggml.model", "gemma4".into());
            gguf.metadata.remove("tokenizer.ggml.bos_token_id");
        });
        insta::assert_snapshot!(gemma, @"the metadata lacks `tokenizer.ggml.bos_token_id` (a u32; the model adds this token to each text)");
        let glm = |added: bool| {
            refusals(|gguf| {
                gguf.metadata.set("tokenizer.ggml.pre", "glm4".into());
                gguf.metadata.set("tokenizer.ggml.add_bos_token", Value::Bool(added));
                gguf.metadata.set("tokenizer.ggml.bos_token_id", Value::U32(NONE));
            })
        };
        assert!(glm(true).contains("lacks `tokenizer.ggml.bos_token_id`"));
        assert_eq!(glm(false), "");
    }

    #[test]
    fn a_sentencepiece_vocabulary_needs_every_byte() {
        // UTF-8 holds 242 bytes beside NUL, and the vocabulary spells the 94 visible characters of ASCII.
        insta::assert_snapshot!(with("model", "llama".into()), @"metadata `tokenizer.ggml.tokens` has no token for 148 of the 256 bytes, such as `<0x01>`");
        let bytes = |range: std::ops::RangeInclusive<u8>| {
            refusals(|gguf| {
                let mut tokens = gguf.tokens().to_vec();
                for (token, byte) in tokens.iter_mut().skip(256).zip(range) {
                    *token = format!("<0x{byte:02X}>");
                }
                gguf.metadata.set("tokenizer.ggml.model", "llama".into());
                gguf.metadata.set(TOKENS, Value::Array(Array::Text(tokens)));
            })
        };
        assert_eq!(bytes(0..=255), "");
        assert!(bytes(0..=127).contains("has no token for"));
    }

    #[test]
    fn refuses_models_without_a_usable_tokenizer() {
        insta::assert_snapshot!(with("model", "none".into()), @"metadata `tokenizer.ggml.model` is `none`: the model has no vocabulary, so it cannot read text");
        insta::assert_snapshot!(with("model", "bert".into()), @"metadata `tokenizer.ggml.model` is `bert`, not a tokenizer of a text-generation model");
        insta::assert_snapshot!(refusals(|gguf| { gguf.metadata.remove(MERGES); }), @"the metadata lacks `tokenizer.ggml.merges` (an array of texts)");
        insta::assert_snapshot!(with("add_bos_token", Value::U8(1)), @"metadata `tokenizer.ggml.add_bos_token` has type u8; llama.cpp expects bool");
    }
}
