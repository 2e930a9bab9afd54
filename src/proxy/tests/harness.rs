//! A gateway on a free port, and both of its ends as plain sockets.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    admin,
    gateway::{Gateway, watch},
    observe::{LogTerms, Metrics, logging::Logging},
    proxy::{
        listen,
        serve::{self, Drained, Word},
    },
};

/// No test waits longer than this for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

static LOGGING: LazyLock<Arc<Logging>> = LazyLock::new(|| {
    Arc::new(Logging::start(&LogTerms { access: false, ..LogTerms::default() }, &[]).unwrap())
});

/// A gateway that runs.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub gateway: Arc<Gateway>,
    pub file: std::path::PathBuf,
    stop: mpsc::Sender<Word>,
    done: JoinHandle<Drained>,
    _folder: tempfile::TempDir,
}

/// Serves this configuration.
pub async fn run(config: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, config).unwrap();
    let metrics = Metrics::new("0", "test").unwrap();
    let loaded = Gateway::load(&file, &metrics).unwrap_or_else(|fault| panic!("{fault:#?}"));
    let gateway = Gateway::begin(file.clone(), loaded, metrics, LOGGING.clone());
    let bound = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = bound.address;
    let admin = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let admin_address = admin.address;
    tokio::spawn(admin::serve::serve(gateway.clone(), admin.socket));
    let (_, hangups) = mpsc::channel(1);
    tokio::spawn(watch::watch(gateway.clone(), hangups));
    let (stop, stopped) = mpsc::channel(2);
    let served = gateway.clone();
    let done = tokio::spawn(async { serve::serve(served, vec![bound], stopped).await.unwrap() });
    Running { address, admin: admin_address, gateway, file, stop, done, _folder: folder }
}

impl Running {
    /// As a signal does.
    pub async fn stop(&self) {
        self.stop.send(Word::Stop).await.unwrap();
    }

    /// As a handover does.
    pub async fn replace(&self) {
        self.stop.send(Word::Replaced).await.unwrap();
    }

    /// Waits for the end.
    pub async fn drained(self) -> Drained {
        soon(self.done).await.unwrap()
    }

    /// A connection to it.
    pub async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), rest: Vec::new() }
    }

    /// Asks the admin listener.
    pub async fn ask_admin(&self, request: &str) -> Answer {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let mut client = Client { stream, rest: Vec::new() };
        client.send(request).await;
        client.answer().await
    }

    /// Sends a request on a connection of its own, and reads the answer to its end.
    pub async fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    /// The value of a metric with these labels as written.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let text = String::from_utf8(self.gateway.exposition().unwrap()).unwrap();
        let mut lines = text.lines();
        lines.find_map(|one| one.strip_prefix(line)?.trim().parse().ok())
    }
}

/// Fails the test if it takes too long.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// A client's end of a connection.
pub struct Client {
    pub stream: TcpStream,
    rest: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    /// Over this connection.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream, rest: Vec::new() }
    }

    /// Sends what the other end may refuse to take.
    pub async fn offer(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The status of the next answer; none if the connection ends instead.
    pub async fn next_status(&mut self) -> Option<u16> {
        while end_of_head(&self.rest).is_none() {
            match soon(self.stream.read_buf(&mut self.rest)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        Some(self.answer().await.status)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the received bytes fulfil this, and returns them.
    pub async fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        while !enough(&self.rest) {
            let read = soon(self.stream.read_buf(&mut self.rest)).await.unwrap();
            assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&self.rest));
        }
        std::mem::take(&mut self.rest)
    }

    /// Reads a head, up to the empty line.
    pub async fn head(&mut self) -> String {
        let mut bytes = self.until(|bytes| end_of_head(bytes).is_some()).await;
        let end = end_of_head(&bytes).unwrap();
        self.rest = bytes.split_off(end);
        String::from_utf8(bytes).unwrap()
    }

    /// Reads an answer to a request that was no `HEAD`.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").map(|text| text.parse().unwrap()) {
            let mut bytes = self.until(|bytes| bytes.len() >= length).await;
            self.rest = bytes.split_off(length);
            answer.body = bytes;
        } else if answer.header("transfer-encoding").is_some() {
            answer.body = self.until(|bytes| bytes.ends_with(b"0\r\n\r\n")).await;
        }
        answer
    }

    /// Waits for the end of the connection; what came before it.
    pub async fn closed(&mut self) -> Vec<u8> {
        loop {
            match soon(self.stream.read_buf(&mut self.rest)).await {
                Ok(0) | Err(_) => return std::mem::take(&mut self.rest),
                Ok(_) => {}
            }
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// An upstream: every connection goes to this.
pub async fn upstream<F: Future<Output = ()> + Send + 'static>(
    answer: impl Fn(Client) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(Client { stream, rest: Vec::new() }));
        }
    });
    address
}

/// A configuration that leads everything to this upstream, anonymously.
pub fn leading_to(address: SocketAddr) -> String {
    let upstream = format!("http://{address}");
    format!(
        "version: 1\n\
         server: {{ listen: 127.0.0.1:0 }}\n\
         admin: {{ listen: 127.0.0.1:0 }}\n\
         log: {{ access: false }}\n\
         upstreams: {{ app: \"{upstream}\" }}\n\
         routes:\n  - {{ name: all, match: {{ path: /app/** }}, upstream: app, auth: none }}\n"
    )
}
