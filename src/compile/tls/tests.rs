use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::{certificates::facts, *};
use crate::config::load;

/// A certificate for these names and its key, as PEM.
fn made(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn find<'c>(certificates: &'c Certificates, name: &str) -> Option<&'c [u8]> {
    Some(certificates.find(name)?.first()?.cert.first()?.as_ref())
}

#[test]
fn a_name_is_shown_its_own_certificate_before_a_wildcard() {
    let mut all = Certificates::default();
    let mut ders = Vec::new();
    for names in [&["*.example.com"][..], &["api.example.com", "Other.Example"]] {
        let (cert, key) = made(names);
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let (names, ends) = facts(&chain[0]).unwrap();
        assert!(ends > Timestamp::from_seconds(0));
        ders.push(chain[0].to_vec());
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
        all.add(Arc::new(CertifiedKey::new(chain, key.unwrap())), names);
    }
    assert_eq!(find(&all, "api.example.com"), Some(&*ders[1]));
    assert_eq!(find(&all, "API.example.com."), Some(&*ders[1]));
    assert_eq!(find(&all, "other.example"), Some(&*ders[1]));
    assert_eq!(find(&all, "www.example.com"), Some(&*ders[0]));
    for name in ["example.com", "a.b.example.com", "elsewhere.example"] {
        assert_eq!(find(&all, name), None, "{name}");
    }
}

/// The codes and messages of a configuration whose listener has this `tls`.
fn faults(tls: &str, files: &[(&str, &str)]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let yaml = format!(
        "version: 1\nserver: {{ listen: [{{ address: '127.0.0.1:1', tls: {tls} }}] }}\n\
         upstreams: {{ demo: {{ builtin: echo }} }}\n\
         routes: [{{ match: {{ path: / }}, upstream: demo, auth: none }}]\n"
    );
    let file: &Path = &folder.path().join("gateway.yaml");
    std::fs::write(file, yaml).unwrap();
    let loaded = load::load(file, &|_| None).unwrap();
    let found = crate::compile::compile(&loaded, &Default::default()).diagnostics;
    found.into_iter().map(|one| (one.code.to_owned(), one.message)).collect()
}

#[test]
fn what_cannot_serve_is_a_fault_that_says_why() {
    let (cert, key) = made(&["a.example"]);
    let (_, other) = made(&["b.example"]);
    let pair = "{ certificates: [{ cert: cert, key: key }] }";
    assert_eq!(faults(pair, &[("cert", &cert), ("key", &key)]), []);
    let told = |files: &[(&str, &str)]| {
        let mut found = faults(pair, files);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let (code, why) = told(&[("cert", &cert), ("key", &other)]);
    assert_eq!((&*code, &*why), (codes::UNUSABLE_KEY, "the key is not that of the certificate"));
    let (code, _) = told(&[("cert", &key), ("key", &key)]);
    assert_eq!(code, codes::UNUSABLE_CERTIFICATE);
    let (code, why) = told(&[("cert", &cert), ("key", &cert)]);
    assert_eq!((&*code, &*why), (codes::UNUSABLE_KEY, "the file holds no private key"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let (code, why) = told(&[("cert", &cert), ("key", encrypted)]);
    assert_eq!((&*code, &*why), (codes::UNUSABLE_KEY, "the key is encrypted"));
    let none = faults("{ certificates: [] }", &[]);
    assert_eq!(none.len(), 1, "{none:?}");
    let auth = "{ certificates: [{ cert: cert, key: key }], client_auth: { ca: ca } }";
    let found = faults(auth, &[("cert", &cert), ("key", &key), ("ca", "nothing")]);
    assert_eq!(found[0].0, codes::UNUSABLE_CERTIFICATE, "{found:?}");
}

#[test]
fn a_certificate_is_warned_of_thirty_days_ahead() {
    let now = Timestamp::from_seconds(1_000_000_000);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let warning = |ends| Validity { name: "a.example".into(), ends }.warning(now);
    assert_eq!(warning(now + day * 31), None);
    let soon = warning(now + day * 7).unwrap();
    assert!(soon.contains("in 7 days"), "{soon}");
    assert!(warning(now).unwrap().contains("has expired"));
}
