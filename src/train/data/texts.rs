//! The texts of a recipe that begins from nothing, before there are tokens: written out, and cleaned.

use super::gather::Gathered;
use super::read::of_model;
use super::scribe::{Scribe, Templates};
use super::sources::Sources;
use crate::error::{Place, Problems};
use crate::train::clean::{Dropped, Leaks, Rules, Text, clean};
use crate::train::pretrain::CHATML;
use crate::train::recipe::Recipe;
use rayon::prelude::*;
use std::path::PathBuf;

/// The texts that a model from nothing learns its tokens from: those that are kept, without control tokens.
pub fn texts(recipe: &Recipe, controls: &[String]) -> Result<Vec<String>, Problems> {
    let scribe = Scribe::new(controls, Some(CHATML), (recipe, "", "")).map_err(|error| of_model(recipe, &error))?;
    let mut sources = Sources::new(recipe);
    let mut written: Vec<(bool, Place, String)> = Vec::new();
    for source in &recipe.data {
        let rows = sources.rows(source);
        let templates = Templates::compile(recipe, source)?;
        let lessons: Vec<_> = rows.par_iter().map(|row| scribe.lessons(row, &templates)).collect();
        let mut gathered = Gathered::default();
        for (row, lessons) in rows.into_iter().zip(lessons) {
            match lessons {
                Ok((lessons, _)) => {
                    let text = lessons.into_iter().map(|lesson| lesson.text).collect();
                    written.push((source.is_generated(), row.place, text));
                }
                Err(refused) => refused.gather(&row.place, &mut gathered),
            }
        }
        sources.problems.append(gathered.done());
    }
    sources.problems.or_ok(())?;
    let all = written.iter().map(|(generated, place, text)| Text { text, place: place.clone(), generated: *generated });
    let (kept, _) = kept(recipe, &all.collect::<Vec<_>>())?;
    let texts = written.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|((.., text), _)| text);
    Ok(texts.map(|text| controls.iter().fold(text, |text, control| text.replace(control, "\n"))).collect())
}

/// Whether anything of what a recipe names may be dropped.
pub(super) fn is_cleaned(recipe: &Recipe) -> bool {
    recipe.clean.is_some() || !recipe.leaks.is_empty()
}

/// Which texts are kept, and a word on the others.
pub(super) fn kept(recipe: &Recipe, texts: &[Text]) -> Result<(Vec<bool>, Vec<Dropped>), Problems> {
    let leaks = leaks(&recipe.leaks)?;
    let cleaning = if let Some(rules) = &recipe.clean {
        clean(texts, rules, &leaks)
    } else {
        // No text repeats another where that is not to be looked for.
        let often = texts.iter().map(|text| Text { generated: true, ..text.clone() });
        clean(&often.collect::<Vec<_>>(), &Rules { shortest: 0, ..Rules::default() }, &leaks)
    };
    let mut kept = vec![false; texts.len()];
    for at in cleaning.kept {
        kept[at] = true;
    }
    Ok((kept, cleaning.dropped))
}

/// What the suites ask that must not be learned.
fn leaks(suites: &[PathBuf]) -> Result<Leaks, Problems> {
    let mut leaks = Leaks::default();
    for path in suites {
        let (suite, problems) = crate::suite::load(path, &crate::suite::Overrides::default());
        let Some(suite) = suite else { return Err(problems) };
        for case in &suite.cases {
            leaks.case(&suite.name, case);
        }
    }
    Ok(leaks)
}
