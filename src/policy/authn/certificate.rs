//! What a client's certificate says of its owner. It was verified when the connection began; here
//! it is read, once a connection, and judged anew on each request.

use std::sync::Arc;

use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, time::ASN1Time,
};

use super::CertSubject;
use crate::{model::Timestamp, policy::decision::CertificateFault};

/// No name of a certificate that is longer is taken.
const LONGEST: usize = 1 << 10;

/// What a client's certificate says of its owner.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    begins: Timestamp,
    ends: Timestamp,
    common_name: Name,
    dns_name: Name,
    uri: Name,
}

/// The one name of a kind, or why there is none.
type Name = Result<Arc<str>, CertificateFault>;

impl ClientCertificate {
    /// Reads a certificate that was verified. One that cannot be read names nobody.
    pub fn read(der: &[u8]) -> Self {
        match parse_x509_certificate(der) {
            Ok((_, certificate)) => Self::of(&certificate),
            Err(_) => {
                let none = || Err(CertificateFault::Malformed);
                let (begins, ends) = (Timestamp::MAX, Timestamp::default());
                Self { begins, ends, common_name: none(), dns_name: none(), uri: none() }
            }
        }
    }

    fn of(certificate: &X509Certificate<'_>) -> Self {
        let at = |time: ASN1Time| Timestamp::from_seconds(time.timestamp());
        let validity = certificate.validity();
        let common = certificate.subject().iter_common_name();
        let common = common.map(|name| name.as_str().map_err(|_| CertificateFault::Malformed));
        let alternatives = certificate.subject_alternative_name();
        let alternative = |of_kind: for<'n> fn(&GeneralName<'n>) -> Option<&'n str>| {
            let names = alternatives.as_ref().map_err(|_| CertificateFault::Malformed)?;
            let names = names.iter().flat_map(|names| &names.value.general_names);
            only(names.filter_map(of_kind).map(Ok))
        };
        Self {
            begins: at(validity.not_before),
            ends: at(validity.not_after),
            common_name: only(common),
            dns_name: alternative(|name| match name {
                GeneralName::DNSName(name) => Some(name),
                _ => None,
            }),
            uri: alternative(|name| match name {
                GeneralName::URI(uri) => Some(uri),
                _ => None,
            }),
        }
    }

    /// A certificate that says this in every place and is good for ever: what an operator means who
    /// asks what a policy makes of it.
    pub fn supposed(subject: &str) -> Self {
        let name = || only(std::iter::once(Ok(subject)));
        let (begins, ends) = (Timestamp::default(), Timestamp::MAX);
        Self { begins, ends, common_name: name(), dns_name: name(), uri: name() }
    }

    /// The subject that it stands for now, and when it ends.
    pub(super) fn subject(
        &self,
        place: CertSubject,
        now: Timestamp,
    ) -> Result<(&Arc<str>, Timestamp), CertificateFault> {
        // Both ends belong to the time that it is good for (RFC 5280, section 4.1.2.5).
        if now > self.ends {
            return Err(CertificateFault::Expired);
        }
        if now < self.begins {
            return Err(CertificateFault::NotYetValid);
        }
        let name = match place {
            CertSubject::CommonName => &self.common_name,
            CertSubject::DnsName => &self.dns_name,
            CertSubject::Uri => &self.uri,
        };
        name.as_ref().map(|name| (name, self.ends)).map_err(|fault| *fault)
    }
}

/// The only name of its kind. Of several nobody could say which is meant; and a byte that is no
/// visible ASCII could end a name for one reader and not for another.
fn only<'n>(mut names: impl Iterator<Item = Result<&'n str, CertificateFault>>) -> Name {
    let name = names.next().ok_or(CertificateFault::NoSubject)??;
    if names.next().is_some() {
        return Err(CertificateFault::Ambiguous);
    }
    if name.trim().is_empty() {
        return Err(CertificateFault::NoSubject);
    }
    let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain && name.len() <= LONGEST {
        Ok(name.into())
    } else {
        Err(CertificateFault::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        change(&mut params);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientCertificate::read(made.der())
    }

    fn named(cn: impl Into<DnValue>) -> ClientCertificate {
        certificate(|params| params.distinguished_name.push(DnType::CommonName, cn))
    }

    fn told(certificate: &ClientCertificate, place: CertSubject) -> Result<&str, CertificateFault> {
        certificate.subject(place, NOW).map(|(name, _)| &**name)
    }

    #[test]
    fn each_place_is_read_by_itself() {
        let all = certificate(|params| {
            params.distinguished_name.push(DnType::CommonName, "robot 7");
            params.subject_alt_names = vec![
                SanType::DnsName("robot.example".try_into().unwrap()),
                SanType::URI("spiffe://example/robot".try_into().unwrap()),
                SanType::Rfc822Name("robot@example.com".try_into().unwrap()),
            ];
        });
        assert_eq!(told(&all, CertSubject::CommonName), Ok("robot 7"));
        assert_eq!(told(&all, CertSubject::DnsName), Ok("robot.example"));
        assert_eq!(told(&all, CertSubject::Uri), Ok("spiffe://example/robot"));
        let bare = certificate(|_| {});
        for place in [CertSubject::CommonName, CertSubject::DnsName, CertSubject::Uri] {
            assert_eq!(told(&bare, place), Err(CertificateFault::NoSubject));
        }
    }

    #[test]
    fn of_several_names_of_a_kind_none_counts() {
        let uri = |text: &str| SanType::URI(text.try_into().unwrap());
        let two = certificate(|params| {
            params.subject_alt_names = vec![uri("spiffe://a/alice"), uri("spiffe://a/bob")];
        });
        assert_eq!(told(&two, CertSubject::Uri), Err(CertificateFault::Ambiguous));
        let same = certificate(|params| {
            params.subject_alt_names = vec![uri("spiffe://a/alice"), uri("spiffe://a/alice")];
        });
        assert_eq!(told(&same, CertSubject::Uri), Err(CertificateFault::Ambiguous));
    }

    #[test]
    fn a_name_with_bytes_that_are_no_visible_ascii_is_refused() {
        for name in ["alice\0.evil", "al\u{ef}ce", "alice\n", "\u{430}lice"] {
            assert_eq!(
                told(&named(name), CertSubject::CommonName),
                Err(CertificateFault::Malformed),
                "{name:?}"
            );
        }
        let wide = DnValue::BmpString("alice".try_into().unwrap());
        assert_eq!(told(&named(wide), CertSubject::CommonName), Err(CertificateFault::Malformed));
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(
            told(&named(long.as_str()), CertSubject::CommonName),
            Err(CertificateFault::Malformed)
        );
    }

    #[test]
    fn an_empty_name_names_nobody() {
        for name in ["", "   "] {
            assert_eq!(
                told(&named(name), CertSubject::CommonName),
                Err(CertificateFault::NoSubject),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_certificate_is_good_from_its_beginning_to_its_end() {
        let robot = named("robot");
        let at = |now| robot.subject(CertSubject::CommonName, now).map(|(_, ends)| ends);
        let (begins, ends) = (robot.begins, robot.ends);
        assert_eq!(at(ends), Ok(ends));
        assert_eq!(at(ends + Duration::from_micros(1)), Err(CertificateFault::Expired));
        assert_eq!(at(begins), Ok(ends));
        assert_eq!(at(begins - Duration::from_micros(1)), Err(CertificateFault::NotYetValid));
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        let none = ClientCertificate::read(b"\x30\x03\x02\x01\x05");
        assert!(none.subject(CertSubject::CommonName, NOW).is_err());
    }
}
