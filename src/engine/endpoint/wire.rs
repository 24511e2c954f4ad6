//! HTTP to a server: one request, its answer read whole or as a stream, every failure a [`Fault`].
//!
//! The key goes into one header and nowhere else. What comes back is searched for it before anybody reads it: servers
//! quote keys in their errors.

use super::Proxies;
use super::fault::Fault;
use super::heard::{Heard, message_of, short};
use super::sse::Events;
use crate::error::without_secrets;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, NoProxy, Proxy, Response, StatusCode, redirect};
use serde_json::Value;
use std::error::Error as _;
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that is read whole.
const MOST: usize = 64 << 20;
/// Most bytes of a stream: what stands around the text is many times as long.
const MOST_STREAMED: usize = 512 << 20;
/// A shorter key is a placeholder (`none`, `EMPTY`) that texts may hold by chance.
const SECRET: usize = 8;

/// The way to the servers of one model.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client,
    key: Option<Key>,
    /// Where the key is from.
    variable: String,
    timeout: Duration,
}

/// A key; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// What a variable holds, without the white space around it; `None` where it holds nothing.
    #[must_use]
    pub fn new(value: &str) -> Option<Self> {
        Some(value.trim()).filter(|value| !value.is_empty()).map(|value| Self(value.to_owned()))
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text in which nobody finds it.
    fn hidden_in(&self, text: String) -> String {
        if self.0.len() >= SECRET && text.contains(&self.0) { text.replace(&self.0, "[key]") } else { text }
    }
}

impl Wire {
    /// A client that sends the key, and keeps so many connections to each server open. `variable` is where the key is from.
    pub(super) fn new(
        (key, variable): (Option<Key>, &str),
        proxies: &Proxies,
        timeout: Duration,
        connections: usize,
    ) -> Result<Self, Fault> {
        // Without a provider of its own, rustls takes the process's; another room may have set one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(key) = &key {
            let header = key.header().ok_or_else(|| Fault::KeyUnfit { variable: variable.to_owned() })?;
            headers.insert(AUTHORIZATION, header);
        }
        let mut client = Client::builder()
            .user_agent(concat!("tripos/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            .pool_max_idle_per_host(connections)
            .redirect(redirect::Policy::none())
            .no_proxy();
        for proxy in proxies.all()? {
            client = client.proxy(proxy);
        }
        let client = client.build().map_err(|error| Fault::Client { reason: chain(&error) })?;
        Ok(Self { client, key, variable: variable.to_owned(), timeout })
    }

    /// How long one request may take.
    pub(super) fn patience(&self) -> Duration {
        self.timeout
    }

    /// The JSON at an address.
    pub(super) async fn get(&self, url: &str) -> Result<Value, Fault> {
        let sent = self.client.get(url).header(ACCEPT, "application/json").send().await;
        let response = self.checked(url, sent).await?;
        let text = self.text(url, response).await?;
        serde_json::from_str(&text).map_err(|error| not_json(url, &text, &error.to_string()))
    }

    /// What is answered to a JSON body.
    pub(super) async fn post(&self, url: &str, body: Vec<u8>) -> Result<Heard, Fault> {
        let sent = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await;
        let response = self.checked(url, sent).await?;
        if kind(&response).contains("text/event-stream") {
            return self.stream(url, response).await;
        }
        let text = self.text(url, response).await?;
        let mut heard = Heard::default();
        match heard.add(url, &text) {
            Err(Fault::Shape { reason, .. }) => Err(not_json(url, &text, &reason)),
            Err(fault) => Err(fault),
            Ok(()) => heard.whole(url),
        }
    }

    /// An answer of success; the server's words where it is none.
    async fn checked(&self, url: &str, sent: reqwest::Result<Response>) -> Result<Response, Fault> {
        let response = sent.map_err(|error| self.fault(url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let is_page = kind(&response).contains("text/html");
        let words = match to.filter(|_| status.is_redirection()) {
            Some(to) => format!("moved to {}", short(&without_secrets(&to))),
            None if is_page => "a web page".to_owned(),
            None => {
                let text = self.text(url, response).await.unwrap_or_default();
                serde_json::from_str(&text).map_or_else(|_| short(&text), |error: Value| message_of(&error))
            }
        };
        let message = if words.is_empty() { reason(status).to_owned() } else { words };
        let key = self.key.as_ref().map(|_| self.variable.clone());
        Err(Fault::Status { url: url.to_owned(), status: status.as_u16(), message: self.hidden(message), after, key })
    }

    /// A body as text, up to a size.
    async fn text(&self, url: &str, mut response: Response) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(url, &error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST {
                return Err(Fault::Shape { url: url.to_owned(), reason: "it is larger than 64 MiB".into() });
            }
        }
        Ok(self.hidden(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A stream of events, up to its `[DONE]`. With it or without, a text must have been said to be finished: the server of
    /// llama-cpp-python sends `[DONE]` when it drops one request for the next.
    async fn stream(&self, url: &str, mut response: Response) -> Result<Heard, Fault> {
        let (mut events, mut heard, mut came) = (Events::default(), Heard::default(), 0);
        let broken = |reason: &str| Fault::Broken { url: url.to_owned(), reason: reason.to_owned() };
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(self.fault(url, &error)),
                Err(error) => return Err(broken(&chain(&error))),
            };
            for event in events.feed(&chunk).ok_or_else(|| broken("a line has more than 16 MiB"))? {
                if event.trim() == DONE {
                    let dropped = heard.has_begun() && !heard.is_finished();
                    return if dropped {
                        Err(broken("[DONE] without a finish_reason"))
                    } else {
                        self.whole(url, heard)
                    };
                }
                heard.add(url, &self.hidden(event))?;
            }
            came += chunk.len();
            if heard.text.len() > MOST || came > MOST_STREAMED {
                let most = if came > MOST_STREAMED { MOST_STREAMED } else { MOST } >> 20;
                return Err(Fault::Shape { url: url.to_owned(), reason: format!("it is larger than {most} MiB") });
            }
        }
        if let Some(event) = events.rest().filter(|event| event.trim() != DONE) {
            heard.add(url, &self.hidden(event)).map_err(|_| broken("its last event is cut"))?;
        }
        if heard.is_finished() { self.whole(url, heard) } else { Err(broken("the stream ended before [DONE]")) }
    }

    /// What a stream came to. The key may have come in pieces.
    fn whole(&self, url: &str, mut heard: Heard) -> Result<Heard, Fault> {
        heard.text = self.hidden(std::mem::take(&mut heard.text));
        heard.whole(url)
    }

    fn hidden(&self, text: String) -> String {
        match &self.key {
            Some(key) => key.hidden_in(text),
            None => text,
        }
    }

    /// What an error of the library means.
    fn fault(&self, url: &str, error: &reqwest::Error) -> Fault {
        let (url, reason) = (url.to_owned(), self.hidden(chain(error)));
        if error.is_builder() {
            return Fault::NoAddress { url, reason };
        }
        if error.is_timeout() && !error.is_connect() {
            return Fault::Timeout { url, seconds: self.timeout.as_secs() };
        }
        let secure = ["certificate", "tls", "corrupt message", "handshake", "fatal alert", "invalidcontenttype"];
        let lower = reason.to_lowercase();
        if error.is_connect() && url.starts_with("https:") && secure.iter().any(|word| lower.contains(word)) {
            return Fault::Tls { url, reason };
        }
        if error.is_connect() {
            return Fault::Unreachable { url, reason };
        }
        Fault::Broken { url, reason }
    }
}

impl Proxies {
    /// An address that is none is not repeated: it may hold a password.
    fn all(&self) -> Result<Vec<Proxy>, Fault> {
        let apart = self.none.as_deref().and_then(NoProxy::from_string);
        let named = [
            ("HTTP_PROXY", self.http.as_ref().map(Proxy::http)),
            ("HTTPS_PROXY", self.https.as_ref().map(Proxy::https)),
        ];
        let one = |(variable, proxy): (&str, Option<reqwest::Result<Proxy>>)| {
            let unfit = |_| Fault::Client { reason: format!("{variable} is no address") };
            Some(proxy?.map(|proxy| proxy.no_proxy(apart.clone())).map_err(unfit))
        };
        named.into_iter().filter_map(one).collect()
    }
}

/// What ends a stream.
const DONE: &str = "[DONE]";

/// A body that is no JSON of the API: a web page, or something else.
fn not_json(url: &str, text: &str, reason: &str) -> Fault {
    let url = url.to_owned();
    if text.trim_start().starts_with('<') {
        return Fault::Page { url };
    }
    let begin = short(text);
    let begin: String = begin.chars().take(60).collect();
    Fault::Shape { url, reason: format!("`{begin}` ({})", short(reason)) }
}

fn kind(response: &Response) -> &str {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

/// The innermost words of an error; those around them repeat the address.
fn chain(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = if error.source().is_none() { "no answer".to_owned() } else { inner.to_string() };
    short(&text)
}

/// No wait is longer: a time added to now must be a time.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_WAIT));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    let wait = at.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_nowhere_and_hidden_in_what_servers_quote() {
        let key = Key::new(" sk-tripos-0123456789\n").unwrap();
        assert_eq!(format!("{key:?}"), "Key(…)");
        assert_eq!(key.hidden_in("wrong key sk-tripos-0123456789!".into()), "wrong key [key]!");
        assert!(format!("{:?}", key.header().unwrap()).contains("Sensitive"));
        assert_eq!(Key::new("none").unwrap().hidden_in("none of it".into()), "none of it", "no secret");
        assert_eq!(Key::new(" \n"), None);
        assert!(Key::new("a\nb").unwrap().header().is_none());
    }

    #[test]
    fn waits_as_long_as_the_server_asks_in_seconds_or_until_a_date() {
        assert_eq!(retry_after("3"), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "it is over");
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        assert!((98..=100).contains(&retry_after(&date).unwrap().as_secs()), "{date}");
        assert_eq!((retry_after("soon"), retry_after("-1")), (None, None));
        assert_eq!(retry_after("1e19"), Some(LONGEST_WAIT));
    }

    #[test]
    fn tells_a_web_page_from_other_text() {
        assert!(matches!(not_json("u", " <!doctype html>", "x"), Fault::Page { .. }));
        assert!(matches!(not_json("u", "Ollama is running", "x"), Fault::Shape { .. }));
    }
}
