//! A real headless Chromium, driven by its DevTools protocol over a pipe: one JSON message after another, each ended by a
//! zero byte. No port is opened, and no crate is needed for it; the bench looks at pages with it, too.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Names that a Chromium goes by.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Longest wait for an answer, or for something to be so.
const PATIENCE: Duration = Duration::from_mins(1);

/// The browser with one page.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// Every address that the page has asked for.
    pub(crate) requests: Vec<String>,
    /// What went wrong on it: exceptions, refusals of its policy.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// Where a Chromium is on this machine.
pub(crate) fn find() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let named = |dir: PathBuf| NAMES.map(|name| dir.join(name));
    let mac = PathBuf::from(MAC);
    std::env::split_paths(&paths).flat_map(named).chain([mac]).find(|path| path.is_file())
}

impl Chromium {
    /// Starts one with an empty profile.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        // The pipe is file descriptors 3 and 4, which only a shell can make of 0 and 1 without unsafe code.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>&2"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let missing = || Error::other("no pipe");
        let (to, out) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let (tell, from) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(out).split(0).map_while(Result::ok);
            messages.filter_map(|message| serde_json::from_slice(&message).ok()).try_for_each(|value| tell.send(value))
        });
        let (requests, complaints) = (Vec::new(), Vec::new());
        let mut started = Self { child, to, from, session: None, last: 0, requests, complaints, _profile: profile };
        let page = started.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached =
            started.call("Target.attachToTarget", &json!({"targetId": page["targetId"], "flatten": true}))?;
        started.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            started.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(started)
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(message.to_string().as_bytes())?;
        self.to.write_all(&[0])?;
        loop {
            let said = self.from.recv_timeout(PATIENCE).map_err(|e| Error::other(format!("{method}: {e}")))?;
            if said["id"] == self.last {
                return match said.get("error") {
                    Some(error) => Err(Error::other(format!("{method}: {error}"))),
                    None => Ok(said["result"].clone()),
                };
            }
            self.note(&said);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.extend(params["request"]["url"].as_str().map(str::to_owned));
            }
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => self.complaints.push(params.to_string()),
            _ => {}
        }
    }

    /// The value of an expression; that of a promise when it is kept.
    pub(crate) fn eval(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let found = self.call("Runtime.evaluate", &params)?;
        match found.get("exceptionDetails") {
            Some(details) => Err(Error::other(format!("{expression}: {details}"))),
            None => Ok(found["result"]["value"].clone()),
        }
    }

    /// Waits until an expression is true.
    pub(crate) fn wait(&mut self, expression: &str) -> Result<()> {
        let began = Instant::now();
        while self.eval(expression)? != true {
            if began.elapsed() > PATIENCE {
                return Err(Error::other(format!("never true: {expression}")));
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        Ok(())
    }

    /// Opens a report and waits until its samples are listed. `part` is what stands behind the `#`.
    pub(crate) fn open(&mut self, file: &Path, part: &str) -> Result<()> {
        // The same file with another part would not be loaded again.
        self.call("Page.navigate", &json!({"url": "about:blank"}))?;
        let url = format!("file://{}{part}", file.canonicalize()?.display());
        self.call("Page.navigate", &json!({"url": url}))?;
        self.wait("document.documentElement?.dataset.ready === ''")
    }

    /// Opens an address and waits until an expression is true there.
    pub(crate) fn visit(&mut self, address: &str, ready: &str) -> Result<()> {
        self.call("Page.navigate", &json!({"url": address}))?;
        self.wait(ready)
    }

    /// Presses and releases a key.
    pub(crate) fn key(&mut self, key: &str) -> Result<()> {
        let code = match key {
            "Backspace" => 8,
            "Enter" => 13,
            "Escape" => 27,
            "End" => 35,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            _ if key.chars().count() == 1 => key,
            _ => "",
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let down = json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", &down)?;
        self.call("Input.dispatchKeyEvent", &json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}))?;
        Ok(())
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.call("Browser.close", &json!({}));
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
