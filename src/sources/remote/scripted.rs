//! A server on loopback that answers as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Request line and header lines.
    pub head: String,
    pub body: String,
}

impl Heard {
    /// The request target.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status, header lines, a body.
    Now(u16, String, Vec<u8>),
    /// The same once the gate is open.
    Gated(Box<Answer>),
    /// A body without an end.
    Endless,
    /// Nothing, for ever.
    Never,
    /// The connection ends.
    Closed,
}

impl Answer {
    pub fn json(body: impl ToString) -> Self {
        Self::Now(200, "content-type: application/json\r\n".into(), body.to_string().into())
    }

    pub fn status(status: u16) -> Self {
        Self::Now(status, String::new(), Vec::new())
    }
}

type Script = Arc<Mutex<Box<dyn Fn(&Heard) -> Answer + Send>>>;

/// The server; it ends with the runtime of its test.
pub struct Scripted {
    pub address: SocketAddr,
    script: Script,
    heard: Arc<Mutex<Vec<Heard>>>,
    gate: watch::Sender<bool>,
}

impl Scripted {
    pub async fn start(script: impl Fn(&Heard) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (gate, opened) = watch::channel(false);
        tokio::spawn({
            let (script, heard) = (Arc::clone(&script), Arc::clone(&heard));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (script, heard) = (Arc::clone(&script), Arc::clone(&heard));
                    tokio::spawn(serve(stream, script, heard, opened.clone()));
                }
            }
        });
        Self { address, script, heard, gate }
    }

    /// Answers otherwise from now on.
    pub fn change(&self, script: impl Fn(&Heard) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Lets go what waits at the gate.
    pub fn open(&self) {
        self.gate.send_replace(true);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What came so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// How often a target was asked for.
    pub fn asked(&self, target: &str) -> usize {
        self.heard().iter().filter(|heard| heard.target() == target).count()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, requests: usize) {
        while self.heard.lock().unwrap().len() < requests {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    script: Script,
    heard: Arc<Mutex<Vec<Heard>>>,
    mut gate: watch::Receiver<bool>,
) {
    let Some(request) = read(&mut stream).await else { return };
    let mut answer = script.lock().unwrap()(&request);
    heard.lock().unwrap().push(request);
    if let Answer::Gated(behind) = answer {
        let _ = gate.wait_for(|open| *open).await;
        answer = *behind;
    }
    match answer {
        Answer::Now(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
        }
        Answer::Never => std::future::pending().await,
        Answer::Gated(_) | Answer::Closed => {}
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let heard = Heard { head: head.to_owned(), body: body.to_owned() };
            let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(heard);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
