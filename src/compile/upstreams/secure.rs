//! `upstreams.*.tls`: how targets are spoken to by TLS.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

use crate::{
    compile::{Input, certificates, faults::Faults},
    config::{codes, document::Site, upstreams::UpstreamTls as Written, values::TargetUrl},
    policy::upstream::{Identity, UpstreamTls},
};

/// Reads it. Nothing if it has a fault.
pub(super) fn compile(
    input: &Input<'_>,
    written: &Written,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<UpstreamTls> {
    if !written.verify {
        faults
            .warning(
                codes::UNVERIFIED_UPSTREAM,
                at.key("verify"),
                "whoever answers at the target's address is believed to be the upstream",
            )
            .help("name the authority of its certificate in `ca`, and remove `verify: false`");
    }
    let authorities = match &written.ca {
        None => None,
        Some(file) => Some(certificates::authorities(input, file, at.key("ca"), faults)?.1),
    };
    let identity = match (&written.client_cert, &written.client_key) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let pair = certificates::pair(
                input,
                (cert, at.key("client_cert")),
                (key, at.key("client_key")),
                faults,
            )?;
            let chain = pair.key.cert.iter().map(|one| one.to_vec()).collect();
            Some(Identity { chain, key: pair.private })
        }
        _ if input.lacks_any(at, &["client_cert", "client_key"]) => return None,
        (cert, _) => {
            let (has, lacks) = if cert.is_some() {
                ("client_cert", "client_key")
            } else {
                ("client_key", "client_cert")
            };
            faults
                .fault(codes::MISSING_KEY, at.key(has), format!("`{has}` is of no use alone"))
                .help(format!("add `{lacks}`"));
            return None;
        }
    };
    let mut tls =
        UpstreamTls { authorities, identity, unverified: !written.verify, fingerprint: 0 };
    tls.fingerprint = fingerprint(&tls);
    Some(tls)
}

/// The name that a target is asked for, if it is spoken to by TLS.
pub(super) fn name(url: &TargetUrl, written: Option<&Written>) -> Option<Arc<str>> {
    let named = written.and_then(|tls| tls.sni.as_ref()).map(|name| name.0.as_str());
    let own = url.host.trim_end_matches('.');
    url.secure.then(|| named.unwrap_or(own).to_ascii_lowercase().into())
}

/// Never 0, which is nobody's.
fn fingerprint(tls: &UpstreamTls) -> u64 {
    let mut context = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&bytes.len().to_be_bytes());
        context.update(bytes);
    };
    part(&[u8::from(tls.unverified), u8::from(tls.authorities.is_some())]);
    tls.authorities.iter().flatten().for_each(|authority| part(authority));
    part(b"identity");
    if let Some(identity) = &tls.identity {
        identity.chain.iter().for_each(|certificate| part(certificate));
        part(identity.key.expose());
    }
    let digest = context.finish();
    let first = digest.as_ref().first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes));
    first.max(1)
}
