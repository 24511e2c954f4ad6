//! A real server of the API: that of `llama-cpp-python[server]`, with the bundled model. `tests/llama_cpp_server.sh` installs it
//! and runs this; where it is not there, this skips and says so.

use crate::endpoints::tripos;
use crate::workspace::{Workspace, model, samples_of};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The interpreter that has the server: what the script has made, or another that is named.
fn python() -> Option<String> {
    let own = crate::workspace::root().join("target/llama-cpp-python/bin/python");
    let python = std::env::var("TRIPOS_TEST_PYTHON").unwrap_or_else(|_| own.display().to_string());
    let has = Command::new(&python).args(["-c", "import llama_cpp.server.app, uvicorn"]).stderr(Stdio::null()).status();
    has.is_ok_and(|status| status.success()).then_some(python)
}

/// The server, stopped when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(python: &str) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = model();
    let child = Command::new(python)
        .args(["-m", "llama_cpp.server", "--model", file.to_str().unwrap(), "--host", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--n_ctx", "512", "--n_threads", "1", "--logits_all", "true"])
        .args(["--model_alias", "tiny", "--interrupt_requests", "false"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, port };
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_mins(2), "the server does not come up");
        std::thread::sleep(Duration::from_millis(100));
    }
    server
}

/// Greedy sums by a text and in a chat, and a choice between two answers.
fn suite(model: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("text.txt", "Q: {{ q }}\nA:\n");
    workspace.write("chat.yaml", "- user: '{{ q }}'\n");
    let cases: String = (10..18)
        .map(|i| {
            format!(
                "  - {{id: c{i}, vars: {{q: 'What is {i} + 31?', choices: ['{}', '99']}}, target: '{}'}}\n",
                i + 31,
                i + 31
            )
        })
        .collect();
    let head = format!("model: {model}\ncontext: 512\nsampling: {{max_tokens: 12, stop: [\"\\n\"]}}\ncases:\n{cases}");
    workspace.write(
        "said.yaml",
        format!(
            "suite: said\n{head}scorers: [number]\nvariants:\n  - {{name: text, prompt: text.txt}}\n  - {{name: chat, prompt: chat.yaml}}\n"
        ),
    );
    workspace.write(
        "weighed.yaml",
        format!("suite: weighed\n{head}scorers: [choice]\nvariants:\n  - {{name: text, prompt: text.txt}}\n"),
    );
    workspace
}

/// The samples of a suite on some model, by variant and case.
fn samples(model: &str, file: &str) -> Result<BTreeMap<String, Value>, String> {
    let workspace = suite(model);
    let said = tripos(&workspace, &["run", file, "--quiet", "--kv", "exact"]);
    if said.code != Some(0) {
        return Err(said.stderr);
    }
    let samples = samples_of(&workspace.run_folder());
    Ok(samples.into_iter().map(|s| (format!("{}/{}", s["trial"]["variant"], s["trial"]["case"]), s)).collect())
}

#[test]
fn a_real_server_says_what_the_model_says_here() {
    let Some(python) = python() else {
        println!("skipped: no Python with llama-cpp-python[server]; tests/llama_cpp_server.sh installs it");
        return;
    };
    let server = serve(&python);
    let endpoint = format!("{{endpoint: 'http://127.0.0.1:{}/v1', concurrency: 1, stream: STREAM}}", server.port);
    let here = samples(&model().display().to_string(), "said.yaml").unwrap();
    for stream in ["true", "false"] {
        let there = samples(&endpoint.replace("STREAM", stream), "said.yaml").unwrap();
        let text = |sample: &Value| sample["completion"]["text"].as_str().unwrap().trim().to_owned();
        for (trial, sample) in &here {
            assert_eq!(text(&there[trial]), text(sample), "{trial}, stream {stream}");
        }
    }
    // It shifts its echoes by one token where a model has no token that begins a text; then it is refused by name.
    match samples(&endpoint.replace("STREAM", "true"), "weighed.yaml") {
        Ok(there) => {
            let here = samples(&model().display().to_string(), "weighed.yaml").unwrap();
            for (trial, sample) in &here {
                for (a, b) in
                    sample["likelihood"].as_array().unwrap().iter().zip(there[trial]["likelihood"].as_array().unwrap())
                {
                    let (a, b) = (a["logprob"].as_f64().unwrap(), b["logprob"].as_f64().unwrap());
                    // It decodes in other batches, and with flash attention.
                    assert!((a - b).abs() < 0.1 + 0.01 * a.abs(), "{trial}: {a} here, {b} there");
                }
            }
            println!("likelihoods: those of the server are the model's");
        }
        Err(said) => {
            assert!(
                said.contains("scorer `choice` judges by likelihood") && said.contains("when it is echoed"),
                "{said}"
            );
            println!("likelihoods: refused, because {}", said.lines().next().unwrap_or_default());
        }
    }
}
