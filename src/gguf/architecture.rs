//! The architectures that llama.cpp knows (`LLM_ARCH_NAMES` in `llama-arch.cpp`, llama-cpp-sys-2 0.1.161), and what kind
//! of model each is. A newer llama.cpp needs these lists anew; a test compares them with its source where that is at hand.

/// Decoders: a token follows from those before it.
const GENERATIVE: [&str; 130] = [
    "llama",
    "llama4",
    "deci",
    "falcon",
    "grok",
    "gpt2",
    "gptj",
    "gptneox",
    "mpt",
    "baichuan",
    "starcoder",
    "refact",
    "bloom",
    "stablelm",
    "qwen",
    "qwen2",
    "qwen2moe",
    "qwen2vl",
    "qwen3",
    "qwen3moe",
    "qwen3next",
    "qwen3vl",
    "qwen3vlmoe",
    "qwen35",
    "qwen35moe",
    "qwen4exp",
    "phi2",
    "phi3",
    "phimoe",
    "plamo",
    "plamo2",
    "plamo3",
    "codeshell",
    "orion",
    "internlm2",
    "minicpm",
    "minicpm3",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "gemma4",
    "starcoder2",
    "mamba",
    "mamba2",
    "maple",
    "jamba",
    "falcon-h1",
    "xverse",
    "command-r",
    "cohere2",
    "cohere2moe",
    "dbrx",
    "olmo",
    "olmo2",
    "olmoe",
    "muse-glimmer",
    "openelm",
    "arctic",
    "deepseek",
    "deepseek2",
    "deepseek2-ocr",
    "deepseek32",
    "deepseek4",
    "chatglm",
    "glm4",
    "glm4moe",
    "glm-dsa",
    "bitnet",
    "jais",
    "jais2",
    "nemotron",
    "nemotron_h",
    "nemotron_h_moe",
    "exaone",
    "exaone4",
    "exaone-moe",
    "rwkv6",
    "rwkv6qwen2",
    "rwkv7",
    "arwkv7",
    "granite",
    "granitemoe",
    "granitehybrid",
    "graniteswitch",
    "granite_swa",
    "chameleon",
    "plm",
    "bailingmoe",
    "bailingmoe2",
    "bailingmoe3",
    "dots1",
    "dots3note",
    "arcee",
    "afmoe",
    "laguna",
    "ernie4_5",
    "ernie4_5-moe",
    "hunyuan-moe",
    "hunyuan-dense",
    "hunyuan_vl",
    "hy_v3",
    "hy_v4",
    "smollm3",
    "gpt-oss",
    "lfm2",
    "lfm2moe",
    "smallthinker",
    "seed_oss",
    "grovemoe",
    "apertus",
    "minimax-01",
    "hrm_text",
    "minimax-m2",
    "minimax-m3",
    "cogvlm",
    "pangu-embedded",
    "mistral3",
    "mistral4",
    "paddleocr",
    "mimo2",
    "step35",
    "spark2_5",
    "maincoder",
    "kimi-linear",
    "kimi-k3",
    "glm5-next",
    "talkie",
    "mellum",
    "nanbeige",
];

/// Encoders, encoder–decoders, diffusion, draft, decision, vision and audio models: llama.cpp loads them, but decoding a plain text
/// asserts or makes no sense.
const OTHER: [&str; 24] = [
    "clef",
    "clip",
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
    "llama-embed",
    "t5",
    "t5encoder",
    "wavtokenizer-dec",
    "dream",
    "llada",
    "llada-moe",
    "rnd1",
    "eagle3",
    "dflash",
    "gemma4-assistant",
    "pockettts",
    "qwen3tts",
];

/// Decoders without attention in any layer; they have no heads.
const RECURRENT: [&str; 6] = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/// Decoders with attention in some layers and a state in others (`llm_arch_is_hybrid`).
const HYBRID: [&str; 18] = [
    "jamba",
    "falcon-h1",
    "plamo2",
    "granitehybrid",
    "lfm2",
    "lfm2moe",
    "nemotron_h",
    "nemotron_h_moe",
    "qwen3next",
    "kimi-linear",
    "bailingmoe3",
    "kimi-k3",
    "glm5-next",
    "qwen35",
    "qwen35moe",
    "qwen4exp",
    "deepseek4",
    "minimax-01",
];

/// Decoders that llama.cpp lays out alike: RMS norm, rotary attention, gated feed-forward, whose tensors can be checked by
/// one list (`src/models/{llama,qwen2,qwen3,mistral3,smollm3,granite}.cpp`). Their graphs assert that the head sizes
/// of keys and values and the rotated dimensions are equal.
const LLAMA_LIKE: [&str; 6] = ["llama", "qwen2", "qwen3", "mistral3", "smollm3", "granite"];

/// What kind of model an architecture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// A decoder whose tensors are those of Llama.
    LlamaLike,
    /// A decoder without attention.
    Recurrent,
    /// Another decoder.
    Decoder,
    /// No decoder.
    Other,
}

/// The family of an architecture; `None` when llama.cpp does not know it.
pub(super) fn family(name: &str) -> Option<Family> {
    if OTHER.contains(&name) {
        Some(Family::Other)
    } else if !GENERATIVE.contains(&name) {
        None
    } else if LLAMA_LIKE.contains(&name) {
        Some(Family::LlamaLike)
    } else if RECURRENT.contains(&name) {
        Some(Family::Recurrent)
    } else {
        Some(Family::Decoder)
    }
}

/// Whether some of its layers keep a state for each sequence beside, or instead of, keys and values for each token.
pub(super) fn keeps_states(name: &str) -> bool {
    RECURRENT.contains(&name) || HYBRID.contains(&name)
}

/// The names of all architectures that can be asked.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    GENERATIVE.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_special_families_are_decoders() {
        assert!(RECURRENT.iter().chain(&LLAMA_LIKE).chain(&HYBRID).all(|name| GENERATIVE.contains(name)));
        assert!(OTHER.iter().all(|name| !GENERATIVE.contains(name)));
        assert_eq!((family("llama"), family("mamba")), (Some(Family::LlamaLike), Some(Family::Recurrent)));
        assert_eq!(
            (family("gemma3"), family("bert"), family("lama")),
            (Some(Family::Decoder), Some(Family::Other), None)
        );
    }

    /// The crate's own source, where cargo keeps it; elsewhere (a vendored build) the test has nothing to compare with.
    #[test]
    fn the_lists_are_those_of_the_llama_cpp_that_is_built() {
        let home = std::env::var("CARGO_HOME").unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
        let Ok(registries) = std::fs::read_dir(format!("{home}/registry/src")) else { return };
        let lock = std::fs::read_to_string("Cargo.lock").unwrap();
        let version = lock.split("name = \"llama-cpp-sys-2\"\nversion = \"").nth(1).unwrap().split('"').next().unwrap();
        for registry in registries {
            let file = format!("llama-cpp-sys-2-{version}/llama.cpp/src/llama-arch.cpp");
            let Ok(source) = std::fs::read_to_string(registry.unwrap().path().join(file)) else { continue };
            let (_, table) = source.split_once("LLM_ARCH_NAMES = {").unwrap();
            let (table, _) = table.split_once("};").unwrap();
            let mut known: Vec<&str> = table.lines().filter_map(|line| line.split('"').nth(1)).collect();
            known.retain(|name| *name != "(unknown)");
            known.sort_unstable();
            let mut ours: Vec<&str> = GENERATIVE.into_iter().chain(OTHER).collect();
            ours.sort_unstable();
            assert_eq!(ours, known);
        }
    }
}
