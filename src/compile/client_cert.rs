//! `authentication.client_cert`: what of a client's certificate is the subject.

use super::{Input, faults::Faults};
use crate::{
    config::{authentication::CertSubject as Written, codes, server::Listener},
    policy::authn::{CertSubject, ClientCertTerms},
};

/// Reads it.
pub(super) fn compile(input: &Input<'_>, faults: &mut Faults) -> Option<ClientCertTerms> {
    let written = input.config.authentication.client_cert.as_ref()?;
    let at = input.root().key("authentication").key("client_cert");
    if !is_asked_for(input) && !input.is_faulty("server") {
        faults
            .fault(codes::CERTIFICATES_NOT_ASKED, at, "no listener asks clients for certificates")
            .help("add `client_auth: { ca: FILE }` to the `tls` of a listener");
    }
    let subject = match written.subject {
        Written::Cn => CertSubject::CommonName,
        Written::SanDns => CertSubject::DnsName,
        Written::SanUri => CertSubject::Uri,
    };
    Some(ClientCertTerms { subject })
}

fn is_asked_for(input: &Input<'_>) -> bool {
    let listeners = input.config.server.listen.iter().flat_map(|listen| listen.as_slice());
    let mut tls = listeners.filter_map(Listener::tls);
    tls.any(|tls| tls.client_auth.is_some())
}
