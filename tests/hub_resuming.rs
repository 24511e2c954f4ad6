//! Downloads that go on, and must neither end too late, nor lose what is here, nor glue two files together.

use crate::hub_faults::{PULL, blobs, content, faulty, files_hold, is_bytes, is_whole, problem};
use crate::hub_server::{Reply, Server, command, part, sha256};
use crate::workspace::{Said, Workspace, model, said};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:9";

fn tiny() -> Vec<u8> {
    std::fs::read(model()).unwrap()
}

fn ask(workspace: &Workspace, arguments: &[&str]) -> Said {
    said(&command(workspace, DEAD, arguments).output().unwrap())
}

/// Where a file of another address lies.
fn place(workspace: &Workspace, bytes: &[u8]) -> PathBuf {
    workspace.path().join("cache/models/sha256").join(sha256(bytes)).join("a.gguf")
}

/// Pulls `/a.gguf` of a server, without a hash.
fn pulled(server: &Server) -> Workspace {
    let workspace = Workspace::new();
    let said = ask(&workspace, &["model", "pull", &format!("http://{}/a.gguf", server.address)]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    workspace
}

#[test]
fn a_server_that_never_gets_further_is_given_up() {
    // It knows no parts, so bytes come each time, and they are the same.
    let hub = faulty(|asked| is_bytes(asked).then(|| Reply::new("200 OK", content()).cut(400_000)));
    let workspace = Workspace::new();
    let said = hub.tripos(&workspace, &PULL);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    insta::assert_snapshot!(problem(&said.stderr), @r"
    error: the connection broke off 5 times in a row, at 390.6 KiB of 1.5 MiB
      --> hf://o/r/a.gguf
      help: try again later, what came is kept: tripos model pull hf://o/r/a.gguf
    ");
    assert_eq!(hub.bytes.asked("/bytes/").len(), 5);
}

#[test]
fn what_is_here_stays_when_a_page_or_another_length_answers() {
    let hub = faulty(|asked| {
        is_bytes(asked).then(|| match asked.nth {
            0 => Reply::new("200 OK", "<!doctype html><title>Log in</title>"),
            1 => Reply::new("200 OK", &content()[..1000]),
            _ => part(asked, &content()),
        })
    });
    let workspace = Workspace::new();
    let kept = blobs(&workspace).join(format!("{}.incomplete", sha256(&content())));
    std::fs::create_dir_all(blobs(&workspace)).unwrap();
    std::fs::write(&kept, &content()[..500_000]).unwrap();
    for expected in ["what is there is no GGUF: it looks like a web page", "the server gives 1000 bytes"] {
        let refused = hub.tripos(&workspace, &PULL);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        assert_eq!(std::fs::read(&kept).unwrap(), content()[..500_000]);
    }
    hub.ok(&workspace, &PULL);
    assert!(is_whole(&workspace));
    assert_eq!(hub.bytes.asked("/bytes/")[2].header("range"), Some("bytes=500000-"));
}

#[test]
fn without_a_hash_the_rest_of_another_file_is_not_added() {
    let mut other = content();
    other[1000] ^= 1;
    let now = other.clone();
    // It takes no notice of If-Range.
    let server = Server::start(move |asked| {
        let rest = || {
            Reply::new("206 Partial Content", &now[400_000..])
                .with("Content-Range: bytes 400000-1572863/1572864")
                .with("ETag: \"two\"")
        };
        match asked.nth {
            0 => Reply::new("200 OK", content()).with("ETag: \"one\"").cut(400_000),
            _ if asked.header("range").is_some() => rest(),
            _ => Reply::new("200 OK", now.clone()).with("ETag: \"two\""),
        }
    });
    let workspace = pulled(&server);
    assert!(std::fs::read(place(&workspace, &other)).unwrap() == other);
    let ranges: Vec<_> = server.asked("").iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=400000-".to_owned()), None]);
}

#[test]
fn without_a_hash_and_a_name_of_the_bytes_everything_comes_again() {
    for etag in ["X-Other: none", "ETag: W/\"weak\""] {
        let server = Server::start(move |asked| {
            let whole = Reply::new("200 OK", content()).with(etag);
            if asked.nth == 0 { whole.cut(400_000) } else { part(asked, &content()) }
        });
        let workspace = pulled(&server);
        assert!(std::fs::read(place(&workspace, &content())).unwrap() == content());
        let asked = server.asked("");
        assert_eq!((asked.len(), asked[1].header("range")), (2, None));
    }
}

#[test]
fn a_body_without_a_length_is_whole_when_its_tensors_are() {
    let half = tiny().len() / 2;
    let server = Server::start(move |asked| {
        let reply = part(asked, &tiny());
        if asked.nth == 0 { reply.silent().cut(half) } else { reply.silent() }
    });
    let workspace = pulled(&server);
    assert!(std::fs::read(place(&workspace, &tiny())).unwrap() == tiny());
    let asked = server.asked("");
    assert_eq!((asked.len(), asked[1].header("range")), (2, Some(format!("bytes={half}-").as_str())));
    // With a hash what came is no wrong file, but the beginning of the right one; and it need be no GGUF that we can read.
    let cut = Server::start(move |asked| {
        let reply = part(asked, &content());
        if asked.nth == 0 { reply.silent().cut(400_000) } else { reply.silent() }
    });
    let (workspace, sha) = (Workspace::new(), sha256(&content()));
    let said = ask(&workspace, &["model", "pull", &format!("http://{}/a.gguf#sha256={sha}", cut.address)]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(cut.asked("")[1].header("range"), Some("bytes=400000-"));
    let whole = Server::start(|_| Reply::new("200 OK", tiny()).silent());
    pulled(&whole);
    assert_eq!(whole.asked("").len(), 1);
}

#[test]
fn two_processes_pull_one_address_without_a_hash() {
    let server = Server::start(|asked| part(asked, &content()).paced(Duration::from_millis(20)));
    let (workspace, url) = (Workspace::new(), format!("http://{}/a.gguf", server.address));
    let start = || {
        let mut command = command(&workspace, DEAD, &["model", "pull", &url]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| said(&child.wait_with_output().unwrap()));
    assert!(both.iter().all(|said| said.code == Some(0)), "{both:?}");
    assert!(std::fs::read(place(&workspace, &content())).unwrap() == content());
    let unnamed = std::fs::read_dir(workspace.path().join("cache/models/unnamed")).unwrap();
    let left: Vec<_> = unnamed.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

#[test]
fn a_signature_is_sent_and_neither_shown_nor_kept() {
    let server = Server::start(|asked| part(asked, &tiny()));
    let (sha, workspace) = (sha256(&tiny()), Workspace::llama());
    let (plain, signed) =
        (format!("http://{}/a.gguf", server.address), format!("http://{}/a.gguf?X-Signature=secret", server.address));
    let pulled = ask(&workspace, &["model", "pull", &signed]);
    assert_eq!(pulled.code, Some(0), "{}", pulled.stderr);
    assert!(pulled.stdout.contains(&format!("model: {{url: \"{plain}\", sha256: {sha}}}")), "{}", pulled.stdout);
    assert_eq!(server.asked("X-Signature=secret").len(), 1);
    let listed = ask(&workspace, &["model", "list"]).stdout;
    assert!(listed.starts_with(&format!("{plain}#sha256={sha}\n")), "{listed}");
    assert!(!files_hold(&workspace.path().join("cache"), b"secret"));
    // In a suite: the run is recorded without it.
    let named = format!("{{url: '{signed}', sha256: {sha}}}");
    let suite = workspace.read("suite.yaml").replace(&model().display().to_string(), &named);
    workspace.write("suite.yaml", suite);
    let ran = ask(&workspace, &["run", "suite.yaml", "--limit", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let header = std::fs::read_to_string(workspace.run_folder().join("header.json")).unwrap();
    assert!(header.contains(&format!("{plain}#sha256={sha}")) && !header.contains("secret"), "{header}");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("secret"));
    // Another signature of the same address.
    let removed = ask(&workspace, &["model", "rm", &format!("{plain}?X-Signature=later")]);
    assert_eq!(removed.stdout.lines().next(), Some(format!("removed {plain}#sha256={sha}").as_str()));
}

#[test]
fn no_message_shows_a_signature() {
    let circle = faulty(|asked| {
        let to = format!("Location: {}?X-Signature=secret", asked.path.split('?').next().unwrap());
        asked.path.contains("/resolve/").then(|| Reply::new("302 Found", "").with(to))
    });
    let refused = circle.tripos(&Workspace::new(), &PULL);
    assert!(refused.stderr.contains("a.gguf leads back to itself"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    for arguments in [["model", "pull"], ["model", "show"], ["model", "rm"]] {
        let uri = format!("{DEAD}/a.gguf?X-Signature=secret#sha256={}", "0".repeat(64));
        let refused = ask(&Workspace::new(), &[arguments[0], arguments[1], &uri]);
        assert_eq!(refused.code, Some(2));
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
}
