//! What can be wrong with a GGUF file, and how to mend it.

use super::impostor::Impostor;
use crate::error::{Explain, Place, did_you_mean, nearest};

/// Something wrong with a file that should be a model or an adapter: the file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct GgufError {
    /// The file.
    pub place: Place,
    /// What is wrong with it.
    pub problem: GgufProblem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum GgufProblem {
    /// Nothing is there.
    #[error("there is no such model file")]
    Missing,
    /// A folder, not a file.
    #[error("this is a folder, not a model file")]
    Folder,
    /// A file of 0 bytes.
    #[error("the model file is empty")]
    Empty,
    /// The system would not read or write it.
    #[error("the model file cannot be read or written: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The first bytes are not `GGUF`.
    #[error("this is not a GGUF file: it looks like {0}")]
    NotGguf(Impostor),
    /// Numbers are stored the other way round.
    #[error("this GGUF file is big-endian; llama.cpp reads the byte order of this machine only")]
    BigEndian,
    /// Not version 2 or 3.
    #[error("this GGUF file has version {0}; llama.cpp reads versions 2 and 3")]
    Version(u32),
    /// The file ends before its header does, or a length in the header is nonsense.
    #[error("the header is damaged or cut off: {reading} needs {needs} more bytes, and {left} are left in the file")]
    HeaderCut {
        /// What was being read.
        reading: String,
        /// How many bytes it claims.
        needs: u64,
        /// How many there are.
        left: u64,
    },
    /// No real header is that long.
    #[error("the header is damaged: {reading} would take it beyond {limit} bytes")]
    HeaderTooLong {
        /// What was being read.
        reading: String,
        /// The longest header read.
        limit: u64,
    },
    /// The header says something that cannot be.
    #[error("the header is damaged: {reading} {fault}")]
    Header {
        /// What was being read.
        reading: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The tensors' data goes beyond the end of the file.
    #[error("the file is cut off: {missing} of {expected} bytes are missing")]
    Truncated {
        /// How many bytes are missing.
        missing: u64,
        /// How long the file would be.
        expected: u64,
    },
    /// A metadata value is absent.
    #[error("the metadata lacks `{key}` ({expected})")]
    MissingField {
        /// Its name.
        key: String,
        /// Its type.
        expected: &'static str,
    },
    /// A metadata value is of the wrong type or outside its range.
    #[error("metadata `{key}` {fault}")]
    Field {
        /// Its name.
        key: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A tensor that the architecture needs is absent.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that llama.cpp could not use.
    #[error("tensor `{name}` {fault}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// llama.cpp has no such architecture.
    #[error("llama.cpp does not know the architecture `{architecture}`")]
    UnknownArchitecture {
        /// What the file says.
        architecture: String,
    },
    /// llama.cpp knows the architecture, but it does not continue a text token by token.
    #[error("the architecture `{architecture}` cannot continue a text from left to right")]
    NotGenerative {
        /// What the file says.
        architecture: String,
    },
    /// One part of a model in several files.
    #[error("this file is one of the {parts} parts of a split model")]
    Split {
        /// How many there are.
        parts: u64,
    },
    /// An adapter that was trained on another model.
    #[error("this adapter was trained on {trained_on}, not on {given}")]
    OtherBase {
        /// The model that it was trained on.
        trained_on: String,
        /// The model that it is to be applied to.
        given: String,
    },
    /// An adapter stands where a model should.
    #[error("this is an adapter, not a model")]
    NotModel,
    /// A model stands where an adapter should.
    #[error("this is a model, not an adapter")]
    NotAdapter,
    /// The file holds something other than a model or an adapter.
    #[error("this GGUF file holds `{general_type}`, not a language model or an adapter")]
    OtherKind {
        /// `general.type`.
        general_type: String,
    },
}

impl GgufProblem {
    /// The problem at its file.
    pub(super) fn at(self, place: &Place) -> GgufError {
        GgufError { place: place.clone(), problem: self }
    }

    /// A metadata value that is wrong.
    pub(super) fn field(key: impl Into<String>, fault: impl Into<String>) -> Self {
        Self::Field { key: key.into(), fault: fault.into() }
    }

    /// A tensor that is wrong.
    pub(super) fn tensor(name: impl Into<String>, fault: impl Into<String>) -> Self {
        Self::Tensor { name: name.into(), fault: fault.into() }
    }
}

impl Explain for GgufError {
    fn at(&self) -> Option<&Place> {
        Some(&self.place)
    }

    fn help(&self) -> Option<String> {
        const AGAIN: &str =
            "the file is damaged; download or export it again, and compare its SHA-256 with the source's";
        Some(match &self.problem {
            GgufProblem::Missing => "check the path; what a file names is relative to that file".into(),
            GgufProblem::Folder => "name one `.gguf` file in it".into(),
            GgufProblem::Empty => "the download did not start or was not saved; download it again".into(),
            GgufProblem::Unreadable(_) => {
                "check that you may use the file and its folder, and that the disk is healthy and not full".into()
            }
            GgufProblem::NotGguf(impostor) => impostor.help().into(),
            GgufProblem::BigEndian => "convert it again with `convert_hf_to_gguf.py` without `--bigendian`".into(),
            GgufProblem::Version(1) => "version 1 dates from August 2023; download or convert the model again".into(),
            GgufProblem::Version(_) | GgufProblem::HeaderTooLong { .. } | GgufProblem::Header { .. } => AGAIN.into(),
            GgufProblem::HeaderCut { .. } | GgufProblem::Truncated { .. } => {
                "the download or copy stopped early; download it again".into()
            }
            GgufProblem::MissingField { .. }
            | GgufProblem::Field { .. }
            | GgufProblem::MissingTensor { .. }
            | GgufProblem::Tensor { .. } => "llama.cpp would refuse it or end the program; \
                 download the file again, or convert the model again with a current `convert_hf_to_gguf.py`"
                .into(),
            GgufProblem::UnknownArchitecture { architecture } => unknown_architecture(architecture),
            GgufProblem::NotGenerative { .. } => {
                "use a text-generation (decoder) model; encoders, diffusion, audio and draft models cannot be asked"
                    .into()
            }
            GgufProblem::Split { .. } => {
                "join the parts first: `llama-gguf-split --merge <first part> <whole.gguf>`".into()
            }
            GgufProblem::OtherBase { .. } => "name the model that it was trained on, or train one on this model; \
                 a copy in another format is another model too: merge into the original, then quantize"
                .into(),
            GgufProblem::NotModel => "name the model that it was trained on, and this file as its adapter".into(),
            GgufProblem::NotAdapter => {
                "name an adapter, which a recipe or PEFT makes; a model is asked by itself".into()
            }
            GgufProblem::OtherKind { .. } => "name the language model's own file; this one goes beside it".into(),
        })
    }
}

/// The nearest names only: the whole list has more than a hundred.
fn unknown_architecture(architecture: &str) -> String {
    let known = super::architecture::names();
    let near: Vec<&str> = known.filter(|name| nearest(architecture, [*name]).is_some()).collect();
    if near.is_empty() {
        "it may be newer than this build of llama.cpp; update Tripos, or use a model of another architecture".into()
    } else {
        did_you_mean(architecture, &near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::render;

    fn text(problem: GgufProblem) -> String {
        render(&problem.at(&Place::file("models/a.gguf")), false)
    }

    #[test]
    fn a_cut_file_says_how_many_bytes_are_missing() {
        insta::assert_snapshot!(text(GgufProblem::Truncated { missing: 12, expected: 100 }), @r"
        error: the file is cut off: 12 of 100 bytes are missing
          --> models/a.gguf
          help: the download or copy stopped early; download it again
        ");
    }

    #[test]
    fn a_bad_field_is_named() {
        insta::assert_snapshot!(text(GgufProblem::field("llama.block_count", "is 0, outside 1 to 512")), @r"
        error: metadata `llama.block_count` is 0, outside 1 to 512
          --> models/a.gguf
          help: llama.cpp would refuse it or end the program; download the file again, or convert the model again with a current `convert_hf_to_gguf.py`
        ");
    }

    #[test]
    fn an_unknown_architecture_names_the_nearest() {
        let unknown = |a: &str| text(GgufProblem::UnknownArchitecture { architecture: a.into() });
        insta::assert_snapshot!(unknown("lama"), @r"
        error: llama.cpp does not know the architecture `lama`
          --> models/a.gguf
          help: did you mean `llama`? (llama, llama4, plamo, mamba, jamba, lfm2)
        ");
        insta::assert_snapshot!(unknown("zebra-9000"), @r"
        error: llama.cpp does not know the architecture `zebra-9000`
          --> models/a.gguf
          help: it may be newer than this build of llama.cpp; update Tripos, or use a model of another architecture
        ");
    }

    #[test]
    fn a_page_saved_as_a_model_is_recognised() {
        insta::assert_snapshot!(text(GgufProblem::NotGguf(Impostor::Html)), @r"
        error: this is not a GGUF file: it looks like a web page (HTML)
          --> models/a.gguf
          help: the download saved a page instead of the file; use the direct link (`…/resolve/main/….gguf`)
        ");
    }
}
