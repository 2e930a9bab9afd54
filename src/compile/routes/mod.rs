//! `routes`: which requests lead where, and who may make them.

pub(super) mod access;
mod action;
mod blocks;
mod endpoints;
mod streams;
mod survey;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::Method;

use self::access::Methods;
use super::{
    Input,
    assertion::Assertion,
    cors,
    faults::Faults,
    headers,
    limits::{self, Plans},
    roles::Roles,
    token,
    upstreams::{self, Upstreams},
};
use crate::{
    config::{
        access::{CrossSite as WrittenCrossSite, Mode as WrittenMode},
        codes,
        document::Site,
        routes::Route as Written,
        values::{OneOrMany, Switch},
    },
    model::RouteName,
    policy::{
        authz::Condition,
        limit::{Limit, Scope},
        metadata::MetadataTerms,
        route::{Difference, Entry, HostPattern, MethodSet, PathPattern, RouteTable},
        rules::{Access, Action, CorsRule, CrossSite, Mode, Route},
    },
};

/// The routes, and what finds them.
pub(super) struct Routes {
    /// By their index in the table, the gateway's own endpoints last.
    pub routes: Vec<Arc<Route>>,
    /// Finds an index.
    pub table: RouteTable,
    /// Cross-origin rules of answers that belong to no route.
    pub default_cors: CorsRule,
    /// Security headers of answers that belong to no route.
    pub default_security_headers: SecurityHeaders,
}

type SecurityHeaders = Arc<[(http::HeaderName, http::HeaderValue)]>;

/// What routes are read against.
pub(super) struct Ground<'a> {
    /// The file.
    pub input: &'a Input<'a>,
    /// Its roles.
    pub roles: &'a Roles<'a>,
    /// Its plans.
    pub plans: &'a Plans,
    /// The limits that routes inherit, counted once over all of them.
    limits: Vec<Arc<Limit>>,
    security_headers: SecurityHeaders,
}

/// What of the file asks for endpoints of the gateway's own.
pub(super) struct OwnPaths<'a> {
    /// `token`.
    pub token: Option<&'a token::Own>,
    /// `identity.assertion`.
    pub assertion: Option<&'a Assertion>,
    /// What clients are told of where tokens come from.
    pub metadata: Option<&'a MetadataTerms>,
}

/// A route with its entry in the table.
struct Compiled {
    name: RouteName,
    /// Absent if it has a fault: what it lies to others as is told nevertheless.
    route: Option<Route>,
    entry: Entry,
}

impl<'a> Ground<'a> {
    /// Reads what routes inherit.
    pub fn new(
        input: &'a Input<'a>,
        roles: &'a Roles<'a>,
        plans: &'a Plans,
        faults: &mut Faults,
    ) -> Self {
        let defaults = &input.config.defaults;
        let at = input.root().key("defaults");
        let limits = match &defaults.rate_limit {
            None | Some(Switch::Off) => Vec::new(),
            Some(Switch::On(rules)) => {
                let at = at.key("rate_limit");
                limits::compile(input, rules, &Scope::Defaults, plans, at, faults)
            }
        };
        upstreams::judge_timeouts(&defaults.timeouts, at.key("timeouts"), faults);
        streams::judge(&defaults.streams, at.key("streams"), faults);
        let place = at.key("security_headers");
        let word = defaults.security_headers.as_ref().map(|word| (word, Some(place)));
        let security_headers = headers::security(word, faults).into();
        let limits = limits.into_iter().map(Arc::new).collect();
        Self { input, roles, plans, limits, security_headers }
    }

    /// Reads the routes.
    pub fn compile(
        &self,
        asked: &OwnPaths<'_>,
        upstreams: &mut Upstreams<'a>,
        methods: &mut Methods<'a>,
        faults: &mut Faults,
    ) -> Option<Routes> {
        let default_cors = self.default_cors(faults);
        let place = self.input.root().key("routes");
        let mut sound = true;
        let mut names = HashMap::new();
        let mut compiled: Vec<(Compiled, Site<'a>)> =
            Vec::with_capacity(self.input.config.routes.len());
        for (index, written) in self.input.config.routes.iter() {
            let at = place.item(index);
            let name = name(written);
            if self.is_named(written, at)
                && let Some(first) = names.insert(name.clone(), (at, written))
            {
                same_name(&name, (at, written), first, faults);
                sound = false;
            }
            match self.route(name, written, at, upstreams, methods, faults) {
                Some(route) => compiled.push((route, at)),
                None => sound = false,
            }
        }
        sound &= compiled.iter().all(|(route, _)| route.route.is_some());
        let entries = compiled.iter().map(|(route, _)| &route.entry);
        let own = self.endpoints(asked, entries, faults);
        let sites: Vec<Site<'a>> = compiled.iter().map(|(_, at)| *at).collect();
        let names: Vec<RouteName> = compiled.iter().map(|(route, _)| route.name.clone()).collect();
        let (routes, entries): (Vec<_>, Vec<_>) = compiled
            .into_iter()
            .map(|(compiled, _)| compiled)
            .chain(own)
            .map(|compiled| (compiled.route.map(Arc::new), compiled.entry))
            .unzip();
        self.refuse_taken_paths(&entries, &sites, faults);
        let table = match RouteTable::build(&entries) {
            Ok(table) => table,
            Err(overlaps) => {
                survey::tell_overlaps(&overlaps, &names, &sites, faults);
                return None;
            }
        };
        survey::warn(self.input, &table, &routes, &entries, &sites, faults);
        sound.then(|| Routes {
            routes: routes.into_iter().flatten().collect(),
            table,
            default_cors: default_cors.unwrap_or(CorsRule::Off),
            default_security_headers: self.security_headers.clone(),
        })
    }

    fn default_cors(&self, faults: &mut Faults) -> Option<CorsRule> {
        let written = self.input.config.defaults.cors.as_ref();
        let at = self.input.root().key("defaults").key("cors");
        cors::compile(self.input, written.map(|written| (written, at)), None, None, faults)
    }

    fn route(
        &self,
        name: RouteName,
        written: &Written,
        at: Site<'a>,
        upstreams: &mut Upstreams<'a>,
        methods: &mut Methods<'a>,
        faults: &mut Faults,
    ) -> Option<Compiled> {
        let patterns = patterns(written, at, faults);
        let all = patterns.len() == written.matches.path.as_slice().len();
        let params = if all { common_params(&patterns) } else { named_params(written) };
        let access = methods.access(written.auth.as_ref(), at, faults);
        let ground = blocks::Ground {
            input: self.input,
            roles: self.roles,
            access: access.as_ref(),
            params: &params,
        };
        let allow = ground.blocks(written.allow.as_ref(), at.key("allow"), faults);
        let deny = ground.blocks(written.deny.as_ref(), at.key("deny"), faults);
        let limits = self.limits(&name, written, access.as_ref(), at, faults);
        let ground = action::Ground { input: self.input, patterns: &patterns, params: &params, at };
        let mut leads = ground.action(written, upstreams, faults);
        let response = at.key("response").key("headers");
        let response = headers::edits(&written.response.headers, &params, response, faults);
        let security_headers = self.security_headers(written, at, faults);
        let names = self::methods(written, at, faults);
        let cors = self.cors(written, names.as_deref(), at, faults);
        let hosts = hosts(written, at, faults);
        // Which requests it is for is not known.
        if !all || self.input.lacks_any(at.key("match"), &["hosts", "methods"]) {
            return None;
        }
        let distinguishes = leads.as_ref().map(|leads| leads.distinguishes);
        let mut entry = Entry {
            hosts: hosts?,
            paths: patterns,
            methods: names.map_or(MethodSet::Any, MethodSet::named),
            // An upstream that is not known is not said to take one path for another.
            distinguishes: distinguishes.unwrap_or_else(|| Difference::ALL.into_iter().collect()),
            guarded: Vec::new(),
        };
        if let Some(action::Leads { action: Action::Forward(forwarding), .. }) = &mut leads {
            let blocks = [&allow, &deny].into_iter().flatten().flatten();
            let conditions = blocks.filter_map(|block| block.when.as_ref());
            let mut read: Vec<_> = conditions.flat_map(Condition::headers).collect();
            read.extend(limits.iter().flat_map(|limit| limit.headers().cloned()));
            forwarding.headers.read = read;
        }
        let (early, late) = limits.into_iter().partition(|limit| !limit.needs_principal());
        let route = || {
            Some(Route {
                name: name.clone(),
                line: u32::try_from(at.line()).unwrap_or_default(),
                action: leads?.action,
                access: access?,
                deny: deny?,
                allow: allow?,
                mode: mode(written.mode),
                early_limits: early,
                late_limits: late,
                cors: cors?,
                response: response?,
                security_headers,
                cross_site: match written.cross_site {
                    Some(WrittenCrossSite::Allow) => CrossSite::Allow,
                    None | Some(WrittenCrossSite::Deny) => CrossSite::Deny,
                },
            })
        };
        let route = route();
        entry.guarded = route.as_ref().map(guarded).unwrap_or_default();
        Some(Compiled { name, route, entry })
    }

    /// Whether the name of a route is known: its own, or that made of what it is for.
    fn is_named(&self, written: &Written, at: Site<'_>) -> bool {
        let methods = || self.input.lacks(at.key("match"), "methods");
        !self.input.lacks(at, "name") && (written.name.is_some() || !methods())
    }

    fn limits(
        &self,
        name: &RouteName,
        written: &Written,
        access: Option<&Access>,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Vec<Arc<Limit>> {
        let rules = match &written.rate_limit {
            None => return self.limits.clone(),
            Some(Switch::Off) => return Vec::new(),
            Some(Switch::On(rules)) => rules,
        };
        let at = at.key("rate_limit");
        let scope = Scope::Route(name.clone());
        let limits = limits::compile(self.input, rules, &scope, self.plans, at, faults);
        if matches!(access, Some(Access::Anyone)) {
            let needing = limits.iter().enumerate().filter(|(_, limit)| limit.needs_principal());
            for (index, _) in needing {
                let message = "the limit counts by the client's address: `auth: none` asks nobody who they are";
                faults
                    .warning(codes::NEEDS_PRINCIPAL, at.item(index), message)
                    .help("write `by: client_ip`, or name a method in `auth`");
            }
        }
        limits.into_iter().map(Arc::new).collect()
    }

    fn security_headers(
        &self,
        written: &Written,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> SecurityHeaders {
        let Some(own) = &written.security_headers else { return self.security_headers.clone() };
        let default = self.input.config.defaults.security_headers.as_ref();
        let own = (own, Some(at.key("security_headers")));
        headers::security(default.map(|word| (word, None)).into_iter().chain([own]), faults).into()
    }

    fn cors(
        &self,
        written: &Written,
        methods: Option<&[Method]>,
        at: Site<'_>,
        faults: &mut Faults,
    ) -> Option<CorsRule> {
        let own = written.cors.as_ref().map(|own| (own, at.key("cors")));
        let default = self.input.config.defaults.cors.as_ref();
        let rule = cors::compile(self.input, own, default, methods, faults);
        let app = written.upstream.is_some() || self.input.lacks(at, "upstream");
        if matches!(rule, Some(CorsRule::Upstream)) && own.is_some() && !app {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("cors"),
                    "the route has no upstream to answer preflights",
                )
                .help("write `cors: false`, or the origins that may read its answers");
        }
        rule
    }
}

fn name(written: &Written) -> RouteName {
    if let Some(name) = &written.name {
        return name.clone();
    }
    let paths = written.matches.path.as_slice().iter().map(|path| path.as_str());
    let paths = paths.collect::<Vec<_>>().join(",");
    let methods = written.matches.methods.as_deref().unwrap_or_default();
    let methods = methods.iter().map(|method| method.0.as_str()).collect::<Vec<_>>().join(",");
    RouteName::from(match methods.as_str() {
        "" => paths,
        methods => format!("{methods} {paths}"),
    })
}

fn patterns(written: &Written, at: Site<'_>, faults: &mut Faults) -> Vec<PathPattern> {
    let place = at.key("match").key("path");
    let paths: &OneOrMany<_> = &written.matches.path;
    let mut patterns = Vec::with_capacity(paths.as_slice().len());
    let mut seen = Seen::default();
    for (index, path) in paths.as_slice().iter().enumerate() {
        match PathPattern::parse(path.as_str()) {
            Ok(pattern) => {
                seen.see(path.as_str(), place.item(index), faults);
                patterns.push(pattern);
            }
            Err(fault) => {
                faults
                    .fault(codes::INVALID_PATH, place.item(index), fault.to_string())
                    .help("a path is written like `/users/{id}`, `/files/{rest*}` or `/admin/**`");
            }
        }
    }
    patterns
}

fn hosts(written: &Written, at: Site<'_>, faults: &mut Faults) -> Option<Vec<HostPattern>> {
    let place = at.key("match").key("hosts");
    let hosts = written.matches.hosts.as_deref().unwrap_or_default().iter().enumerate();
    let mut seen = Seen::default();
    let hosts: Vec<_> = hosts
        .map(|(index, host)| {
            let parsed = HostPattern::parse(&host.0);
            if let Ok(pattern) = &parsed {
                seen.see(&pattern.to_string(), place.item(index), faults);
            }
            parsed.map_err(|fault| {
                faults
                    .fault(codes::INVALID_VALUE, place.item(index), fault.to_string())
                    .help("a host is written like `api.example.com` or `*.example.com`");
            })
        })
        .collect();
    hosts.into_iter().collect::<Result<_, _>>().ok()
}

/// What stands in a list so far.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    /// Refuses what stands there already.
    fn see(&mut self, text: &str, at: Site<'_>, faults: &mut Faults) {
        if !self.0.insert(text.to_owned()) {
            faults
                .fault(codes::DUPLICATE, at, format!("`{text}` stands in this list twice"))
                .help("remove one of them");
        }
    }
}

/// The methods that the route names, if it names any.
fn methods(written: &Written, at: Site<'_>, faults: &mut Faults) -> Option<Vec<Method>> {
    let names = written.matches.methods.as_ref()?;
    let place = at.key("match").key("methods");
    let mut seen = Seen::default();
    for (index, name) in names.iter().enumerate() {
        seen.see(&name.0, place.item(index), faults);
    }
    Some(names.iter().filter_map(|name| name.0.parse().ok()).collect())
}

/// Tells that two routes have one name, and why where nobody wrote it.
fn same_name(
    name: &RouteName,
    (at, second): (Site<'_>, &Written),
    (first, other): (Site<'_>, &Written),
    faults: &mut Faults,
) {
    let key = |written: &Written| if written.name.is_some() { "name" } else { "match" };
    let (here, beside) = (at.key(key(second)), first.key(key(other)));
    let made = second.name.is_none() || other.name.is_none();
    if !made {
        let message = format!("two routes have the name `{name}`");
        faults
            .fault(codes::DUPLICATE, here, message)
            .beside(beside, "the first")
            .help("give each route a `name` of its own");
        return;
    }
    let message = format!(
        "two routes have the name `{name}`: without `name` a route is called by its methods and paths, whatever its hosts"
    );
    faults
        .fault(codes::DUPLICATE, here, message)
        .beside(beside, "the first")
        .help("give one of them a `name`: by it logs, metrics and tests tell them apart");
}

/// The names in braces, where a path is no template: whichever of them rules rely on is no fault of
/// theirs.
fn named_params(written: &Written) -> Vec<String> {
    let paths = written.matches.path.as_slice().iter().map(|path| path.as_str());
    let braced =
        paths.flat_map(|path| path.split('{').skip(1).filter_map(|rest| rest.split_once('}')));
    braced.map(|(name, _)| name.trim_end_matches('*').to_owned()).collect()
}

/// The parameters that every template catches: what rules may rely on.
fn common_params(patterns: &[PathPattern]) -> Vec<String> {
    let Some((first, rest)) = patterns.split_first() else { return Vec::new() };
    let everywhere =
        |name: &&str| rest.iter().all(|other| other.parameters().any(|known| known == *name));
    first.parameters().filter(everywhere).map(str::to_owned).collect()
}

/// The parameters that the route's rules use, so that they must not change with the reading.
fn guarded(route: &Route) -> Vec<String> {
    let mut guarded: Vec<String> = Vec::new();
    let mut guard = |name: &str| {
        if !guarded.iter().any(|known| known == name) {
            guarded.push(name.to_owned());
        }
    };
    for block in route.allow.iter().chain(&route.deny) {
        if let Some(owner) = &block.owner {
            guard(&owner.parameter);
        }
        block.when.iter().flat_map(|when| when.params()).for_each(&mut guard);
    }
    let request = match &route.action {
        Action::Forward(forwarding) => Some(&forwarding.headers),
        Action::Redirect { .. } | Action::Respond(_) | Action::Serve(_) => None,
    };
    let headers = request.into_iter().chain([&route.response]);
    let values = headers.flat_map(|terms| terms.set.iter().chain(&terms.add));
    values.flat_map(|(_, template)| template.params()).for_each(&mut guard);
    match &route.action {
        Action::Forward(forwarding) => {
            forwarding.path.rewrite.iter().flat_map(|to| to.params()).for_each(&mut guard);
        }
        Action::Redirect { to, .. } => to.params().for_each(&mut guard),
        Action::Respond(_) | Action::Serve(_) => {}
    }
    guarded
}

const fn mode(written: WrittenMode) -> Mode {
    match written {
        WrittenMode::Enforce => Mode::Enforce,
        WrittenMode::Shadow => Mode::Shadow,
    }
}
