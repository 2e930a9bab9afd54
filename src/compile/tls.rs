//! `server.listen[].tls`: certificates, their keys, and the authorities of clients' certificates.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::ring,
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    Input,
    certificates::{self, Pair},
    faults::Faults,
    listeners,
    serving::Listen,
};
use crate::{
    config::{
        codes,
        document::Site,
        server::{ClientAuth, ClientAuthMode, Tls},
        values::ListenAddress,
    },
    model::Timestamp,
};

/// How long before its end a certificate is warned of.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How a listener speaks TLS.
pub struct TlsTerms {
    /// For each handshake, with HTTP/2 among the protocols and without.
    configs: [Arc<ServerConfig>; 2],
    /// How clients' certificates are judged; absent where none is asked for.
    pub clients: Option<ClientTerms>,
    /// The certificates, for the metrics and for warnings.
    pub certificates: Vec<Validity>,
}

impl TlsTerms {
    /// For a handshake of a client that may speak HTTP/2, or may not.
    pub fn config(&self, http2: bool) -> Arc<ServerConfig> {
        let [with, without] = &self.configs;
        Arc::clone(if http2 { with } else { without })
    }
}

impl fmt::Debug for TlsTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTerms")
            .field("clients", &self.clients)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

/// How clients' certificates are judged.
#[derive(Clone)]
pub struct ClientTerms {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Whether a client without one is not served.
    pub required: bool,
    /// The authorities as they are written down.
    authorities: Arc<[u8]>,
}

impl ClientTerms {
    /// Whether both judge alike.
    pub fn is_like(&self, other: &Self) -> bool {
        self.required == other.required && self.authorities == other.authorities
    }

    /// Whether a chain that was shown, the client's own certificate first, is good by these terms.
    pub fn accept(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let Some((own, others)) = chain.split_first() else { return false };
        let seconds = u64::try_from(now.seconds()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verifier.verify_client_cert(own, others, now).is_ok()
    }
}

impl fmt::Debug for ClientTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTerms").field("required", &self.required).finish_non_exhaustive()
    }
}

/// How long a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first name that it is for; its file where it names none.
    pub name: Arc<str>,
    /// When it ends.
    pub ends: Timestamp,
}

impl Validity {
    /// Whether it ends soon, and is worth a word; or what is wrong with it already.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { name, ends } = self;
        if *ends <= now {
            Some(format!("the certificate of `{name}` has expired"))
        } else if *ends <= now + SOON {
            let days = ends.since(now).as_secs() / (24 * 60 * 60);
            Some(format!("the certificate of `{name}` expires in {days} days"))
        } else {
            None
        }
    }
}

/// Reads the listeners.
pub(super) fn listeners(input: &Input<'_>, faults: &mut Faults) -> Vec<Listen> {
    let at = input.root().key("server").key("listen");
    let Some(listen) = &input.config.server.listen else {
        let address = ListenAddress::loopback(8080).0;
        return vec![Listen { address, tls: None, redirect: None, announced: false }];
    };
    let secured = listen.as_slice().iter().position(|listener| listener.tls().is_some());
    let written = listen.as_slice().iter().enumerate().map(|(index, listener)| {
        let at = at.item(index);
        let tls = listener.tls().and_then(|tls| compile(input, tls, at.key("tls"), faults));
        Listen {
            address: listener.address().0,
            tls: tls.map(Arc::new),
            redirect: listeners::redirect(input, listener, secured, at, faults),
            announced: listeners::announced(input, listener, at, faults),
        }
    });
    written.collect()
}

fn compile(input: &Input<'_>, tls: &Tls, at: Site<'_>, faults: &mut Faults) -> Option<TlsTerms> {
    let clients = match &tls.client_auth {
        None => Some(None),
        Some(auth) => clients(input, auth, at.key("client_auth"), faults).map(Some),
    };
    let certificates = shown(input, tls, at.key("certificates"), faults);
    let (clients, (certificates, validities)) = (clients?, certificates?);
    let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .inspect_err(|error| {
            faults.fault(codes::UNUSABLE_CERTIFICATE, at, error.to_string());
        })
        .ok()?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier.clone()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if clients.is_some() {
        // A resumed session would not be checked against the authorities again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    let mut with = config.clone();
    with.alpn_protocols.insert(0, b"h2".to_vec());
    let configs = [Arc::new(with), Arc::new(config)];
    Some(TlsTerms { configs, clients, certificates: validities })
}

fn clients(
    input: &Input<'_>,
    auth: &ClientAuth,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<ClientTerms> {
    let authorities = Arc::from(input.file(&auth.ca)?);
    let (roots, _) = certificates::authorities(input, &auth.ca, at.key("ca"), faults)?;
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match auth.mode {
        ClientAuthMode::Optional => builder.allow_unauthenticated(),
        ClientAuthMode::Required => builder,
    };
    match builder.build() {
        Ok(verifier) => Some(ClientTerms {
            verifier,
            required: auth.mode == ClientAuthMode::Required,
            authorities,
        }),
        Err(error) => {
            let why = format!("clients' certificates cannot be checked: {error}");
            faults
                .fault(codes::UNUSABLE_CERTIFICATE, at.key("ca"), why)
                .help(certificates::HOLDS_AUTHORITIES);
            None
        }
    }
}

fn shown(
    input: &Input<'_>,
    tls: &Tls,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<(Certificates, Vec<Validity>)> {
    let mut all = Certificates::default();
    let mut validities: Vec<Validity> = Vec::new();
    let mut sound = true;
    for (index, files) in tls.certificates.iter().enumerate() {
        let at = at.item(index);
        let (cert, key) = ((&files.cert, at.key("cert")), (&files.key, at.key("key")));
        let Some(Pair { key, names, ends, .. }) = certificates::pair(input, cert, key, faults)
        else {
            sound = false;
            continue;
        };
        let name = names.first().cloned();
        let name = name.unwrap_or_else(|| files.cert.as_path().display().to_string());
        let validity = Validity { name: name.into(), ends };
        if let Some(warning) = validity.warning(input.circumstances.now) {
            faults
                .warning(codes::CERTIFICATE_EXPIRES, at.key("cert"), warning)
                .help("put a new one in its place; the files are read again when they change");
        }
        if names.is_empty() && index > 0 {
            faults
                .warning(
                    codes::UNUSABLE_CERTIFICATE,
                    at.key("cert"),
                    "the certificate names no host, so no client will ever be shown it",
                )
                .help("only the first of the list is for clients that ask for no known name");
        }
        validities.push(validity);
        all.add(key, names);
    }
    sound.then_some((all, validities))
}

/// Certificates by the names that they are for.
#[derive(Debug, Default)]
struct Certificates {
    /// By name; `*.` and the rest of it for a wildcard. Of several the first that the client can
    /// check is shown.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
    first: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    fn add(&mut self, key: Arc<CertifiedKey>, names: Vec<String>) {
        for name in names {
            self.named.entry(name).or_default().push(key.clone());
        }
        self.first.push(key);
    }

    fn find(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.named.get(&name).or_else(|| {
            // A wildcard stands for one label (RFC 6125, section 6.4.3).
            let (_, rest) = name.split_once('.')?;
            self.named.get(&format!("*.{rest}"))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let among = |keys: &Vec<Arc<CertifiedKey>>| keys.iter().find(fits).cloned();
        named.and_then(among).or_else(|| among(&self.first))
    }
}

#[cfg(test)]
mod tests;
