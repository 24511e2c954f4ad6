//! An OpenAI server on loopback that says what a test wants it to: whole, in a stream, late, cut, or not at all. It keeps
//! connections open, and remembers what it was sent. One thread a connection, on the standard library alone, so that it can
//! break the protocol where a test needs that.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /v1/models`.
    pub(crate) line: String,
    /// Its headers, in lower case but for their values.
    pub(crate) head: String,
    /// `null` where there was none.
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

impl Seen {
    /// The last text that was asked: a completion's prompt, or a chat's last message.
    pub(crate) fn asked(&self) -> &str {
        let chat =
            self.body["messages"].as_array().and_then(|all| all.last()).and_then(|last| last["content"].as_str());
        chat.or(self.body["prompt"].as_str()).unwrap_or_default()
    }

    /// The right answer to the last `What is A + B?`.
    pub(crate) fn sum(&self) -> String {
        let question = self.asked().rsplit("What is ").next().unwrap_or_default();
        let numbers = question.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<i64>().ok());
        format!(" It is {}.", numbers.take(2).sum::<i64>())
    }
}

/// What it answers.
pub(crate) enum Reply {
    /// A status and a body of a kind.
    Whole(u16, &'static str, String),
    /// The same with a header more.
    With(String, Box<Reply>),
    /// Events, each behind a pause; ended as streams are.
    Stream(Vec<String>, Duration),
    /// Events, and then the connection is closed in the middle.
    Cut(Vec<String>),
    /// Another, after a while.
    Late(Duration, Box<Reply>),
    /// The connection is closed without a word.
    Nothing,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Whole(status, "application/json", body.to_string())
    }

    /// A text said as it was asked for: of a chat or a completion, whole or in a stream.
    pub(crate) fn say(seen: &Seen, text: &str) -> Self {
        let (prompt, drawn) = (seen.asked().split_whitespace().count(), text.split_whitespace().count());
        let usage = json!({"prompt_tokens": prompt, "completion_tokens": drawn, "total_tokens": prompt + drawn});
        let chat = seen.body.get("messages").is_some();
        if seen.body["stream"] != true {
            let choice = if chat {
                json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"})
            } else {
                json!({"index": 0, "text": text, "finish_reason": "stop"})
            };
            return Self::json(200, &json!({"object": "x", "choices": [choice], "usage": usage}));
        }
        let mut events: Vec<String> = pieces(text).into_iter().map(|piece| event(chat, &piece)).collect();
        events.push(json!({"choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": "stop"}]}).to_string());
        events.push(json!({"choices": [], "usage": usage}).to_string());
        events.push("[DONE]".to_owned());
        Self::Stream(events, Duration::ZERO)
    }
}

/// One piece of a stream.
pub(crate) fn event(chat: bool, piece: &str) -> String {
    let choice =
        if chat { json!({"index": 0, "delta": {"content": piece}}) } else { json!({"index": 0, "text": piece}) };
    json!({"choices": [choice]}).to_string()
}

/// Words with the space before them.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for char in text.chars() {
        match pieces.last_mut().filter(|_| char != ' ') {
            Some(last) => last.push(char),
            None => pieces.push(char.to_string()),
        }
    }
    pieces
}

type Answering = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The server; it serves until the program ends.
pub(crate) struct Stub {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Answering,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    busy: AtomicUsize,
    most_busy: AtomicUsize,
    /// What it was sent is remembered.
    remembers: bool,
    closed: AtomicBool,
}

impl Stub {
    /// One that has the model `stub`, and answers whatever else it is asked in this way.
    pub(crate) fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), true, answer)
    }

    /// The same on a socket of the caller's; `remembers` what it was sent.
    pub(crate) fn listen(
        listener: TcpListener,
        remembers: bool,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let models = json!({"object": "list", "data": [{"id": "stub", "object": "model", "owned_by": "stub"}]});
        let answer: Answering = Box::new(move |seen| match seen.line.as_str() {
            "GET /v1/models" => Reply::json(200, &models),
            _ => answer(seen),
        });
        Self::serve(listener, port, remembers, answer)
    }

    /// One that answers also for its models in this way.
    pub(crate) fn bare(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::serve(listener, port, true, Box::new(answer))
    }

    fn serve(listener: TcpListener, port: u16, remembers: bool, answer: Answering) -> Self {
        let count = || AtomicUsize::new(0);
        let (connections, busy, most_busy) = (count(), count(), count());
        let (seen, closed) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { answer, seen, connections, busy, most_busy, remembers, closed });
        let of_threads = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_threads.closed.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&of_threads);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || shared.connection(stream));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The requests so far that were to be answered by a model.
    pub(crate) fn posts(&self) -> Vec<Seen> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.line.starts_with("POST")).cloned().collect()
    }

    /// All requests so far.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Closes its door: who knocks now is refused, and so is who is in already.
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // The thread that waits at the door wakes up, and leaves.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Most requests that were in flight at once.
    pub(crate) fn most_busy(&self) -> usize {
        self.shared.most_busy.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Answers what comes over a connection until it is closed.
    fn connection(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(mut writer) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        // Whoever begins with TLS is told in plain text, as servers do that know none.
        if reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&0x16)) {
            let _ = writer.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        while let Some(seen) = read(&mut reader).filter(|_| !self.closed.load(Ordering::SeqCst)) {
            if self.remembers {
                self.seen.lock().unwrap().push(seen.clone());
            }
            let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_busy.fetch_max(busy, Ordering::SeqCst);
            let open = write(&mut writer, (self.answer)(&seen), "");
            self.busy.fetch_sub(1, Ordering::SeqCst);
            if !open {
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

/// The next request; `None` once the other side has closed.
fn read(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        let name = name.to_lowercase();
        if name == "content-length" {
            length = value.trim().parse().ok()?;
        }
        head += &format!("{name}:{value}\n");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { line, head, body: serde_json::from_slice(&body).unwrap_or(Value::Null), at: Instant::now() })
}

/// Writes an answer, and says whether the connection stays open.
fn write(writer: &mut impl Write, reply: Reply, header: &str) -> bool {
    let chunk = |event: &str| {
        let data = format!("data: {event}\n\n");
        format!("{:x}\r\n{data}\r\n", data.len())
    };
    let streamed = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (text, open) = match reply {
        Reply::Whole(status, kind, body) => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{header}\r\n");
            (head + &body, true)
        }
        Reply::With(header, reply) => return write(writer, *reply, &format!("{header}\r\n")),
        Reply::Stream(events, pause) if pause.is_zero() => {
            (streamed.to_owned() + &events.iter().map(|event| chunk(event)).collect::<String>() + "0\r\n\r\n", true)
        }
        Reply::Stream(events, pause) => {
            let mut parts = std::iter::once(streamed.to_owned()).chain(events.iter().map(|event| chunk(event)));
            let sent = parts.all(|part| {
                std::thread::sleep(pause);
                writer.write_all(part.as_bytes()).is_ok()
            });
            ("0\r\n\r\n".to_owned(), sent)
        }
        Reply::Cut(events) => {
            (streamed.to_owned() + &events.iter().map(|event| chunk(event)).collect::<String>(), false)
        }
        Reply::Late(pause, reply) => {
            std::thread::sleep(pause);
            return write(writer, *reply, header);
        }
        Reply::Nothing => (String::new(), false),
    };
    writer.write_all(text.as_bytes()).is_ok() && writer.flush().is_ok() && open
}
