//! `--type`: the number formats that a file can be brought to.

use crate::ggml::quants;
use crate::gguf::TensorType;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use std::ffi::OsStr;

/// The names that are offered, from most to fewest bits; others that ggml can write are taken too.
const OFFERED: [(&str, &str); 15] = [
    ("f32", "32 bits: exact"),
    ("bf16", "16 bits with the range of f32"),
    ("f16", "16 bits"),
    ("q8_0", "8.5 bits: hardly worse"),
    ("q6_k", "6.6 bits"),
    ("q5_k", "5.5 bits"),
    ("q5_1", "6 bits"),
    ("q5_0", "5.5 bits"),
    ("q4_k", "4.5 bits: the usual choice for large models"),
    ("q4_1", "5 bits"),
    ("q4_0", "4.5 bits"),
    ("iq4_nl", "4.5 bits"),
    ("iq4_xs", "4.25 bits"),
    ("q3_k", "3.4 bits"),
    ("q2_k", "2.6 bits: much worse"),
];

/// Reads the name of a format, in capitals or not; refuses by name what needs an importance matrix.
#[derive(Debug, Clone)]
pub(super) struct NumberFormat;

impl TypedValueParser for NumberFormat {
    type Value = TensorType;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<TensorType, clap::Error> {
        let name = StringValueParser::new().parse_ref(command, argument, value)?;
        read(&name).map_err(|why| clap::Error::raw(ErrorKind::InvalidValue, why + "\n").with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(OFFERED.into_iter().map(|(name, help)| PossibleValue::new(name).help(help))))
    }
}

fn read(name: &str) -> Result<TensorType, String> {
    let names = || OFFERED.map(|(name, _)| name).join(", ");
    let stem = || {
        let stem = name.rsplit_once('_').map(|(stem, _)| stem).filter(|stem| TensorType::from_name(stem).is_some());
        stem.map_or_else(String::new, |stem| {
            format!("; mixtures such as {name} are not made here, `{}` is the nearest", stem.to_lowercase())
        })
    };
    match TensorType::from_name(name) {
        Some(kind) if quants::can_write(kind) => Ok(kind),
        Some(kind) if kind.is_weight() => {
            Err(format!("{kind} needs an importance matrix, which Tripos does not make (use one of {})", names()))
        }
        Some(kind) => Err(format!("{kind} is no format of weights (use one of {})", names())),
        None => Err(format!("there is no number format `{name}`{} (use one of {})", stem(), names())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_name_is_a_format_that_can_be_written() {
        assert!(OFFERED.iter().all(|(name, _)| read(name).is_ok()));
        assert_eq!(read("Q4_K"), Ok(TensorType::Q4_K));
    }

    #[test]
    fn refuses_by_name() {
        let why = |name: &str| read(name).unwrap_err().split_once(" (use").unwrap().0.to_owned();
        insta::assert_snapshot!(why("iq2_xs"), @"IQ2_XS needs an importance matrix, which Tripos does not make");
        insta::assert_snapshot!(why("i32"), @"I32 is no format of weights");
        insta::assert_snapshot!(why("q4_k_m"), @"there is no number format `q4_k_m`; mixtures such as q4_k_m are not made here, `q4_k` is the nearest");
        insta::assert_snapshot!(why("int4"), @"there is no number format `int4`");
    }
}
