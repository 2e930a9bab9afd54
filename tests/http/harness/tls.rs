//! Certificates made for a test, and a client that speaks TLS as it is told.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{PATIENCE, Raw};

/// An authority of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names: addresses, DNS names, or URIs where a colon is in them.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| {
                if let Ok(address) = name.parse() {
                    return SanType::IpAddress(address);
                }
                let text = (*name).try_into().unwrap();
                if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }
            })
            .collect();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// An application that speaks TLS alone, and answers with what it saw of the handshake: the name that it was asked for, and
/// whether it was shown a certificate.
pub struct Secured {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    handshakes: Arc<AtomicUsize>,
}

impl Secured {
    /// `clients` is who signs the certificates that it asks for, if it does.
    pub fn start(identity: &Identity, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(clients.pem().as_bytes()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            }
        };
        let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![cert], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let secured = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            handshakes: Arc::default(),
        };
        let (requests, handshakes) = (secured.requests.clone(), secured.handshakes.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let (requests, handshakes) = (requests.clone(), handshakes.clone());
                std::thread::spawn(move || {
                    // Whoever refuses the certificate ends it here.
                    let _ =
                        Self::serve(StreamOwned::new(connection, socket), &requests, &handshakes);
                });
            }
        });
        secured
    }

    fn serve(
        mut stream: StreamOwned<ServerConnection, TcpStream>,
        requests: &Mutex<Vec<String>>,
        handshakes: &AtomicUsize,
    ) -> io::Result<()> {
        stream.conn.complete_io(&mut stream.sock)?;
        handshakes.fetch_add(1, Ordering::SeqCst);
        let mut head = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte)? == 1 {
            head.extend(byte);
            if head.ends_with(b"\r\n\r\n") {
                requests
                    .lock()
                    .unwrap()
                    .push(String::from_utf8(std::mem::take(&mut head)).unwrap());
                let name = stream.conn.server_name().unwrap_or("nobody");
                let shown = stream.conn.peer_certificates().is_some();
                let body = format!("{name} {shown}");
                let length = body.len();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")?;
            }
        }
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of what it was asked.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Handshakes that came to their end.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }
}

/// A client that trusts one authority.
pub struct Guest<'a> {
    pub authority: &'a Authority,
    pub identity: Option<&'a Identity>,
    /// The protocols that it offers (ALPN).
    pub alpn: &'a [&'a str],
    /// What it sends before the handshake.
    pub before: &'a [u8],
}

impl<'a> Guest<'a> {
    pub fn of(authority: &'a Authority) -> Self {
        Self { authority, identity: None, alpn: &[], before: b"" }
    }

    /// Connects, and sends and reads nothing but the handshake.
    pub fn connect(&self, address: SocketAddr, name: &str) -> io::Result<Secure> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { cert, key }) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.sock.write_all(self.before)?;
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Secure(Box::new(stream)))
    }
}

/// A secured connection.
pub struct Secure(Box<StreamOwned<ClientConnection, TcpStream>>);

impl Secure {
    /// The certificate that was shown.
    pub fn shown(&self) -> &[u8] {
        self.0.conn.peer_certificates().unwrap().first().unwrap()
    }

    pub fn raw(self) -> Raw {
        Raw::secure(self)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.0.sock
    }
}

impl Read for Secure {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Secure {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
