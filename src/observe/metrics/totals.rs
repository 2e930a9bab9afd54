//! Counters of the whole process whose labels are known beforehand.

use prometheus::{IntCounter, IntCounterVec};

use crate::{
    model::CredentialKind,
    policy::{Denial, forward::Stripped},
};

#[derive(Debug)]
pub(super) struct Authentications {
    api_key: [IntCounter; 2],
    basic: [IntCounter; 2],
    client_cert: [IntCounter; 2],
    forward_auth: [IntCounter; 2],
    introspection: [IntCounter; 2],
    jwt: [IntCounter; 2],
    missing: IntCounter,
}

impl Authentications {
    pub(super) fn new(family: &IntCounterVec) -> Self {
        let both = |method: CredentialKind| {
            ["success", "failure"]
                .map(|outcome| family.with_label_values(&[method.as_str(), outcome]))
        };
        Self {
            api_key: both(CredentialKind::ApiKey),
            basic: both(CredentialKind::Basic),
            client_cert: both(CredentialKind::ClientCert),
            forward_auth: both(CredentialKind::ForwardAuth),
            introspection: both(CredentialKind::Introspection),
            jwt: both(CredentialKind::Jwt),
            missing: family.with_label_values(&["none", "missing"]),
        }
    }

    fn of(&self, kind: CredentialKind) -> &[IntCounter; 2] {
        match kind {
            CredentialKind::ApiKey => &self.api_key,
            CredentialKind::Basic => &self.basic,
            CredentialKind::ClientCert => &self.client_cert,
            CredentialKind::ForwardAuth => &self.forward_auth,
            CredentialKind::Introspection => &self.introspection,
            CredentialKind::Jwt => &self.jwt,
        }
    }

    pub(super) fn count(&self, principal: Option<CredentialKind>, denial: Option<&Denial>) {
        if let Some(kind) = principal {
            let [success, _] = self.of(kind);
            return success.inc();
        }
        let Some(denial) = denial else { return };
        let kind = if matches!(denial, Denial::InvalidApiKey { .. }) {
            CredentialKind::ApiKey
        } else if matches!(denial, Denial::InvalidCertificate { .. }) {
            CredentialKind::ClientCert
        } else if matches!(denial, Denial::InvalidCredentials { .. }) {
            CredentialKind::Basic
        } else if matches!(denial, Denial::RefusedElsewhere { .. }) {
            CredentialKind::ForwardAuth
        } else if let Denial::InvalidToken { kind, .. } = denial {
            *kind
        } else {
            if matches!(denial, Denial::MissingCredentials { .. }) {
                self.missing.inc();
            }
            return;
        };
        let [_, failure] = self.of(kind);
        failure.inc();
    }
}

#[derive(Debug)]
pub(super) struct StrippedCounters {
    alias: IntCounter,
    forwarding: IntCounter,
    hop: IntCounter,
    identity: IntCounter,
}

impl StrippedCounters {
    pub(super) fn new(family: &IntCounterVec) -> Self {
        let kind = |kind: &str| family.with_label_values(&[kind]);
        Self {
            alias: kind("alias"),
            forwarding: kind("forwarding"),
            hop: kind("hop"),
            identity: kind("identity"),
        }
    }

    pub(super) fn count(&self, stripped: &Stripped) {
        let Stripped { alias, forwarding, hop, identity } = *stripped;
        for (counter, number) in [
            (&self.alias, alias),
            (&self.forwarding, forwarding),
            (&self.hop, hop),
            (&self.identity, identity),
        ] {
            if number > 0 {
                counter.inc_by(u64::from(number));
            }
        }
    }
}
