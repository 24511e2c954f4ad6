//! Byte-level byte-pair encoding, as GPT-2 has it.

use tripos::gguf::{Array, Metadata, Value};

/// How many tokens there are: 2 control tokens, 256 bytes and the merges.
pub(super) const TOKENS: u64 = 2 + 256 + MERGES.len() as u64;

/// Pairs that become one token, the first to be merged first; `Ġ` is a space.
const MERGES: [&str; 42] = [
    "Ġ a", "Ġ t", "h e", "i n", "e r", "o n", "Ġ s", "Ġ w", "r e", "a t", "o r", "i s", "e n", "a n", "o u", "i t",
    "Ġ c", "Ġ o", "Ġ p", "Ġ b", "Ġt he", "in g", "Ġa n", "e d", "Ġ m", "Ġ f", "Ġo f", "a l", "e s", "l l", "Ġ i",
    "a r", "Ġ =", "Ġ +", "Ġ 1", "1 2", "W h", "Wh at", "Ġ is", "c h", "Ġ d", "Ġan d",
];

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Adds the tokenizer.
pub(super) fn set(metadata: &mut Metadata) {
    let mut tokens = vec!["<|begin|>".to_owned(), "<|end|>".to_owned()];
    tokens.extend(spellings());
    tokens.extend(MERGES.iter().map(|merge| merge.replace(' ', "")));
    let types = (0..tokens.len()).map(|id| if id < 2 { CONTROL } else { NORMAL }).collect();
    metadata.set("tokenizer.ggml.model", "gpt2".into());
    metadata.set("tokenizer.ggml.pre", "gpt-2".into());
    metadata.set("tokenizer.ggml.tokens", Value::Array(Array::Text(tokens)));
    metadata.set("tokenizer.ggml.token_type", Value::Array(Array::I32(types)));
    metadata.set("tokenizer.ggml.merges", Value::Array(Array::Text(MERGES.map(str::to_owned).to_vec())));
    metadata.set("tokenizer.ggml.bos_token_id", Value::U32(0));
    metadata.set("tokenizer.ggml.eos_token_id", Value::U32(1));
    metadata.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
}

/// How GPT-2 spells each byte: as itself where Latin-1 shows it, else as a letter from 256 on.
fn spellings() -> impl Iterator<Item = String> {
    let mut next = 256;
    (0..=u8::MAX).map(move |byte| {
        if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            return char::from(byte).to_string();
        }
        next += 1;
        char::from_u32(next - 1).unwrap().to_string()
    })
}
