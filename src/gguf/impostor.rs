//! What a file that is not a GGUF looks like, so that the message can say what happened.

use std::fmt;

/// A kind of file that people mistake for a GGUF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Impostor {
    /// The stand-in that git keeps when git-lfs is not installed.
    LfsPointer,
    /// A web page.
    Html,
    /// Weights in safetensors.
    Safetensors,
    /// A zip archive; PyTorch's `.bin`, `.pt` and `.pth` are zips too.
    Zip,
    /// An old PyTorch file (a bare pickle).
    Pickle,
    /// The formats before GGUF: GGML, GGMF, GGJT, GGLA.
    OldGgml,
    /// JSON, such as `config.json` or an error message of a server.
    Json,
    /// A gzip archive.
    Gzip,
    /// Zeros: space reserved by a download that never filled it.
    Zeros,
    /// Plain text.
    Text,
    /// Something else, with its first four bytes in hexadecimal.
    Unknown(String),
}

impl Impostor {
    /// Judges by the first bytes of a file (64 are enough).
    #[must_use]
    pub fn of(start: &[u8]) -> Self {
        let text = String::from_utf8_lossy(start);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with("version https://git-lfs") {
            Self::LfsPointer
        } else if text.starts_with('<') {
            Self::Html
        } else if start.get(8) == Some(&b'{') {
            // Eight bytes of length, then JSON.
            Self::Safetensors
        } else if start.starts_with(b"PK") {
            Self::Zip
        } else if start.starts_with(b"\x1f\x8b") {
            Self::Gzip
        } else if start.starts_with(b"\x80\x02") || start.starts_with(b"\x80\x04") {
            Self::Pickle
        } else if [b"lmgg", b"fmgg", b"tjgg", b"algg"].iter().any(|magic| start.starts_with(*magic)) {
            Self::OldGgml
        } else if text.starts_with(['{', '[']) {
            Self::Json
        } else if start.iter().all(|byte| *byte == 0) {
            Self::Zeros
        } else if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
            Self::Text
        } else {
            Self::Unknown(start.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        }
    }

    /// How to get the file that was meant.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::LfsPointer => "git cloned a pointer to the file; run `git lfs install && git lfs pull`",
            Self::Html => {
                "the download saved a page instead of the file; use the direct link (`…/resolve/main/….gguf`)"
            }
            Self::Safetensors | Self::Zip | Self::Pickle => {
                "convert the model with llama.cpp's `convert_hf_to_gguf.py`, or download a GGUF of it"
            }
            Self::OldGgml => "the format is from before August 2023; download a GGUF of the model",
            Self::Gzip => "unpack it first",
            Self::Json | Self::Text => {
                "name the `.gguf` file itself; a server may also have sent an error message instead"
            }
            Self::Zeros => "the download stopped before it wrote anything; download it again",
            Self::Unknown(_) => "name a `.gguf` file; if this is one, it is damaged: download it again",
        }
    }
}

impl fmt::Display for Impostor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LfsPointer => "a git-lfs pointer",
            Self::Html => "a web page (HTML)",
            Self::Safetensors => "safetensors",
            Self::Zip => "a zip archive or a PyTorch file",
            Self::Pickle => "an old PyTorch file (pickle)",
            Self::OldGgml => "a GGML file from before GGUF",
            Self::Json => "JSON",
            Self::Gzip => "a gzip archive",
            Self::Zeros => "an unfinished download (zeros)",
            Self::Text => "plain text",
            Self::Unknown(bytes) => return write!(f, "nothing known (it begins with {bytes})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_what_people_download_by_mistake() {
        for (start, what) in [
            (&b"version https://git-lfs.github.com/spec/v1\n"[..], Impostor::LfsPointer),
            (b"\n<!DOCTYPE html>", Impostor::Html),
            (b"\x10\x27\0\0\0\0\0\0{\"__metadata__\"", Impostor::Safetensors),
            (b"PK\x03\x04", Impostor::Zip),
            (b"\x80\x02}q\0", Impostor::Pickle),
            (b"tjgg\x03\0\0\0", Impostor::OldGgml),
            (b"{\"error\":\"not found\"}", Impostor::Json),
            (&[0; 64], Impostor::Zeros),
            (b"Entry not found", Impostor::Text),
            (b"\x7fELF\x02", Impostor::Unknown("7f 45 4c 46".into())),
        ] {
            assert_eq!(Impostor::of(start), what);
        }
    }
}
