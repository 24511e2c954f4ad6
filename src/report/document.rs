//! What every page of Tripos begins with: a policy under which nothing but its own style and script runs.

use data_encoding::BASE64;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest, Sha256};

/// The `Content-Security-Policy` source of an inline text.
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

/// Everything up to the beginning of the body. The page may hold this one style and this one script, and fetches nothing.
pub(super) fn head(title: &str, style: &str, script: &str) -> String {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        source(script),
        source(style)
    );
    let head = html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="color-scheme" content="light dark";
            meta name="generator" content=(concat!("tripos ", env!("CARGO_PKG_VERSION")));
            title { (title) " · Tripos" }
            // Without it a browser asks a server for one.
            link rel="icon" href="data:,";
            style { (PreEscaped(style)) }
        }
    };
    format!("{}<html lang=\"en\">{}<body>\n", DOCTYPE.into_string(), head.into_string())
}
