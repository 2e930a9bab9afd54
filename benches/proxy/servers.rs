//! The processes that are measured, each ended when dropped.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    Outcome, passthrough,
    secure::{Both, CERTIFICATE},
    tokens,
};

/// A running server, one process.
pub struct Server {
    child: Child,
    /// Where it listens on loopback.
    pub port: u16,
}

impl Server {
    /// Nanoseconds that its threads have run so far, in user and system mode.
    pub fn cpu_nanos(&self) -> Outcome<u64> {
        let mut total = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let times = fs::read_to_string(thread?.path().join("schedstat"))?;
            total += times.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(total)
    }

    /// Resident memory.
    pub fn resident_mib(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The bare pass-through: this same program in its other role.
pub fn passthrough(upstream: u16) -> Outcome<Server> {
    let mut child = Command::new(env::current_exe()?)
        .env(passthrough::ROLE, format!("127.0.0.1:{upstream}"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let port = line.trim().rsplit(':').next().unwrap_or("").parse()?;
    Ok(Server { child, port })
}

/// portcullis with a full policy on `/api/**` and none on `/public`.
pub fn portcullis(folder: &Path, upstream: u16, access_log: bool) -> Outcome<Server> {
    let file = folder.join(format!("gateway-{access_log}.yaml"));
    fs::copy(tokens::public_key(), folder.join("issuer.pem"))?;
    let issuer = tokens::ISSUER;
    let text = format!(
        r#"version: 1
server: {{ listen: [{{ address: "127.0.0.1:0" }}], workers: 1 }}
admin: {{ listen: "127.0.0.1:0" }}
log: {{ access: {access_log} }}
upstreams: {{ app: "http://127.0.0.1:{upstream}" }}
authentication:
  jwt:
    corp:
      issuer: "{issuer}"
      audiences: [bench]
      algorithms: [RS256]
      public_key_file: issuer.pem
roles:
  user: {{ permissions: [read:items] }}
routes:
  - name: public
    match: {{ path: /public }}
    upstream: app
    auth: none
  - name: api
    match: {{ path: /api/** }}
    upstream: app
    auth: [jwt:corp]
    allow: {{ roles: [user] }}
    rate_limit: {{ limit: 1000000000/minute, by: principal }}
"#
    );
    fs::write(&file, text)?;
    serve(&file)
}

/// portcullis with a public route, by TLS and in clear.
pub fn portcullis_both(folder: &Path, upstream: u16) -> Outcome<Both> {
    let [cert, key] = CERTIFICATE.map(tokens::fixture);
    let (cert, key) = (cert.display(), key.display());
    let tls = format!("tls: {{ certificates: [{{ cert: {cert}, key: {key} }}] }}");
    let one = |name: &str, tls: &str| {
        let file = folder.join(name);
        let text = format!(
            r#"version: 1
server: {{ listen: [{{ address: "127.0.0.1:0", {tls} }}], workers: 1 }}
admin: {{ listen: "127.0.0.1:0" }}
log: {{ access: false }}
upstreams: {{ app: "http://127.0.0.1:{upstream}" }}
routes: [{{ match: {{ path: /public }}, upstream: app, auth: none }}]
"#
        );
        fs::write(&file, text)?;
        serve(&file)
    };
    Ok(Both { secure: one("secure.yaml", &tls)?, clear: one("clear.yaml", "")? })
}

/// nginx that does the same: HTTP/1.1 and HTTP/2 by TLS, HTTP/2 in clear.
pub fn nginx_both(folder: &Path, upstream: u16) -> Outcome<Both> {
    let [cert, key] = CERTIFICATE.map(tokens::fixture);
    let tls = format!(
        "{}\nssl_certificate {};\nssl_certificate_key {};",
        pool(upstream),
        cert.display(),
        key.display()
    );
    Ok(Both {
        secure: nginx(folder, "nginx-secure", " ssl http2", PASS, &tls)?,
        clear: nginx(folder, "nginx-clear", " http2", PASS, &pool(upstream))?,
    })
}

/// portcullis with the file that it ships with, on other ports.
pub fn shipped(folder: &Path) -> Outcome<Server> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.yaml"))?;
    let text =
        text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:9090", "127.0.0.1:0");
    let file = folder.join("shipped.yaml");
    fs::write(&file, text)?;
    serve(&file)
}

/// The binary as it is shipped, until it listens.
fn serve(file: &Path) -> Outcome<Server> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "-c"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(child.stderr.take().ok_or("no log")?);
    let mut told = String::new();
    loop {
        let start = told.len();
        if log.read_line(&mut told)? == 0 {
            return Err(format!("portcullis ended before it listened:\n{told}").into());
        }
        let Ok(event) = serde_json::from_str::<serde_json::Value>(&told[start..]) else { continue };
        if event["event"] == "listening" && event["listener"] == "proxy" {
            let address = event["address"].as_str().ok_or("no address")?;
            let port = address.rsplit(':').next().unwrap_or("").parse()?;
            // A log that nobody reads would hold its writer up.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok(Server { child, port });
        }
    }
}

/// nginx that answers everything with as many bytes as the path says, 100 or 64 Ki.
pub fn nginx_upstream(folder: &Path) -> Outcome<Server> {
    let (small, large) = ("x".repeat(100), "x".repeat(4096));
    fs::write(folder.join("large"), large.repeat(16))?;
    let locations = format!(
        "location / {{ return 200 '{small}'; }} location = /api/large {{ alias {}/large; }}",
        folder.display()
    );
    nginx(folder, "upstream", "", &locations, "open_file_cache max=10;")
}

/// nginx that passes everything on to the upstream over kept connections.
pub fn nginx_proxy(folder: &Path, upstream: u16) -> Outcome<Server> {
    nginx(folder, "proxy", "", PASS, &pool(upstream))
}

const PASS: &str =
    "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }";

fn pool(upstream: u16) -> String {
    format!("upstream app {{ server 127.0.0.1:{upstream}; keepalive 1024; }}")
}

fn nginx(folder: &Path, name: &str, how: &str, locations: &str, extra: &str) -> Outcome<Server> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let home = folder.join(name);
    fs::create_dir_all(&home)?;
    let file = home.join("nginx.conf");
    let home = home.display();
    let text = format!(
        r#"daemon off;
master_process off;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {home}/b;
  proxy_temp_path {home}/p;
  fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u;
  scgi_temp_path {home}/s;
  {extra}
  server {{ listen 127.0.0.1:{port}{how}; {locations} }}
}}
"#
    );
    fs::write(&file, text)?;
    let spawned = Command::new("nginx")
        .arg("-e")
        .arg(format!("{home}/error.log"))
        .arg("-c")
        .arg(&file)
        .spawn();
    let child = spawned.map_err(|error| format!("nginx is needed and cannot be run: {error}"))?;
    let server = Server { child, port };
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::yield_now();
    }
    Ok(server)
}
