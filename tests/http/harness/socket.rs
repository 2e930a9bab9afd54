//! A WebSocket client of another make, led line by line.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::app::python;

/// A client that has tried to connect; what it says first tells whether it could.
pub struct Socket {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Socket {
    pub fn connect(address: SocketAddr, target: &str, headers: &[&str]) -> Self {
        let mut child = python("socket_client")
            .arg(format!("ws://{address}{target}"))
            .args(headers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// What it says next: `open`, `refused 401`, an echoed message, `bytes 5`, `closed 1000`.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a message; what comes back.
    pub fn ask(&mut self, message: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
        self.says()
    }

    /// Waits for the other side to say something; what it says.
    pub fn ask_nothing(&mut self) -> String {
        self.ask("(wait)")
    }

    /// Closes as a client should; what it says of that.
    pub fn close(mut self) -> String {
        drop(self.input.take());
        self.says()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
