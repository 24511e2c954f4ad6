//! Everything that goes wrong on the way to a model: what is said, what is tried again, and what is never kept.

use crate::hub_server::{Asked, FakeHub, Reply, Server, command, noise, part, sha256};
use crate::workspace::{Said, Workspace, said};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const URI: &str = "hf://o/r/a.gguf";
pub(crate) const PULL: [&str; 3] = ["model", "pull", URI];

/// 1.5 MiB: several pieces of any size.
pub(crate) fn content() -> Vec<u8> {
    noise(3 << 19)
}

/// A hub with one file, which misbehaves.
pub(crate) fn faulty(fault: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> FakeHub {
    FakeHub::new(&[("a.gguf", content()), ("b-q4.gguf", noise(10))], fault)
}

pub(crate) fn blobs(workspace: &Workspace) -> PathBuf {
    workspace.path().join("hf/hub/models--o--r/blobs")
}

/// What lies where the bytes go, by name.
fn left(workspace: &Workspace) -> Vec<String> {
    let entries = std::fs::read_dir(blobs(workspace)).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn is_whole(workspace: &Workspace) -> bool {
    let blob = blobs(workspace).join(sha256(&content()));
    std::fs::read(blob).is_ok_and(|bytes| bytes == content())
}

/// Pulls what cannot be pulled: nothing is left that looks whole. Gives the message, addresses taken out.
fn refused(hub: &FakeHub) -> String {
    let workspace = Workspace::new();
    let said = hub.tripos(&workspace, &PULL);
    assert_eq!(said.code, Some(2), "{}{}", said.stdout, said.stderr);
    assert_eq!(said.stdout, "");
    assert_eq!(left(&workspace), [""; 0]);
    let listed = hub.ok(&workspace, &["model", "list"]).stdout;
    assert!(listed.starts_with("the cache holds no model"), "{listed}");
    said.stderr.replace(&hub.hub.address, "HUB").replace(&hub.bytes.address, "BYTES")
}

/// The last problem of a message, without the lines about what was tried before.
pub(crate) fn problem(text: &str) -> &str {
    text.find("error: ").map_or(text, |at| &text[at..])
}

pub(crate) fn is_bytes(asked: &Asked) -> bool {
    asked.path.starts_with("/bytes/")
}

fn is_api(asked: &Asked) -> bool {
    asked.path.starts_with("/api/")
}

#[test]
fn a_connection_that_breaks_is_gone_on_with() {
    let hub = faulty(|asked| {
        let reply = part(asked, &content());
        (is_bytes(asked) && asked.nth < 2).then(|| reply.cut(400_000))
    });
    let workspace = Workspace::new();
    let said = hub.ok(&workspace, &PULL);
    assert!(is_whole(&workspace), "{}", said.stderr);
    assert!(said.stderr.contains("the connection broke off ("), "{}", said.stderr);
    let asked = hub.bytes.asked("/bytes/");
    let etag = format!("\"{}\"", &sha256(&content())[..16]);
    assert_eq!(asked.len(), 3);
    assert_eq!((asked[0].header("range"), asked[0].header("if-range")), (None, None));
    assert_eq!(asked[1].header("range"), Some("bytes=400000-"));
    assert_eq!(asked[2].header("range"), Some("bytes=800000-"));
    assert_eq!(asked[2].header("if-range"), Some(etag.as_str()));
}

#[test]
fn a_later_try_goes_on_where_the_last_one_ended_unless_the_file_is_another_now() {
    // The first try never gets past a third.
    let broken = faulty(|asked| {
        let whole = Reply::new("200 OK", content()).with("ETag: \"old\"");
        let rest = Reply::new("206 Partial Content", &content()[500_000..]);
        let rest = rest.with("Content-Range: bytes 500000-1572863/1572864").with("ETag: \"old\"");
        is_bytes(asked).then(|| if asked.nth == 0 { whole.cut(500_000) } else { rest.cut(0) })
    });
    let workspace = Workspace::new();
    let first = broken.tripos(&workspace, &PULL);
    assert_eq!(first.code, Some(2));
    let kept = blobs(&workspace).join(format!("{}.incomplete", sha256(&content())));
    assert_eq!(std::fs::read(&kept).unwrap(), content()[..500_000], "{}", first.stderr);
    let listed = broken.ok(&workspace, &["model", "list"]).stdout;
    insta::assert_snapshot!(listed.split(", used").next().unwrap(), @r"
    hf://o/r/a.gguf
      488.3 KiB of 1.5 MiB, broken off
    ");
    // Another hub, where the server's name for the bytes has changed: everything comes, from the beginning.
    let right = faulty(|_| None);
    let said = right.ok(&workspace, &PULL);
    assert!(is_whole(&workspace) && said.stderr.contains("488.3 KiB of it here already"), "{}", said.stderr);
    let asked = right.bytes.asked("/bytes/");
    assert_eq!((asked.len(), asked[0].header("range")), (1, Some("bytes=500000-")));
    assert!(asked[0].header("if-range").is_some());
    assert_eq!(left(&workspace), [sha256(&content())]);
}

#[test]
fn what_was_there_and_is_wrong_is_fetched_anew_once() {
    // As long as the whole, longer, and as another program might leave it: with bytes that are others.
    for before in [vec![0; 3 << 19], vec![7; 4 << 20], vec![9; 1000]] {
        let (hub, workspace) = (faulty(|_| None), Workspace::new());
        std::fs::create_dir_all(blobs(&workspace)).unwrap();
        std::fs::write(blobs(&workspace).join(format!("{}.incomplete", sha256(&content()))), before).unwrap();
        let said = hub.ok(&workspace, &PULL);
        assert!(is_whole(&workspace), "{}", said.stderr);
        assert_eq!(left(&workspace), [sha256(&content())]);
    }
}

#[test]
fn a_server_without_parts_gives_the_whole_again() {
    let hub = faulty(|asked| {
        let whole = Reply::new("200 OK", content());
        is_bytes(asked).then(|| if asked.nth == 0 { whole.cut(700_000) } else { whole })
    });
    let workspace = Workspace::new();
    hub.ok(&workspace, &PULL);
    assert!(is_whole(&workspace));
}

#[test]
fn a_range_beyond_the_end_ends_the_download_of_a_file_whose_length_nobody_knew() {
    let server = Server::start(|asked| part(asked, &content()));
    let workspace = Workspace::new();
    let sha = sha256(&content());
    let uri = format!("http://{}/a.gguf#sha256={sha}", server.address);
    let folder = workspace.path().join("cache/models/sha256").join(&sha);
    std::fs::create_dir_all(&folder).unwrap();
    // Killed between the last byte and the new name.
    std::fs::write(folder.join("a.gguf.incomplete"), content()).unwrap();
    let said = said(&command(&workspace, "http://127.0.0.1:9", &["model", "pull", &uri]).output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(std::fs::read(folder.join("a.gguf")).unwrap(), content());
    assert_eq!(server.asked("")[0].header("range"), Some("bytes=1572864-"));
}

#[test]
fn a_server_that_is_busy_or_out_of_order_is_asked_again() {
    let hub = faulty(|asked| match (is_api(asked), asked.nth) {
        (true, 0) => Some(Reply::new("503 Service Unavailable", "")),
        (true, 1) => Some(Reply::new("429 Too Many Requests", "").with("Retry-After: 2")),
        (false, 0) if is_bytes(asked) => Some(Reply::new("500 Internal Server Error", "")),
        _ => None,
    });
    let workspace = Workspace::new();
    let began = Instant::now();
    let said = hub.ok(&workspace, &PULL);
    assert!(is_whole(&workspace) && began.elapsed() >= Duration::from_secs(2), "{}", said.stderr);
    assert!(said.stderr.contains("is out of order: 503 Service Unavailable; again in 0."), "{}", said.stderr);
    assert!(
        said.stderr.contains("has had too many requests (429), and asks to wait 2 s; again in 2.0 s"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_server_that_stays_so_is_given_up() {
    let patience =
        faulty(|asked| is_api(asked).then(|| Reply::new("429 Too Many Requests", "").with("Retry-After: 3600")));
    insta::assert_snapshot!(refused(&patience), @r"
    error: HUB has had too many requests (429), and asks to wait 3600 s
      --> hf://o/r/a.gguf
      help: try again later; with HF_TOKEN set the hub allows more
    ");
    assert_eq!(patience.hub.asked("").len(), 1, "nobody waits an hour");
    let broken = faulty(|asked| is_api(asked).then(|| Reply::new("502 Bad Gateway", "<html>")));
    insta::assert_snapshot!(problem(&refused(&broken)), @r"
    error: HUB is out of order: 502 Bad Gateway, asked 5 times
      --> hf://o/r/a.gguf
      help: try again later, what came is kept: tripos model pull hf://o/r/a.gguf
    ");
    assert_eq!(broken.hub.asked("").len(), 5);
}

#[test]
fn who_may_not_have_it_is_told_why() {
    let answer = |status: &'static str, code: &'static str| {
        faulty(move |asked| is_api(asked).then(|| Reply::new(status, "{}").with(format!("X-Error-Code: {code}"))))
    };
    insta::assert_snapshot!(refused(&answer("401 Unauthorized", "")), @r"
    error: the hub shows it only to those it knows (401)
      --> hf://o/r/a.gguf
      help: make a token on http://HUB/settings/tokens and set HF_TOKEN
    ");
    insta::assert_snapshot!(refused(&answer("401 Unauthorized", "RepoNotFound")), @r"
    error: there is no repository o/r on HUB, or it is private
      --> hf://o/r/a.gguf
      help: check its spelling; for a private one set HF_TOKEN
    ");
    insta::assert_snapshot!(refused(&answer("403 Forbidden", "GatedRepo")), @r"
    error: the repository is gated: its owners have not let you in
      --> hf://o/r/a.gguf
      help: accept its terms on http://HUB/o/r, and set HF_TOKEN
    ");
    insta::assert_snapshot!(refused(&answer("404 Not Found", "RevisionNotFound")), @r"
    error: o/r has no revision `main`
      --> hf://o/r/a.gguf
      help: name a branch, a tag or a commit behind the @, or leave it out for `main`
    ");
    insta::assert_snapshot!(refused(&answer("418 I'm a teapot", "")), @r"
    error: HUB answers 418 I'm a teapot
      --> hf://o/r/a.gguf
      help: check the address; HF_ENDPOINT, where it is set, names the hub
    ");
    // Described to everybody, and given to some: the hub's way with gated models.
    let given = faulty(|asked| asked.path.contains("/resolve/").then(|| Reply::new("403 Forbidden", "no")));
    insta::assert_snapshot!(refused(&given), @r"
    downloading a.gguf (1.5 MiB)
    error: the repository is gated: its owners have not let you in
      --> hf://o/r/a.gguf
      help: accept its terms on http://HUB/o/r, and set HF_TOKEN
    ");
    // By its code, whatever the status, also to whom it knows.
    let coded = faulty(|asked| {
        let no = Reply::new("401 Unauthorized", "no").with("X-Error-Code: GatedRepo");
        asked.path.contains("/resolve/").then_some(no)
    });
    let output = coded.command(&Workspace::new(), &PULL).env("HF_TOKEN", "hf_secret").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("error: the repository is gated: its owners have not let you in"), "{text}");
    // A token that it does not take.
    let strict = answer("401 Unauthorized", "");
    let workspace = Workspace::new();
    let output = strict.command(&workspace, &PULL).env("HF_TOKEN", "hf_secret").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).replace(&strict.hub.address, "HUB");
    assert!(!text.contains("hf_secret"));
    insta::assert_snapshot!(text, @r"
    error: the hub does not accept the token (401)
      --> hf://o/r/a.gguf
      help: see on http://HUB/settings/tokens whether it is still valid; HF_TOKEN holds it, or the file `token` in HF_HOME
    ");
    assert_eq!(strict.hub.asked("")[0].header("authorization"), Some("Bearer hf_secret"));
}

#[test]
fn a_file_that_is_not_there_is_named_with_those_that_are() {
    let (hub, workspace) = (faulty(|_| None), Workspace::new());
    let said = hub.tripos(&workspace, &["model", "pull", "hf://o/r/b_q4.gguf"]);
    insta::assert_snapshot!(said.stderr, @r"
    error: o/r has no file `b_q4.gguf`
      --> hf://o/r/b_q4.gguf
      help: did you mean `b-q4.gguf`? (b-q4.gguf, a.gguf)
    ");
}

#[test]
fn what_is_no_hub_or_no_model_is_recognised() {
    let page = "<!doctype html><title>Log in</title>";
    let html = faulty(move |asked| is_api(asked).then(|| Reply::new("200 OK", page).with("Content-Type: text/html")));
    insta::assert_snapshot!(refused(&html), @r"
    error: HUB does not answer as the hub does: it sends a web page
      --> hf://o/r/a.gguf
      help: check HF_ENDPOINT, and whether a proxy or a login page answers in the hub's place
    ");
    let other = faulty(|asked| is_api(asked).then(|| Reply::new("200 OK", "{\"ok\": true}")));
    insta::assert_snapshot!(refused(&other), @r"
    error: HUB does not answer as the hub does: it sends JSON of another shape (missing field `sha` at line 1 column 12)
      --> hf://o/r/a.gguf
      help: check HF_ENDPOINT, and whether a proxy or a login page answers in the hub's place
    ");
    let circle = faulty(|asked| {
        asked.path.contains("/resolve/").then(|| Reply::new("302 Found", "").with(format!("Location: {}", asked.path)))
    });
    insta::assert_snapshot!(problem(&refused(&circle)), @r"
    error: HUB sends in circles: http://HUB/o/r/resolve/0123456789abcdef0123456789abcdef01234567/a.gguf leads back to itself
      --> hf://o/r/a.gguf
      help: check HF_ENDPOINT, and whether a proxy or a login page answers in the hub's place
    ");
    let chain = faulty(|asked| {
        asked.path.contains("/resolve/").then(|| Reply::new("302 Found", "").with(format!("Location: {}x", asked.path)))
    });
    insta::assert_snapshot!(problem(&refused(&chain)), @r"
    error: HUB sends in circles: more than 10 redirects
      --> hf://o/r/a.gguf
      help: check HF_ENDPOINT, and whether a proxy or a login page answers in the hub's place
    ");
}

#[test]
fn what_is_no_gguf_is_given_up_after_its_first_bytes() {
    let mut page = b"<!doctype html>".to_vec();
    page.resize(3 << 19, b' ');
    // The rest would take four minutes.
    let slow =
        faulty(move |asked| is_bytes(asked).then(|| Reply::new("200 OK", page.clone()).paced(Duration::from_secs(10))));
    let began = Instant::now();
    insta::assert_snapshot!(problem(&refused(&slow)), @r"
    error: what is there is no GGUF: it looks like a web page
      --> hf://o/r/a.gguf
      help: nothing more was downloaded; check the name, and whether one has to log in there
    ");
    assert!(began.elapsed() < Duration::from_mins(1));
    let pointer = faulty(|asked| {
        is_bytes(asked).then(|| {
            let mut text = b"version https://git-lfs.github.com/spec/v1\n".to_vec();
            text.resize(3 << 19, b'\n');
            Reply::new("200 OK", text)
        })
    });
    assert!(refused(&pointer).contains("it looks like a pointer of Git LFS"));
}

#[test]
fn wrong_lengths_and_wrong_bytes_are_not_kept() {
    let lies = faulty(|asked| is_bytes(asked).then(|| Reply::new("200 OK", &content()[..1000])));
    insta::assert_snapshot!(problem(&refused(&lies)), @r"
    error: the server gives 1000 bytes, and the file has 1572864
      --> hf://o/r/a.gguf
      help: nothing of it is kept; try again, or ask its owner
    ");
    let claims = faulty(|asked| is_bytes(asked).then(|| Reply::new("200 OK", content()).claiming(9 << 30)));
    assert!(refused(&claims).contains("the server gives 9663676416 bytes, and the file has 1572864"));
    let more = faulty(|asked| is_bytes(asked).then(|| Reply::new("200 OK", [content(), vec![1]].concat())));
    insta::assert_snapshot!(problem(&refused(&more)), @r"
    error: the server gives 1572865 bytes, and the file has 1572864
      --> hf://o/r/a.gguf
      help: nothing of it is kept; try again, or ask its owner
    ");
    let mut other = content();
    other[1_000_000] ^= 1;
    let expected = sha256(&content());
    let found = sha256(&other);
    let flipped = faulty(move |asked| is_bytes(asked).then(|| Reply::new("200 OK", other.clone())));
    let text = refused(&flipped).replace(&expected, "EXPECTED").replace(&found, "FOUND");
    insta::assert_snapshot!(problem(&text), @r"
    error: the bytes are not those that are meant: SHA-256 FOUND, expected EXPECTED
      --> hf://o/r/a.gguf
      help: nothing of it is kept; try again, and where it stays so, do not trust the source
    ");
}

#[test]
fn a_disk_that_is_too_small_is_known_before_anything_comes() {
    let listed = "{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{\"rfilename\": \"a.gguf\", \"lfs\": \
                  {\"sha256\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"size\": 1152921504606846976}}]}";
    let hub = faulty(move |asked| is_api(asked).then(|| Reply::new("200 OK", listed)));
    let text = refused(&hub);
    assert!(text.starts_with("error: the disk is too small: 1073741824.0 GiB more are needed, and "), "{text}");
    assert!(text.contains("help: make room (tripos model list, tripos model rm)"), "{text}");
    assert_eq!(hub.bytes.asked("").len(), 0);
}

#[test]
fn a_server_that_is_not_there_or_not_to_be_trusted_is_named() {
    let workspace = Workspace::new();
    let ask = |endpoint: &str| said(&command(&workspace, endpoint, &PULL).output().unwrap());
    let nobody = ask("http://127.0.0.1:9").stderr.replace(" (os error 111)", "");
    insta::assert_snapshot!(problem(&nobody), @r"
    error: cannot reach 127.0.0.1:9: Connection refused
      --> hf://o/r/a.gguf
      help: check the network, HTTPS_PROXY, NO_PROXY and HF_ENDPOINT; models that are cached need no network: tripos model list
    ");
    // TLS spoken to a server that does not speak it.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        }
    });
    let said = ask(&format!("https://{address}")).stderr.replace(&address, "HUB");
    assert!(said.starts_with("error: no trusted connection to HUB: "), "{said}");
    assert!(said.contains("help: check the clock of this machine"), "{said}");
    insta::assert_snapshot!(ask("huggingface.co").stderr, @r"
    error: HF_ENDPOINT `huggingface.co` cannot be used: it is no address such as https://huggingface.co
      --> hf://o/r/a.gguf
      help: mend the environment variable, or unset it
    ");
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let (hub, workspace) = (faulty(|_| None), Workspace::new());
    let said = said(&hub.command(&workspace, &PULL).env("HF_TOKEN", "hf_secret").output().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let with_token = |asked: &Vec<Asked>| asked.iter().filter(|asked| asked.header("authorization").is_some()).count();
    let (of_hub, of_bytes) = (hub.hub.asked(""), hub.bytes.asked(""));
    assert_eq!((of_hub.len(), with_token(&of_hub)), (2, 2));
    assert_eq!((of_bytes.len(), with_token(&of_bytes)), (1, 0));
    assert!(!files_hold(workspace.path(), b"hf_secret"), "and into no file");
    // Where `hf auth login` has put it.
    let kept = Workspace::new();
    kept.write("hf/token", "hf_kept\n");
    hub.ok(&kept, &PULL);
    assert_eq!(hub.hub.asked("/api/").last().unwrap().header("authorization"), Some("Bearer hf_kept"));
}

pub(crate) fn files_hold(folder: &Path, secret: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return files_hold(&path, secret);
        }
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
    })
}

#[test]
fn a_proxy_is_asked_unless_the_host_is_set_apart() {
    let hub = faulty(|_| None);
    // A proxy that gets whole addresses, and answers for the hub that does not exist.
    let target = hub.hub.address.clone();
    let proxy = Server::start(move |asked| {
        let path = asked.path.strip_prefix("http://hub.invalid").unwrap_or("/unknown").to_owned();
        Reply::new("307 Temporary Redirect", "").with(format!("Location: http://{target}{path}"))
    });
    let workspace = Workspace::new();
    let through = command(&workspace, "http://hub.invalid", &PULL)
        .env("HTTP_PROXY", format!("http://{}", proxy.address))
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert_eq!(through.status.code(), Some(0), "{}", String::from_utf8_lossy(&through.stderr));
    assert!(proxy.asked("http://hub.invalid/api/models/o/r/").len() == 1 && is_whole(&workspace));
}

#[test]
fn two_processes_download_a_file_once() {
    let hub = faulty(|asked| is_bytes(asked).then(|| part(asked, &content()).paced(Duration::from_millis(40))));
    let workspace = Workspace::new();
    let start = || hub.command(&workspace, &PULL).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()].map(|child| said(&child.wait_with_output().unwrap()));
    assert!(both.iter().all(|said| said.code == Some(0)), "{both:?}");
    assert!(is_whole(&workspace));
    assert_eq!(hub.bytes.asked("/bytes/").len(), 1);
    let waited = |said: &&Said| said.stderr.contains("another process is downloading a.gguf; waiting for it");
    assert_eq!(both.iter().filter(waited).count(), 1, "{both:?}");
}

#[test]
fn what_is_being_downloaded_is_not_removed() {
    let hub = faulty(|asked| is_bytes(asked).then(|| part(asked, &content()).paced(Duration::from_millis(150))));
    let workspace = Workspace::new();
    let mut child = hub.command(&workspace, &PULL).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while left(&workspace).len() < 2 && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = hub.tripos(&workspace, &["model", "rm", URI]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr, @r"
    error: another process is downloading it now
      --> hf://o/r/a.gguf
      help: wait until it is done
    ");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(is_whole(&workspace));
}
