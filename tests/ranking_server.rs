//! A suite whose answers can be ranked, the program serving the page, and a small HTTP client to talk to it.

use crate::workspace::{Said, Workspace, said};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Three models answer the same prompts; `cases` cases, every fourth of which all three answer alike.
pub(crate) fn workspace(cases: usize) -> Workspace {
    let workspace = Workspace::new();
    let case = |i: usize| {
        let (q, target) = if i % 4 == 3 { (format!("Same {i}?"), 7) } else { (format!("What is {i}?"), 2 + i % 2) };
        format!("  - {{id: c{i}, vars: {{q: '{q}'}}, target: {target}, tags: [t]}}\n")
    };
    let suite: String = (0..cases).map(case).collect();
    workspace.write(
        "suite.yaml",
        format!(
            "suite: taste\nmodel: {{scripted: one.yaml}}\nsampling: {{max_tokens: 64}}\ncases:\n{suite}answer: {{take: number, which: last}}\n\
             scorers: [number]\nvariants:\n  - {{name: one, prompt: q.txt}}\n  - {{name: two, prompt: q.txt, model: {{scripted: two.yaml}}}}\n\
             {}",
            "  - {name: three, prompt: q.txt, model: {scripted: three.yaml}}\n"
        ),
    );
    workspace.write("q.txt", "Q: {{ q }}\nA:\n");
    for (name, say) in [("one", "It is 2."), ("two", "I think 3."), ("three", "No idea, maybe 9.")] {
        workspace
            .write(&format!("{name}.yaml"), format!("answers: [{{when: Same, say: It is 7.}}]\notherwise: {say}\n"));
    }
    workspace
}

/// Runs its suite and gives the run's folder.
pub(crate) fn ran(workspace: &Workspace) -> String {
    workspace.ok(&["run", "suite.yaml", "--quiet"]);
    workspace.run_folder().to_str().unwrap().to_owned()
}

/// `tripos rank` with its page.
pub(crate) struct Served {
    child: Child,
    pub(crate) port: u16,
    pub(crate) token: String,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// What the screen shows.
    pub(crate) fn view(&self) -> Value {
        self.json()["view"].clone()
    }
}

impl Served {
    /// Starts it on a run.
    pub(crate) fn start(workspace: &Workspace, run: &str, flags: &[&str]) -> Self {
        let arguments = [&["rank", run, "--no-open"], flags].concat();
        let mut child = workspace.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let open = |line: String| line.split("Open ").nth(1).map(str::to_owned);
        let address = lines.by_ref().map_while(Result::ok).find_map(open).expect("it says where it is");
        std::thread::spawn(move || lines.for_each(drop));
        let mut parts = address.trim_start_matches("http://127.0.0.1:").split('/');
        let (port, token) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().to_owned());
        Self { child, port, token }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The whole address.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.port, self.token)
    }

    /// Sends a request as it is; `None` where the server is gone.
    pub(crate) fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(request).ok()?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    /// A request with these headers, the Host's and the body's length.
    pub(crate) fn send(&self, line: &str, headers: &[&str], body: &str) -> Option<Answer> {
        let own = format!("Host: 127.0.0.1:{}", self.port);
        let host = if headers.iter().any(|header| header.starts_with("Host:")) { "X: y" } else { &own };
        let headers = headers.iter().fold(String::new(), |all, header| all + header + "\r\n");
        let length = body.len();
        self.raw(
            format!(
                "{line} HTTP/1.1\r\n{host}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET /{}/{path}", self.token), &[], "").unwrap()
    }

    /// As the page does it.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<Answer> {
        let origin = format!("Origin: http://127.0.0.1:{}", self.port);
        let headers = [origin.as_str(), "Content-Type: application/json"];
        self.send(&format!("POST /{}/{path}", self.token), &headers, &body.to_string())
    }

    /// Puts the answers of what is shown in the order of the screen; the number of the item that was answered for.
    pub(crate) fn judge_next(&self) -> Option<u64> {
        let view = self.send(&format!("GET /{}/state", self.token), &[], "")?.view();
        let item = view["item"]["item"].as_u64()?;
        let order: Vec<[usize; 1]> = (0..view["item"]["answers"].as_array()?.len()).map(|i| [i]).collect();
        let answer = self.post("judge", &json!({"item": item, "order": order, "seconds": 1.5}))?;
        (answer.status == 200).then_some(item)
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Ends it by Ctrl-C; what it says then.
    pub(crate) fn stop(mut self) -> Said {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        let output = std::process::Output { status, stdout: stdout.into_bytes(), stderr: Vec::new() };
        said(&output)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
