//! One or more runs as one HTML file that needs nothing else: no request leaves it, and it opens from disk.
//!
//! What sums a run up ([`overview`]: verdicts, charts, matrices, curves) is HTML and SVG written here; it is there before
//! any script runs, and in print. The samples follow as chunks ([`pack`]): JSON, deflated, Base64, in blocks that are inert
//! to a browser, so that no text of a model or a case is ever HTML. A small index ([`index`]) lists the cases. The script
//! behind it (`page/*.js`) unpacks the index, draws the rows that are in view, and unpacks a chunk when a case of it is
//! opened or a text is searched. It makes nodes and texts, never HTML from texts.
//!
//! The page's own policy (`Content-Security-Policy`) names the hashes of this one style and this one script: nothing else
//! runs, and nothing is fetched. Samples are read one at a time: memory holds the index and one chunk.

mod columns;
mod cost;
mod curves;
mod facts;
mod groups;
mod index;
mod layers;
mod metrics;
mod overview;
mod pack;
mod sample;
mod verdicts;

use super::document::head;
use super::error::ReportError;
use crate::gate::GateRecord;
use crate::store::read_samples;
use crate::summary::RunSummary;
use columns::Columns;
use index::Index;
use maud::html as markup;
use pack::Pack;
use std::io::Write;

const STYLE: &str = concat!(include_str!("page/page.css"), include_str!("page/samples.css"));
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("page/nodes.js"),
    include_str!("page/data.js"),
    include_str!("page/search.js"),
    include_str!("page/answer.js"),
    include_str!("page/case.js"),
    include_str!("page/list.js"),
    include_str!("page/keys.js"),
);

/// Writes the report of some runs, and of what a gate said of one of them.
///
/// # Errors
/// A run cannot be read, or `out` not written.
pub fn html(runs: &[RunSummary], gate: Option<&GateRecord>, out: &mut dyn Write) -> Result<(), ReportError> {
    let columns = Columns::of(runs);
    out.write_all(head(&columns.title(), STYLE, SCRIPT).as_bytes())?;
    out.write_all(overview::overview(&columns, gate).into_string().as_bytes())?;
    out.write_all(samples_section().into_string().as_bytes())?;
    let mut index = Index::new(&columns, gate);
    let mut pack = Pack::new(out);
    for (run, summary) in runs.iter().enumerate() {
        let mut failed = Ok(());
        read_samples(&summary.dir, |sample| {
            if failed.is_ok()
                && let Some(place) = index.add(run, &sample)
            {
                failed = pack.add(&sample::Shown::of(&summary.header, &sample, place));
            }
        })?;
        failed?;
    }
    pack.flush()?;
    pack.block("index", None, &index.finish()?)?;
    out.write_all(b"<script>")?;
    out.write_all(SCRIPT.as_bytes())?;
    out.write_all(b"</script></body></html>\n")?;
    Ok(())
}

/// What the script fills.
fn samples_section() -> maud::Markup {
    markup! {
        section #samples aria-labelledby="samples-title" {
            h2 #samples-title { "Samples" }
            noscript { p.note { "The samples of this report are listed by a script, which this browser does not run." } }
            div #filters role="search" aria-label="Filter the cases" {}
            p #count role="status" aria-live="polite" {}
            div #list {}
        }
        dialog #case aria-labelledby="case-title" {}
        dialog #keys aria-labelledby="keys-title" {}
        div #tip role="tooltip" popover="manual" {}
        p.print-note { "The list of samples is not printed; open a case to print it." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_makes_no_html_from_texts_and_cannot_end_its_own_block() {
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script", "<!--", "fetch("]
        {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        assert!(!STYLE.contains("</style") && !STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
