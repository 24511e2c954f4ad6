//! `tripos model pull`: a model into the cache, or what a repository holds.

use super::super::elsewhere::{local_bytes, with_hub};
use super::super::failure::Failure;
use super::super::interrupt;
use super::super::output::print;
use super::super::rewriting::{Format, size};
use crate::error::without_secrets;
use crate::hub::{Found, Offer, Repo, Uri};
use crate::train::memory;
use serde_json::json;
use std::fmt::Write;

/// Arguments of `model pull`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// hf://owner/repo/file.gguf[@revision], hf://owner/repo to see what there is, or https://… (#sha256=… behind it says
    /// which bytes are meant)
    #[arg(value_name = "URI")]
    uri: String,
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Downloads, or lists.
pub(super) fn run(args: &Args, quiet: bool) -> Result<(), Failure> {
    let uri = Uri::parse(&args.uri)?;
    interrupt::stop_quietly();
    if let Uri::Repo(repo) = &uri {
        let offers = with_hub(quiet, |hub| hub.offers(repo))?;
        return print(&offered(repo, &offers, args.format));
    }
    let found = with_hub(quiet, |hub| hub.pull(&uri))?;
    print(&match args.format {
        Format::Json => {
            let Found { path, came, sha256 } = &found;
            let bytes = local_bytes(path);
            let document = json!({
                "schema": 1, "uri": uri.to_string(), "path": path, "bytes": bytes, "sha256": sha256, "downloaded": came,
            });
            format!("{document}\n")
        }
        Format::Text => said(&uri, &found),
    })
}

/// Where it lies, and how a suite names it.
fn said(uri: &Uri, found: &Found) -> String {
    let came = if found.came > 0 { format!("{} downloaded", size(found.came)) } else { "it was here".to_owned() };
    let mut text = format!("{}\n{}, {came}\n", found.path.display(), size(local_bytes(&found.path)));
    match (uri, &found.sha256) {
        (Uri::Web { url, .. }, Some(sha256)) => {
            let url = without_secrets(url);
            let _ = writeln!(text, "in a suite or a recipe:\n  model: {{url: \"{url}\", sha256: {sha256}}}");
        }
        _ => {
            let _ = writeln!(text, "in a suite or a recipe:\n  model: {uri}");
        }
    }
    text
}

/// The models of a repository, and which of them this machine can hold.
fn offered(repo: &Repo, offers: &[Offer], format: Format) -> String {
    let free = memory::available();
    let fits = |offer: &Offer| free.map(|free| offer.bytes <= free);
    let uri = |offer: &Offer| Uri::File { repo: repo.clone(), file: offer.file.clone() }.to_string();
    if format == Format::Json {
        let one = |offer: &Offer| {
            json!({
                "uri": uri(offer), "file": offer.file, "bytes": offer.bytes, "parts": offer.parts, "fits": fits(offer),
            })
        };
        let files: Vec<_> = offers.iter().map(one).collect();
        return format!("{}\n", json!({"schema": 1, "repository": repo.to_string(), "memory": free, "files": files}));
    }
    let Some(first) = offers.iter().rfind(|offer| fits(offer) != Some(false)).or(offers.first()) else {
        return format!("{repo} holds no GGUF\n");
    };
    let width = offers.iter().map(|offer| offer.file.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for offer in offers {
        let parts = if offer.parts > 1 { format!("  {} parts", offer.parts) } else { String::new() };
        let fits = if fits(offer) == Some(false) { "  too large for the memory" } else { "" };
        let _ = writeln!(text, "{:<width$}  {:>10}{parts}{fits}", offer.file, size(offer.bytes));
    }
    if let Some(free) = free {
        let _ = writeln!(text, "\n{} of memory are free", size(free));
    }
    let _ = writeln!(text, "for one of them: tripos model pull {}", uri(first));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_marked_and_what_fits_is_proposed() {
        let Uri::Repo(repo) = Uri::parse("hf://o/r@v1").unwrap() else { panic!("a repository") };
        let offer = |file: &str, bytes, parts| Offer { file: file.into(), bytes, parts };
        let offers = [offer("a-q4.gguf", 3 << 20, 1), offer("big-00001-of-00002.gguf", 1 << 50, 2)];
        let text = offered(&repo, &offers, Format::Text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.contains("are free")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        a-q4.gguf                   3.0 MiB
        big-00001-of-00002.gguf  1024.0 TiB  2 parts  too large for the memory
        for one of them: tripos model pull hf://o/r/a-q4.gguf@v1
        ");
        assert_eq!(offered(&repo, &[], Format::Text), "hf://o/r@v1 holds no GGUF\n");
    }
}
