//! Secrets that everybody can read in the shipped `gateway.yaml`.

use super::{Circumstances, faults::Faults};
use crate::{
    config::{Config, codes, document::Site},
    policy::digest::Digest,
};

/// SHA-256 of the secrets of the shipped file: its token secret, its API key, and the hash of its
/// user's password as written. A test holds them against the file.
const KNOWN: [&str; 3] = [
    "9f8f2ba8b6e521526d19444e145232391714e72151447a7a7f1c0a8e65d9f099",
    "b555edf9d352f0f16748b83747749e8b40137bb8ed34585edd6fb392af597a6d",
    "f77e851f905b35014bbb844252b6e13812157afd9b1e649102104896d43c9db4",
];

/// Whether demonstration secrets are warned of or refused.
pub(super) struct Demonstration {
    /// Why others than the operator could use them, if they could.
    exposed: Option<&'static str>,
}

impl Demonstration {
    /// Looks at who can reach the gateway.
    pub fn new(config: &Config, circumstances: &Circumstances) -> Self {
        let open =
            super::server::addresses(config).iter().any(|address| !address.ip().is_loopback());
        let exposed = if open {
            Some("a listener can be reached from other machines")
        } else if config.server.trusted_proxies.is_empty() {
            None
        } else {
            Some("`server.trusted_proxies` lets other machines in")
        };
        Self { exposed: exposed.filter(|_| !circumstances.demonstration_allowed) }
    }

    /// Judges the bytes of a secret.
    pub fn judge(&self, secret: &[u8], at: Site<'_>, faults: &mut Faults) {
        self.judge_digest(Digest::of(secret), at, faults);
    }

    /// Judges a secret by its digest.
    pub fn judge_digest(&self, digest: Digest, at: Site<'_>, faults: &mut Faults) {
        if !KNOWN.iter().filter_map(|known| Digest::parse_hex(known)).any(|known| known == digest) {
            return;
        }
        let message = "the secret is that of the shipped example, which everybody can read";
        let help = "make one of your own: `openssl rand -hex 32` for secrets and keys, `portcullis hash-password` for passwords";
        match self.exposed {
            Some(why) => faults
                .fault(codes::DEMONSTRATION_SECRET, at, format!("{message}, and {why}"))
                .help(format!("{help}; for a demonstration set PORTCULLIS_DEMO=1")),
            None => faults.warning(codes::DEMONSTRATION_SECRET, at, message).help(help),
        };
    }
}
