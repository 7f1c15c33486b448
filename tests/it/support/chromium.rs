//! A headless Chromium, driven by its DevTools protocol over a pipe (<https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::PATIENCE;
use super::scratch::Scratch;

/// A window of this size and colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// A phone: touch, and a viewport that the page decides on.
    pub(crate) mobile: bool,
    pub(crate) dark: bool,
}

/// A browser with one open page.
pub(crate) struct Chromium {
    child: Child,
    to: ChildStdin,
    /// What the browser says, message by message; closed when it has ended.
    from: Receiver<Vec<u8>>,
    last_id: u64,
    session: String,
    /// What the browser found fault with since the page was opened: messages of the console, violations of the policy.
    pub(crate) complaints: Vec<Value>,
    loaded: bool,
    _profile: Scratch,
}

impl Chromium {
    #[track_caller]
    pub(crate) fn start(program: PathBuf) -> Self {
        let profile = Scratch::new();
        // The protocol is spoken over the descriptors 3 and 4, which the shell makes of its standard ones.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"]).arg(program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]);
        command.args([
            "--disable-component-update",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.0.display())).arg("about:blank");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        // A pipe cannot be read with a limit; the thread ends with the browser.
        let (heard, from) = channel();
        thread::spawn(move || said.split(0).map_while(Result::ok).try_for_each(|message| heard.send(message)));
        let (complaints, session) = (Vec::new(), String::new());
        let mut browser = Self { child, to, from, last_id: 0, session, complaints, loaded: false, _profile: profile };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.ask("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network", "Audits", "Accessibility"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens the address in a window.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str, window: Window) {
        let Window { width, height, mobile, dark } = window;
        let scale = if mobile { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile});
        self.ask("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", media);
        self.ask("Page.navigate", json!({"url": "about:blank"}));
        self.wait_until_loaded();
        self.complaints.clear();
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(answer.get("errorText"), None, "{answer}");
        self.wait_until_loaded();
    }

    /// The value of an expression in the page; the page's policy does not bind this.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "userGesture": true});
        let answer = self.ask("Runtime.evaluate", asked);
        assert_eq!(answer.get("exceptionDetails"), None, "{answer}");
        answer["result"]["value"].clone()
    }

    /// A picture of the top of the page (PNG).
    #[track_caller]
    pub(crate) fn picture(&mut self, window: Window) -> Vec<u8> {
        let clip = json!({"x": 0, "y": 0, "width": window.width, "height": 2 * window.height, "scale": 1});
        let asked = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let answer = self.ask("Page.captureScreenshot", asked);
        STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }

    #[track_caller]
    fn wait_until_loaded(&mut self) {
        while !std::mem::take(&mut self.loaded) {
            let message = self.next();
            assert_eq!(message.get("id"), None, "an answer that nobody waits for: {message}");
        }
    }

    /// One command, and its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        // Messages end with a zero byte.
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let message = self.next();
            if message["id"] == self.last_id {
                assert_eq!(message.get("error"), None, "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The next message, noted if it is a complaint.
    #[track_caller]
    fn next(&mut self) -> Value {
        let bytes = self.from.recv_timeout(PATIENCE).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => panic!("the browser says nothing for {PATIENCE:?}"),
            RecvTimeoutError::Disconnected => panic!("the browser has ended: {:?}", self.child.try_wait()),
        });
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some(
                "Runtime.consoleAPICalled"
                | "Runtime.exceptionThrown"
                | "Log.entryAdded"
                | "Audits.issueAdded"
                | "Network.loadingFailed",
            ) => self.complaints.push(message["params"].clone()),
            _ => {}
        }
        message
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
