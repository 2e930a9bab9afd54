//! From what the operator wrote to what the judge reads: all faults of the file at once. Opens
//! nothing: files were read and names looked up by whoever calls.

mod api_keys;
mod certificates;
mod claims;
mod assertion;
mod client_cert;
mod cors;
mod demonstration;
mod faults;
mod forward_auth;
mod headers;
mod identity;
mod introspection;
mod issuers;
mod limits;
mod listeners;
mod metadata;
mod roles;
mod routes;
mod secrets;
mod server;
mod serving;
mod survey;
mod tls;
mod token;
mod upstreams;
mod users;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

pub use serving::{AdminTerms, HttpsPort, Listen, LogTerms, Serving, StoreTerms};
pub use tls::{ClientTerms, TlsTerms, Validity};
pub use upstreams::reaches;

use crate::{
    config::{
        Config, Loaded,
        diagnostic::{self, Diagnostic},
        document::Site,
        values::{FilePath, SecretSource},
    },
    model::{Secret, Timestamp},
    policy::{Policy, accounts::Accounts},
};
use demonstration::Demonstration;
use faults::Faults;

/// What the compiler is told of the world, because it does not look itself.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The present, for what has expired.
    pub now: Timestamp,
    /// Whether demonstration secrets may be used where others can reach the gateway.
    pub demonstration_allowed: bool,
    /// The addresses of upstreams' names, in lower case, as far as they are known.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Whether an address is this machine's own.
    pub is_own: fn(IpAddr) -> bool,
}

impl Default for Circumstances {
    /// Of a world of which nothing is known.
    fn default() -> Self {
        Self {
            now: Timestamp::default(),
            demonstration_allowed: false,
            addresses: BTreeMap::new(),
            is_own: |_| false,
        }
    }
}

/// What became of a file.
#[derive(Debug)]
pub struct Compiled {
    /// What can be served; absent if the file has a fault.
    pub outcome: Option<Outcome>,
    /// Faults and warnings in the order of the file, those of reading it among them.
    pub diagnostics: Vec<Diagnostic>,
}

/// What can be served.
#[derive(Debug)]
pub struct Outcome {
    /// What the judge reads.
    pub policy: Policy,
    /// What the process needs beside.
    pub serving: Serving,
}

impl Compiled {
    /// Makes warnings faults.
    #[must_use]
    pub fn strict(mut self) -> Self {
        if !self.diagnostics.is_empty() {
            self.outcome = None;
        }
        for diagnostic in &mut self.diagnostics {
            diagnostic.severity = diagnostic::Severity::Error;
        }
        self
    }
}

/// The names of upstreams that have to be looked up before the file is compiled for serving.
pub fn names_to_look_up(config: &Config) -> BTreeSet<String> {
    upstreams::names(config).collect()
}

/// Compiles a file.
pub fn compile(loaded: &Loaded, circumstances: &Circumstances) -> Compiled {
    let mut faults = Faults::default();
    let outcome = compile_into(loaded, circumstances, &mut faults);
    let mut diagnostics = loaded.diagnostics.clone();
    diagnostics.extend(faults.into_found());
    loaded.expansions.conceal(&mut diagnostics);
    diagnostic::finish(&mut diagnostics);
    let outcome = outcome.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Compiled { outcome, diagnostics }
}

/// What every section is read against.
struct Input<'l> {
    config: &'l Config,
    loaded: &'l Loaded,
    circumstances: &'l Circumstances,
    demonstration: Demonstration,
}

impl<'l> Input<'l> {
    /// The outermost place of the file.
    fn root(&self) -> Site<'l> {
        self.loaded.document.root()
    }

    /// The bytes of a file that the file names; absent if it could not be read, which was told.
    fn file(&self, path: &FilePath) -> Option<&'l [u8]> {
        self.loaded.files.bytes(path)
    }

    /// The bytes of a secret; absent if it could not be read, which was told.
    fn secret(&self, written: &SecretSource) -> Option<Secret> {
        self.loaded.files.secret(written)
    }

    /// Whether something at a path was refused already, so that what is missing there is not
    /// missing.
    fn is_faulty(&self, path: &str) -> bool {
        self.loaded.faulty.touches(path)
    }

    /// Whether a key of this mapping was refused already, so that it is not missing.
    fn lacks(&self, mapping: Site<'_>, key: &str) -> bool {
        self.loaded.faulty.lacks(mapping, key)
    }

    /// The same of several keys: whether one of them was.
    fn lacks_any(&self, mapping: Site<'_>, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.lacks(mapping, key))
    }
}

fn compile_into(
    loaded: &Loaded,
    circumstances: &Circumstances,
    faults: &mut Faults,
) -> Option<Outcome> {
    let config = &loaded.config;
    let demonstration = Demonstration::new(config, circumstances);
    let input = Input { config, loaded, circumstances, demonstration };
    let server = server::compile(&input, faults);
    let serving = serving::compile(&input, faults);
    let roles = roles::compile(&input, faults);
    let plans = limits::Plans::compile(&input, faults);
    let users = users::compile(&input, &roles, &plans, faults);
    let keys = api_keys::keys(&input, &roles, &plans, faults);
    let mut issuers = issuers::compile(&input, &roles, faults);
    let providers = introspection::compile(&input, &roles, faults);
    let services = forward_auth::compile(&input, faults);
    let own = token::compile(&input, faults);
    if let Some(own) = &own {
        issuers.add(Arc::clone(&own.issuer));
    }
    let tokens = own.as_ref().map(|own| own.keys.as_slice()).unwrap_or_default();
    let assertion = assertion::compile(&input, tokens, faults);
    let failure_limit = limits::failure_limit(&input, faults);
    let login_limit = limits::login_limit(&input, faults);
    let mut upstreams = upstreams::compile(&input, faults);
    let key_method = api_keys::method(&input, faults);
    let said_by =
        routes::access::SaidBy { issuers: &issuers, providers: &providers, services: &services };
    let mut methods = routes::access::Methods::new(&input, said_by, key_method, faults);
    let ground = routes::Ground::new(&input, &roles, &plans, faults);
    let metadata = metadata::compile(&input, own.as_ref());
    let own_paths = routes::OwnPaths {
        token: own.as_ref(),
        assertion: assertion.as_ref(),
        metadata: metadata.as_ref(),
    };
    let routes = ground.compile(&own_paths, &mut upstreams, &mut methods, faults);
    let assertion = assertion.map(|assertion| assertion.terms);
    let identity = identity::compile(&input, assertion, &services, routes.as_ref(), faults);
    // With a reference mistyped, what it meant would seem to be held by nobody.
    if !faults.any_fault() && !loaded.is_faulty() {
        survey::warn(&input, &roles, faults);
    }
    let routes = routes?;
    let policy = Policy {
        server,
        table: routes.table,
        routes: routes.routes,
        upstreams: upstreams.into_all(),
        issuers: issuers.into_all(),
        providers: providers.into_all(),
        services: services.into_all(),
        accounts: Arc::new(Accounts::new(users, keys)),
        roles: roles.graph,
        identity: identity?,
        issuing: own.map(|own| own.issuing),
        metadata: metadata.map(Arc::new),
        failure_limit: failure_limit.map(Arc::new),
        login_limit,
        counters: usize::try_from(config.rate_limits.keys).unwrap_or(usize::MAX),
        default_cors: routes.default_cors,
        default_security_headers: routes.default_security_headers,
    };
    Some(Outcome { policy, serving })
}
