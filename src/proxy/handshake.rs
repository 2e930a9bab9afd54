//! What a connection's handshake is worth: as much as it would be now.
//!
//! A connection outlives the terms that it was made by. Once clients' certificates are judged otherwise,
//! what it showed is judged again with each request, and it is asked to end.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use pingora::protocols::{Stream, tls::TlsRef};
use rustls_pki_types::CertificateDer;

use super::{door::Place, tls};
use crate::{
    compile::{ClientTerms, TlsTerms},
    gateway::Snapshot,
    model::Timestamp,
    policy::{Denial, authn::ClientCertificate},
};

/// A handshake that is over.
#[derive(Debug)]
pub(super) struct Handshake {
    /// How clients' certificates were judged.
    begun: Option<ClientTerms>,
    /// Whose terms count by now.
    place: Arc<Place>,
    /// The name that the client asked for.
    asked: Option<Box<str>>,
    /// What the client showed, its own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// The certificate that it showed.
    certificate: Option<Arc<ClientCertificate>>,
    /// The last configuration that was found to judge as the one of the handshake did.
    like: AtomicU64,
}

impl Handshake {
    /// What is known of it once it is over.
    pub fn of(stream: &Stream, terms: &TlsTerms, place: Arc<Place>) -> Self {
        let tls = stream.get_ssl();
        Self {
            begun: terms.clients.clone(),
            place,
            asked: tls.and_then(TlsRef::server_name).map(Box::from),
            chain: tls.and_then(TlsRef::peer_cert_chain_der).unwrap_or_default().to_vec(),
            certificate: tls::shown(stream),
            like: AtomicU64::new(0),
        }
    }

    /// Whether clients' certificates are judged otherwise by now, so that the connection should end.
    pub fn is_outdated(&self, now: &Snapshot) -> bool {
        if self.like.load(Relaxed) == now.generation() {
            return false;
        }
        let listen = self.place.listen(now);
        let clients = listen.tls.as_ref().and_then(|tls| tls.clients.as_ref());
        let is_like = match (&self.begun, clients) {
            (Some(begun), Some(clients)) => begun.is_like(clients),
            (begun, clients) => begun.is_none() && clients.is_none(),
        };
        if is_like {
            self.like.store(now.generation(), Relaxed);
        }
        !is_like
    }

    /// The certificate that a request for this host comes with.
    ///
    /// # Errors
    /// The request does not belong on this connection: its host is not the one of the handshake, or
    /// what the client showed would not be enough any more.
    pub fn judge(
        &self,
        snapshot: &Snapshot,
        now: Timestamp,
        host: &str,
        local: Option<IpAddr>,
    ) -> Result<Option<Arc<ClientCertificate>>, Denial> {
        if !self.is_outdated(snapshot) {
            return match &self.begun {
                Some(_) => self.is_for(host, local).map(|()| self.certificate.clone()),
                None => Ok(None),
            };
        }
        let listen = self.place.listen(snapshot);
        let Some(clients) = listen.tls.as_ref().and_then(|tls| tls.clients.as_ref()) else {
            return Ok(None);
        };
        self.is_for(host, local)?;
        let is_good = match self.chain.is_empty() {
            true => !clients.required,
            false => clients.accept(&self.chain, now),
        };
        if is_good { Ok(self.certificate.clone()) } else { Err(Denial::Misdirected) }
    }

    fn is_for(&self, host: &str, local: Option<IpAddr>) -> Result<(), Denial> {
        if tls::is_for(host, self.asked.as_deref(), local) {
            Ok(())
        } else {
            Err(Denial::Misdirected)
        }
    }
}
