//! Certificates, keys and authorities out of PEM files, for whoever speaks TLS.

use std::sync::Arc;

use rustls::{
    InconsistentKeys, RootCertStore, crypto::ring::sign::any_supported_type, sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{Input, faults::Faults};
use crate::{
    config::{codes, document::Site, values::FilePath},
    model::{Secret, Timestamp},
};

/// How to mend a file of authorities.
pub(super) const HOLDS_AUTHORITIES: &str = "the file holds the authorities' certificates as PEM";

/// A certificate with its key.
pub(super) struct Pair {
    /// Ready to be shown.
    pub key: Arc<CertifiedKey>,
    /// The private key as DER.
    pub private: Secret,
    /// The names that it is for, in lower case.
    pub names: Vec<String>,
    /// When it ends.
    pub ends: Timestamp,
}

/// Reads a certificate, what leads from it to an authority, and its key.
pub(super) fn pair(
    input: &Input<'_>,
    (cert, cert_at): (&FilePath, Site<'_>),
    (key, key_at): (&FilePath, Site<'_>),
    faults: &mut Faults,
) -> Option<Pair> {
    let (cert, key) = (input.file(cert), input.file(key));
    let (cert, key) = (cert?, key?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let chain = chain.unwrap_or_default();
    let Some((names, ends)) = chain.first().and_then(facts) else {
        faults
            .fault(
                codes::UNUSABLE_CERTIFICATE,
                cert_at,
                "the file holds no certificate that can be read",
            )
            .help("the file holds PEM sections `CERTIFICATE`, the one that the key is of first");
        return None;
    };
    let (private, signing) = match private(key) {
        Ok(read) => read,
        Err(why) => {
            faults.fault(codes::UNUSABLE_KEY, key_at, why).help(
                "it is an RSA, ECDSA (P-256, P-384) or Ed25519 key as PEM, without a password",
            );
            return None;
        }
    };
    let key = CertifiedKey::new(chain, signing);
    match key.keys_match() {
        // Unknown is a kind of key that cannot say its public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(_) => {
            faults
                .fault(codes::UNUSABLE_KEY, key_at, "the key is not that of the certificate")
                .help(
                    "name the key that the certificate was requested with; in the file of \
                     certificates the one that it is of comes first",
                );
            return None;
        }
    }
    Some(Pair { key: Arc::new(key), private, names, ends })
}

fn private(pem: &[u8]) -> Result<(Secret, Arc<dyn rustls::sign::SigningKey>), &'static str> {
    let private = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let encrypted = pem.windows(9).any(|word| word == b"ENCRYPTED");
        if encrypted { "the key is encrypted" } else { "the file holds no private key" }
    })?;
    let signing =
        any_supported_type(&private).map_err(|_| "the key is of a kind that TLS has no use for")?;
    Ok((Secret::new(private.secret_der()), signing))
}

/// Reads the certificates of authorities.
pub(super) fn authorities(
    input: &Input<'_>,
    file: &FilePath,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<(RootCertStore, Vec<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    let mut ders = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(input.file(file)?) {
        let added = match certificate {
            Ok(certificate) => {
                ders.push(certificate.to_vec());
                roots.add(certificate).map_err(|error| error.to_string())
            }
            Err(_) => Err("a PEM section is damaged".to_owned()),
        };
        if let Err(why) = added {
            let message = format!("an authority cannot be used: {why}");
            faults.fault(codes::UNUSABLE_CERTIFICATE, at, message).help(HOLDS_AUTHORITIES);
            return None;
        }
    }
    if roots.is_empty() {
        faults
            .fault(codes::UNUSABLE_CERTIFICATE, at, "the file holds no certificate")
            .help(HOLDS_AUTHORITIES);
        return None;
    }
    Some((roots, ders))
}

/// The DNS names of a certificate, and its end.
pub(super) fn facts(der: &CertificateDer<'_>) -> Option<(Vec<String>, Timestamp)> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let ends = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.into_iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Some((names.collect(), ends))
}
