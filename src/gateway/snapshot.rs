//! What is live at one moment: a policy, what answers its questions, and the handles it counts by.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;

use super::{
    names::Names,
    targets::{Pool, Pools},
};
use crate::{
    compile::{LogTerms as WrittenLog, Serving},
    config::log::{LogFormat, LogLevel},
    model::{CredentialKind, Timestamp},
    observe::{
        Format, Level, LogTerms, Metrics,
        metrics::{Named, RouteMetrics},
    },
    policy::{Policy, limit::LoginLimit, rules::Route, server::RequestLimits, upstream::Upstream},
    sources::{Live, Memory, Records, Remotes},
};

/// What is live at one moment. Immutable, but for what names of upstreams mean.
#[derive(Debug)]
pub struct Snapshot {
    policy: Policy,
    serving: Serving,
    memory: Arc<Memory>,
    remotes: Remotes,
    log: LogTerms,
    generation: u64,
    loaded_at: Timestamp,
    handles: Handles,
    names: Names,
    pools: Pools,
}

/// Metric handles, found by the place in memory of what they count: nothing is hashed by its name
/// while a request waits.
#[derive(Debug)]
struct Handles {
    none: Arc<RouteMetrics>,
    routes: HashMap<usize, Arc<RouteMetrics>, RandomState>,
}

fn place<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared) as usize
}

impl Handles {
    /// A route that keeps its name keeps its handles, so that all who count by it can be told when
    /// it goes.
    fn new(policy: &Policy, metrics: &Metrics, old: Option<&Self>) -> Self {
        let known: HashMap<&str, &Arc<RouteMetrics>> = old
            .into_iter()
            .flat_map(|old| old.routes.values())
            .map(|handles| (handles.name(), handles))
            .collect();
        let of = |route: &Arc<Route>| match known.get(route.name.as_str()) {
            Some(handles) => {
                // Those of both configurations until the old one goes.
                handles.has_limits(None);
                Arc::clone(handles)
            }
            None => metrics.route(route.name.as_str()),
        };
        Self {
            none: old.map_or_else(|| metrics.route("-"), |old| old.none.clone()),
            routes: policy.routes.iter().map(|route| (place(route), of(route))).collect(),
        }
    }
}

impl Snapshot {
    /// What comes after `old`: its counters of limits that did not change and its cached facts
    /// live on.
    pub(super) fn succeed(
        policy: Policy,
        serving: Serving,
        names: Names,
        metrics: &Arc<Metrics>,
        loaded_at: Timestamp,
        old: Option<&Self>,
    ) -> Self {
        let memory = match old {
            Some(old) => old.memory.clone(),
            None => {
                let store = serving.store.as_ref();
                let records = store
                    .map(|store| Arc::new(Records::new(store.location.clone(), store.max_stale)));
                Arc::new(Memory { records, ..Memory::new(policy.counters) })
            }
        };
        if let (Some(records), Some(store)) = (&memory.records, &serving.store) {
            records.serve_stale_for(store.max_stale);
        }
        memory.counters.bound_to(policy.counters, loaded_at);
        Self {
            memory,
            remotes: Remotes::new(
                &policy,
                serving.state_dir.as_deref(),
                metrics,
                old.map(|old| &old.remotes),
            ),
            log: terms(&serving.log),
            generation: old.map_or(1, |old| old.generation + 1),
            handles: Handles::new(&policy, metrics, old.map(|old| &old.handles)),
            pools: Pools::new(&policy.upstreams, metrics, old.map(|old| &old.pools)),
            policy,
            serving,
            loaded_at,
            names,
        }
    }

    /// Takes the place of `old`: what only that one names counts no more, and what it counted is
    /// forgotten. Requests that still run under it change nothing of this.
    pub(super) fn displace(&self, old: &Self, metrics: &Metrics) {
        let named = self.named();
        for handles in old.handles.routes.values() {
            if !named.routes.contains_key(handles.name()) {
                handles.retire();
            }
        }
        for handles in self.handles.routes.values() {
            handles.has_limits(named.routes.get(handles.name()).cloned());
        }
        old.pools.retire_others(&named.targets);
        metrics.keep(&named);
    }

    fn named(&self) -> Named<'_> {
        let policy = &self.policy;
        // Failures and logins are limited wherever they come.
        let failures = policy.failure_limit.iter().flat_map(|limit| limit.rules());
        let logins = policy.login_limit.iter().flat_map(LoginLimit::rules);
        let own: Vec<Arc<str>> = failures.chain(logins).map(|rule| rule.name().clone()).collect();
        let limits = |route: &Route| {
            let limits = route.early_limits.iter().chain(&route.late_limits);
            limits
                .flat_map(|limit| limit.rules())
                .map(|rule| rule.name().clone())
                .collect::<Vec<_>>()
        };
        let routes = policy.routes.iter();
        let authority = |kind| move |name| (kind, name);
        let providers = policy.providers.iter().map(|one| one.name.as_str());
        let services = policy.services.iter().map(|one| one.name.as_str());
        Named {
            routes: routes
                .map(|route| (route.name.as_str(), [limits(route), own.clone()].concat()))
                .collect(),
            targets: self.pools.named().collect(),
            issuers: policy.issuers.iter().map(|one| one.name.as_str()).collect(),
            authorities: providers
                .map(authority(CredentialKind::Introspection))
                .chain(services.map(authority(CredentialKind::ForwardAuth)))
                .collect(),
        }
    }

    /// What the judge reads.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What answers the judge's questions.
    pub fn sources(&self) -> Live<'_> {
        Live::new(&self.policy, &self.memory).asking(&self.remotes)
    }

    /// Whoever is asked over the network.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// What is counted and remembered; it outlives a reload.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What the process needs beside the policy.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Bounds on a request.
    pub fn limits(&self) -> &RequestLimits {
        &self.policy.server.limits
    }

    /// What the names of upstreams mean by now.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How to log.
    pub fn log(&self) -> &LogTerms {
        &self.log
    }

    /// Counts from 1, by one a reload.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    /// The handles of a route, or of requests without one.
    pub fn route_metrics(&self, route: Option<&Arc<Route>>) -> &Arc<RouteMetrics> {
        let handles = &self.handles;
        route.and_then(|route| handles.routes.get(&place(route))).unwrap_or(&handles.none)
    }

    /// The targets of an upstream.
    pub fn pool(&self, upstream: &Arc<Upstream>) -> Option<&Arc<Pool>> {
        self.pools.find(upstream)
    }

    /// The targets of every upstream.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.pools.all()
    }

    /// Tells the metrics how targets stand.
    pub(super) fn measure_targets(&self, now: Timestamp) {
        self.pools.measure(now);
    }
}

fn terms(written: &WrittenLog) -> LogTerms {
    LogTerms {
        format: match written.format {
            LogFormat::Json => Format::Json,
            LogFormat::Text => Format::Text,
        },
        level: match written.level {
            LogLevel::Error => Level::Error,
            LogLevel::Warn => Level::Warn,
            LogLevel::Info => Level::Info,
            LogLevel::Debug => Level::Debug,
            LogLevel::Trace => Level::Trace,
        },
        access: written.access,
        identity: written.identity,
    }
}
