//! Models that are cut into several files: `name-00001-of-00003.gguf` (llama.cpp's `gguf-split`).

/// Most parts that are believed.
const MOST: u32 = 999;

/// A part's name: what comes before the numbers, which part it is and of how many.
fn numbered(file: &str) -> Option<(&str, u32, u32)> {
    let bare = file.strip_suffix(".gguf")?;
    let (rest, of) = bare.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let read = |digits: &str| -> Option<u32> {
        (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let (number, of) = (read(number)?, read(of)?);
    ((1..=of).contains(&number) && of <= MOST && !stem.is_empty()).then_some((stem, number, of))
}

/// The names of all parts of the model that a file is part of, in order; `None` where it is a whole one.
pub(super) fn parts(file: &str) -> Option<Vec<String>> {
    let (stem, _, of) = numbered(file)?;
    Some((1..=of).map(|number| format!("{stem}-{number:05}-of-{of:05}.gguf")).collect())
}

/// The name of the whole: `name.gguf`.
pub(super) fn whole(file: &str) -> String {
    numbered(file).map_or_else(|| file.to_owned(), |(stem, ..)| format!("{stem}.gguf"))
}

/// Whether it is a part other than the first, which stands for the model.
pub(super) fn follows(file: &str) -> bool {
    numbered(file).is_some_and(|(_, number, _)| number > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_each_other() {
        let all = ["d/m-00001-of-00002.gguf", "d/m-00002-of-00002.gguf"];
        assert_eq!(parts(all[1]).unwrap(), all);
        assert_eq!(whole(all[1]), "d/m.gguf");
        assert!(follows(all[1]) && !follows(all[0]));
    }

    #[test]
    fn other_names_are_whole_files() {
        for name in [
            "m.gguf",
            "m-1-of-2.gguf",
            "m-00003-of-00002.gguf",
            "m-00000-of-00002.gguf",
            "-00001-of-00002.gguf",
            "m-00001-of-99999.gguf",
        ] {
            assert_eq!(parts(name), None, "{name}");
            assert_eq!(whole(name), name);
        }
    }
}
