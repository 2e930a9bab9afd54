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
    model::Timestamp,
    observe::{Format, Level, LogTerms, Metrics, metrics::RouteMetrics},
    policy::{Policy, rules::Route, server::RequestLimits, upstream::Upstream},
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
    fn new(policy: &Policy, metrics: &Metrics) -> Self {
        let routes = policy.routes.iter();
        Self {
            none: metrics.route("-"),
            routes: routes
                .map(|route| (place(route), metrics.route(route.name.as_str())))
                .collect(),
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
            handles: Handles::new(&policy, metrics),
            pools: Pools::new(&policy.upstreams, metrics, old.map(|old| &old.pools)),
            policy,
            serving,
            loaded_at,
            names,
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
