//! What an upstream's settings say of several targets: which one a request goes to, which are left
//! out, and what is tried again.

use std::time::Duration;

use http::HeaderName;

use crate::{
    compile::{Input, faults::Faults},
    config::{
        codes,
        document::Site,
        upstreams::{
            Balance as WrittenBalance, HealthCheck as WrittenCheck, LoadBalance, ProbeKind,
            Retries as WrittenRetries, RetryOn, UpstreamLimits, UpstreamSettings,
        },
        values::HashKey,
    },
    policy::upstream::{Balance, Bounds, Ejection, HashBy, HealthCheck, Probe, Retries, Upstream},
};

/// Statuses of an upstream in trouble: those that a request is tried again after.
const TROUBLE: [u16; 3] = [502, 503, 504];

/// Adds them to an upstream.
pub(super) fn settle(
    input: &Input<'_>,
    upstream: &mut Upstream,
    settings: &UpstreamSettings,
    at: Site<'_>,
    faults: &mut Faults,
) {
    upstream.balance = balance(settings.load_balance.as_ref());
    upstream.health_check = settings
        .health_check
        .as_ref()
        .map(|check| health_check(check, at.key("health_check"), faults));
    upstream.ejection = settings.ejection.as_ref().map(|ejection| {
        if ejection.period.0.is_zero() {
            let at = at.key("ejection").key("for");
            faults
                .fault(codes::OUT_OF_RANGE, at, "no target would be left out")
                .help("write how long, such as `10s`, or remove `ejection`");
        }
        Ejection { consecutive_failures: ejection.consecutive_failures, period: ejection.period.0 }
    });
    upstream.retries = settings.retries.as_ref().map(retries);
    upstream.bounds =
        settings.limits.as_ref().map(|limits| bounds(input, limits, at.key("limits"), faults));
    upstream.slow_start = settings.slow_start.map(|period| period.0).filter(|one| !one.is_zero());
    let said = [
        (settings.load_balance.is_some(), "load_balance"),
        (settings.health_check.is_some(), "health_check"),
        (settings.ejection.is_some(), "ejection"),
        (settings.retries.is_some(), "retries"),
        (settings.limits.is_some(), "limits"),
        (settings.slow_start.is_some(), "slow_start"),
    ];
    if settings.builtin.is_some()
        && let Some((_, key)) = said.into_iter().find(|(is_said, _)| *is_said)
    {
        faults
            .fault(codes::CONTRADICTION, at.key(key), "a built-in service has no targets")
            .help("remove the key");
    }
}

fn balance(written: Option<&LoadBalance>) -> Balance {
    match written {
        None | Some(LoadBalance::Word(WrittenBalance::RoundRobin)) => Balance::RoundRobin,
        Some(LoadBalance::Word(WrittenBalance::LeastRequests)) => Balance::LeastRequests,
        Some(LoadBalance::Word(WrittenBalance::Random)) => Balance::Random,
        Some(LoadBalance::Hash(by)) => Balance::Hash(match &by.hash {
            HashKey::ClientIp => HashBy::ClientIp,
            HashKey::Principal => HashBy::Principal,
            // What is no name was refused when it was read.
            HashKey::Header(name) => match HeaderName::from_bytes(name.0.as_bytes()) {
                Ok(name) => HashBy::Header(name),
                Err(_) => HashBy::ClientIp,
            },
        }),
    }
}

fn health_check(written: &WrittenCheck, at: Site<'_>, faults: &mut Faults) -> HealthCheck {
    for (key, period) in [("interval", written.interval), ("timeout", written.timeout)] {
        if period.0.is_zero() {
            faults
                .fault(
                    codes::OUT_OF_RANGE,
                    at.key(key),
                    format!("`{key}` of nothing is no time to answer in"),
                )
                .help("write how long, such as `5s`");
        }
    }
    let probe = match written.kind {
        ProbeKind::Grpc => {
            judge_plain(
                written,
                "the health service of gRPC is asked without it",
                "grpc",
                at,
                faults,
            );
            Probe::Grpc
        }
        ProbeKind::Tcp => {
            judge_plain(written, "a connection has no answer", "tcp", at, faults);
            Probe::Tcp
        }
        ProbeKind::Http => Probe::Http {
            path: written.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.0.clone()),
            expect: written.expect.as_ref().map_or_else(
                || vec![200],
                |one| one.as_slice().iter().map(|status| status.0).collect(),
            ),
        },
    };
    HealthCheck {
        probe,
        interval: written.interval.0,
        timeout: written.timeout.0,
        unhealthy_after: written.unhealthy_after,
        healthy_after: written.healthy_after,
    }
}

/// Refuses what is said of an answer by HTTP where none is asked for.
fn judge_plain(
    written: &WrittenCheck,
    why: &'static str,
    kind: &'static str,
    at: Site<'_>,
    faults: &mut Faults,
) {
    let said = [(written.path.is_some(), "path"), (written.expect.is_some(), "expect")];
    if let Some((_, key)) = said.into_iter().find(|(is_said, _)| *is_said) {
        faults
            .fault(codes::CONTRADICTION, at.key(key), why)
            .help(format!("remove the key, or `type: {kind}`"));
    }
}

/// How long requests wait for a place, where the file does not say.
const WAIT: Duration = Duration::from_secs(1);

fn bounds(
    input: &Input<'_>,
    written: &UpstreamLimits,
    at: Site<'_>,
    faults: &mut Faults,
) -> Bounds {
    if written.queue == 0 && written.queue_timeout.is_some() && !input.lacks(at, "queue") {
        faults
            .warning(codes::NO_EFFECT, at.key("queue_timeout"), "nobody waits")
            .help("say how many may wait: `queue: 100`");
    }
    Bounds {
        concurrent: written.concurrent,
        queue: written.queue,
        queue_timeout: written.queue_timeout.map_or(WAIT, |period| period.0),
    }
}

fn retries(written: &WrittenRetries) -> Retries {
    let (on_connect, on_status) = match &written.on {
        None => (true, TROUBLE.to_vec()),
        Some(on) => {
            let statuses = on.iter().filter_map(|one| match one {
                RetryOn::Status(status) => Some(*status),
                RetryOn::Word(_) => None,
            });
            (on.iter().any(|one| matches!(one, RetryOn::Word(_))), statuses.collect())
        }
    };
    Retries { attempts: written.attempts, on_connect, on_status, budget: written.budget.0 }
}
