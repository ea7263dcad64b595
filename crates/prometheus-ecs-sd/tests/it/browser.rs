//! Chromium without a window, driven by its WebDriver: what a person would see and type.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools::{Running, free_address, tool, wait};

/// A command that takes longer hangs; a page of ten thousand targets takes a second on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Whether pages may run scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Off,
}

/// One window; it and everything it leaves is gone when this is dropped.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Running,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn open(scripts: Scripts) -> Self {
        Self::open_with(scripts, &[])
    }

    /// With more options for Chromium.
    pub(crate) fn open_with(scripts: Scripts, more: &[&str]) -> Self {
        let (driver, profile) = (free_address(), tempfile::tempdir().unwrap());
        let mut command = tool("chromedriver");
        command.arg(format!("--port={}", driver.port())).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running::start(&mut command);
        wait(|| call(driver, "GET", "/status", &Value::Null).map_err(|error| error.to_string()));
        let mut arguments =
            ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"]
                .map(str::to_owned)
                .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        // Tests often run as root in a container, where Chromium's sandbox cannot be set up. It sees our own pages only.
        arguments.push("--no-sandbox".to_owned());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let mut options = json!({ "args": arguments });
        if scripts == Scripts::Off {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = call(driver, "POST", "/session", &capabilities).unwrap();
        let session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Self { driver, session, _process: process, _profile: profile }
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        call(self.driver, "POST", &format!("{}{path}", self.session), body)
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    fn protocol(&self, command: &str, parameters: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    pub(crate) fn go(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": format!("return {expression}"), "args": [] }))
    }

    /// The text of the first element of this kind; empty if there is none.
    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(selector)));
        text.as_str().unwrap().to_owned()
    }

    pub(crate) fn count(&self, selector: &str) -> u64 {
        self.value(&format!("document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.command("/element", &json!({ "using": "css selector", "value": selector }));
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Presses these keys in an element.
    pub(crate) fn keys(&self, selector: &str, keys: &str) {
        self.command(&format!("/element/{}/value", self.element(selector)), &json!({ "text": keys }));
    }

    pub(crate) fn click(&self, selector: &str) {
        self.command(&format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Chooses an option of a list.
    pub(crate) fn choose(&self, list: &str, value: &str) {
        self.click(&format!("{list} option[value='{value}']"));
    }

    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.protocol("Emulation.setDeviceMetricsOverride", &size);
    }

    /// `light` or `dark`.
    pub(crate) fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.protocol("Emulation.setEmulatedMedia", &features);
    }

    /// What is wrong with the pages since this was last asked: scripts that fail, requests that fail, and whatever a
    /// page's policy forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.log().iter().filter(|entry| !is_of_the_browser(entry)).map(Value::to_string).collect()
    }

    /// All that was logged since this was last asked.
    pub(crate) fn log(&self) -> Vec<Value> {
        let entries = self.command("/se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().clone()
    }
}

/// Whether a message is not about a page that is tested, but about a page of Chromium, or about what Chromium does on its
/// own account: where there is no network it takes it for a slow one, and says so.
pub(crate) fn is_of_the_browser(entry: &Value) -> bool {
    entry["source"] == "intervention" || entry["message"].as_str().unwrap().starts_with("chrome://")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends with this, but would leave its Chromium.
        let _ = call(self.driver, "DELETE", &self.session, &Value::Null);
    }
}

/// One command of the WebDriver protocol.
fn call(driver: SocketAddr, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(driver)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    // It keeps the connection, whatever it is asked to.
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer)?;
    let mut answer: Value = serde_json::from_slice(&answer).map_err(io::Error::other)?;
    let value = answer["value"].take();
    match value.get("error") {
        Some(error) if error.is_string() => Err(io::Error::other(value.to_string())),
        _ => Ok(value),
    }
}
