//! A hub on loopback: a real HTTP server that answers as the hub does, and misbehaves where a test says so.
//!
//! Written on sockets, because what is tested is what no library lets a server do: cutting connections in the middle, lying
//! about lengths, and stalling.

use crate::workspace::{Said, Workspace, said};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The commit that `main` is at.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path with its query, or the whole address where a proxy is asked.
    pub(crate) path: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<String>,
    /// Which request for this path it is, from 0.
    pub(crate) nth: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// An answer, and how it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: &'static str,
    headers: Vec<String>,
    body: Vec<u8>,
    /// What the header says of the body's length; `None`: what it is.
    claims: Option<u64>,
    /// Only so many bytes are sent before the connection is cut.
    cut: Option<usize>,
    /// A pause before each 64 KiB.
    pace: Duration,
    /// Nothing is said of the length: the end of the connection is that of the body.
    silent: bool,
}

impl Reply {
    pub(crate) fn new(status: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            claims: None,
            cut: None,
            pace: Duration::ZERO,
            silent: false,
        }
    }

    pub(crate) fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }

    pub(crate) fn cut(self, at: usize) -> Self {
        Self { cut: Some(at), ..self }
    }

    pub(crate) fn claiming(self, length: u64) -> Self {
        Self { claims: Some(length), ..self }
    }

    pub(crate) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    pub(crate) fn paced(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    fn send(&self, mut stream: TcpStream) {
        let length = format!("Content-Length: {}\r\n", self.claims.unwrap_or(self.body.len() as u64));
        let length = if self.silent { "" } else { &length };
        let headers: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!("HTTP/1.1 {}\r\n{headers}{length}Connection: close\r\n\r\n", self.status);
        // Whoever asked may have gone; then nobody is to be told.
        let Ok(()) = stream.write_all(head.as_bytes()) else { return };
        let body = &self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())];
        for piece in body.chunks(1 << 16) {
            std::thread::sleep(self.pace);
            let Ok(()) = stream.write_all(piece) else { return };
        }
    }
}

/// A server, until the test ends.
pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, all) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                std::thread::spawn(move || {
                    let Some(mut asked) = read(&stream) else { return };
                    {
                        let mut all = all.lock().unwrap();
                        asked.nth = all.iter().filter(|other| other.path == asked.path).count();
                        all.push(asked.clone());
                    }
                    answer(&asked).send(stream);
                });
            }
        });
        Self { address, seen }
    }

    /// Every request so far for a path that holds this.
    pub(crate) fn asked(&self, part: &str) -> Vec<Asked> {
        self.seen.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

/// A request's head; requests here have no body.
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers = headers
        .filter_map(|line| line.split_once(": ").map(|(name, value)| format!("{}: {value}", name.to_lowercase())));
    Some(Asked { path, headers: headers.collect(), nth: 0 })
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that no test confuses with others, which begin as a GGUF does.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    let mut block = Sha256::digest(b"noise");
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(length);
    bytes
}

/// The repository `o/r` with some files, at an address of its own for their bytes, as the hub has it.
pub(crate) struct FakeHub {
    pub(crate) hub: Server,
    pub(crate) bytes: Server,
}

/// What a fake hub does where it misbehaves; `None`: what is right.
type Fault = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

impl FakeHub {
    pub(crate) fn new(
        files: &[(&str, Vec<u8>)],
        fault: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let fault: Arc<Fault> = Arc::new(fault);
        let described = described(files);
        let contents: HashMap<String, Vec<u8>> =
            files.iter().map(|(_, bytes)| (sha256(bytes), bytes.clone())).collect();
        let faulty = Arc::clone(&fault);
        let bytes = Server::start(move |asked| {
            let content = contents.get(asked.path.trim_start_matches("/bytes/"));
            faulty(asked).unwrap_or_else(|| {
                content.map_or_else(|| Reply::new("404 Not Found", "none"), |content| part(asked, content))
            })
        });
        let (names, elsewhere): (HashMap<String, String>, _) = (
            files.iter().map(|(name, bytes)| (format!("/o/r/resolve/{COMMIT}/{name}"), sha256(bytes))).collect(),
            bytes.address.clone(),
        );
        let hub = Server::start(move |asked| {
            if let Some(reply) = fault(asked) {
                return reply;
            }
            if asked.path == "/api/models/o/r/revision/main?blobs=true"
                || asked.path == "/api/models/o/r/revision/v1?blobs=true"
            {
                return Reply::new("200 OK", described.as_bytes()).with("Content-Type: application/json");
            }
            if asked.path.starts_with("/api/models/o/r/") {
                return Reply::new("404 Not Found", "{}").with("X-Error-Code: RevisionNotFound");
            }
            match names.get(&asked.path) {
                Some(sha256) => {
                    Reply::new("302 Found", "").with(format!("Location: http://{elsewhere}/bytes/{sha256}"))
                }
                None => Reply::new("404 Not Found", "{}").with("X-Error-Code: RepoNotFound"),
            }
        });
        Self { hub, bytes }
    }

    /// One that does everything right.
    pub(crate) fn right(files: &[(&str, Vec<u8>)]) -> Self {
        Self::new(files, |_| None)
    }

    /// The program, ready to ask this hub.
    pub(crate) fn command(&self, workspace: &Workspace, arguments: &[&str]) -> Command {
        command(workspace, &format!("http://{}", self.hub.address), arguments)
    }

    pub(crate) fn tripos(&self, workspace: &Workspace, arguments: &[&str]) -> Said {
        said(&self.command(workspace, arguments).output().unwrap())
    }

    pub(crate) fn ok(&self, workspace: &Workspace, arguments: &[&str]) -> Said {
        let said = self.tripos(workspace, arguments);
        assert_eq!(said.code, Some(0), "tripos {arguments:?}\n{}\n{}", said.stdout, said.stderr);
        said
    }
}

/// The program with a cache of its own and this hub; nothing of the machine's own settings reaches it.
pub(crate) fn command(workspace: &Workspace, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = workspace.command(arguments);
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", workspace.path().join("hf"));
    command
}

/// What the hub says of the repository: `lfs` where files are large, as GGUFs are.
fn described(files: &[(&str, Vec<u8>)]) -> String {
    let one = |(name, bytes): &(&str, Vec<u8>)| {
        let lfs = serde_json::json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134});
        serde_json::json!({"rfilename": name, "size": bytes.len(), "blobId": "b".repeat(40), "lfs": lfs})
    };
    let siblings: Vec<_> = files.iter().map(one).collect();
    serde_json::json!({"id": "o/r", "sha": COMMIT, "private": false, "gated": false, "siblings": siblings}).to_string()
}

/// A file, or the part of it that is asked for, as a server of files answers.
pub(crate) fn part(asked: &Asked, content: &[u8]) -> Reply {
    let etag = format!("\"{}\"", &sha256(content)[..16]);
    let same = asked.header("if-range").is_none_or(|known| known == etag);
    let from = asked
        .header("range")
        .filter(|_| same)
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let total = content.len();
    match from {
        None => Reply::new("200 OK", content).with(format!("ETag: {etag}")),
        Some(from) if from < total => Reply::new("206 Partial Content", &content[from..])
            .with(format!("ETag: {etag}"))
            .with(format!("Content-Range: bytes {from}-{}/{total}", total - 1)),
        Some(_) => Reply::new("416 Range Not Satisfiable", "").with(format!("Content-Range: bytes */{total}")),
    }
}
