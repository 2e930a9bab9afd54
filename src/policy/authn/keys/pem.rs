//! Keys out of PEM files (RFC 7468).

use rustls_pki_types::pem::{PemObject, SectionKind};

use super::{fault::KeyFault, public::PublicKey};

/// A private key in its container.
pub(super) enum PrivateDer {
    /// PKCS #8 (RFC 5958), either version.
    Pkcs8(Vec<u8>),
    /// PKCS #1 (RFC 8017), RSA alone.
    Pkcs1(Vec<u8>),
}

/// The one public key of a file: `PUBLIC KEY` or `CERTIFICATE`.
pub(super) fn public(text: &[u8]) -> Result<PublicKey, KeyFault> {
    match section(text)? {
        (SectionKind::PublicKey, der) => PublicKey::from_spki(&der),
        (SectionKind::Certificate, der) => PublicKey::from_certificate(&der),
        (SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _) => {
            Err(KeyFault::Private)
        }
        _ => Err(KeyFault::Malformed { what: "the PEM section holds no key" }),
    }
}

/// The one private key of a file: `PRIVATE KEY` or `RSA PRIVATE KEY`.
pub(super) fn private(text: &[u8]) -> Result<PrivateDer, KeyFault> {
    match section(text)? {
        (SectionKind::PrivateKey, der) => Ok(PrivateDer::Pkcs8(der)),
        (SectionKind::RsaPrivateKey, der) => Ok(PrivateDer::Pkcs1(der)),
        (SectionKind::EcPrivateKey, _) => {
            Err(KeyFault::Rejected { why: "it is in the older container of SEC 1".to_owned() })
        }
        (SectionKind::PublicKey | SectionKind::Certificate, _) => Err(KeyFault::Public),
        _ => Err(KeyFault::Malformed { what: "the PEM section holds no key" }),
    }
}

/// The only section of a file. `EC PARAMETERS`, which older tools write before a key, is passed over.
fn section(text: &[u8]) -> Result<(SectionKind, Vec<u8>), KeyFault> {
    let mut sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(text);
    let first = match sections.next() {
        Some(Ok(section)) => section,
        Some(Err(_)) => return Err(KeyFault::Malformed { what: "the PEM section is damaged" }),
        None => return Err(without_section(text)),
    };
    match sections.next() {
        None => Ok(first),
        Some(_) => Err(KeyFault::Several),
    }
}

/// What a file is in which no section that we know was found.
fn without_section(text: &[u8]) -> KeyFault {
    let text = String::from_utf8_lossy(text);
    if text.contains("ENCRYPTED PRIVATE KEY") {
        KeyFault::Encrypted
    } else if text.contains("RSA PUBLIC KEY") {
        KeyFault::Malformed {
            what: "the public key is in the container of PKCS #1; \
                   write it anew: `openssl rsa -RSAPublicKey_in -in KEY -pubout`",
        }
    } else {
        KeyFault::Malformed { what: "the file holds no PEM section" }
    }
}
