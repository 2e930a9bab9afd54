//! `portcullis run`: serves a file until it is told to stop.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::output::{self, Colour, Style};
use crate::{
    admin,
    config::diagnostic::{self, Diagnostic},
    gateway::{Gateway, Loaded, Unloadable, names, reload, upkeep, watch},
    observe::{Metrics, logging::Logging},
    policy::rules::Action,
    proxy::{
        self,
        listen::{self, Bound, Role},
        serve::{self, Drained},
    },
};

/// The commit that was built, where the build says it.
const REVISION: &str = match option_env!("PORTCULLIS_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// How long threads may take to end when everything else has.
const FAREWELL: Duration = Duration::from_millis(500);

/// Serves this file until the process is told to stop.
///
/// # Errors
/// A socket that cannot be listened on, threads that cannot be started.
pub(super) fn serve(file: &Path) -> anyhow::Result<ExitCode> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), REVISION)?;
    let loaded = match Gateway::load(file, &metrics) {
        Ok(loaded) => loaded,
        Err(Unloadable::Unreadable(error)) => return Err(error.into()),
        Err(Unloadable::Faulty(diagnostics)) => {
            tell(&diagnostics);
            return Ok(ExitCode::FAILURE);
        }
    };
    let runtime = runtime(loaded.serving().workers)?;
    let outcome = runtime.block_on(serve_loaded(file, loaded, metrics));
    runtime.shutdown_timeout(FAREWELL);
    outcome
}

async fn serve_loaded(
    file: &Path,
    loaded: Loaded,
    metrics: Arc<Metrics>,
) -> anyhow::Result<ExitCode> {
    // Everything that can fail comes first: nothing is served by halves.
    let serving = loaded.serving();
    let sockets = serving.listen.iter().map(|listen| listen::bind(listen.address));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let admin = listen::bind(serving.admin.listen)?;
    let signals = Signals::new()?;

    let logging = Arc::new(
        Logging::start(&loaded.log(), proxy::CHATTY).context("cannot start the log's writer")?,
    );
    log_panics();
    for warning in &loaded.warnings {
        reload::report(warning);
    }
    if let Some(records) = loaded.records().cloned() {
        // Read before the first request: whom the store knows is served from the beginning.
        records.begin().await.context("cannot use the store")?;
        let tidied = Arc::clone(&records);
        tokio::spawn(async move { records.keep_following().await });
        tokio::spawn(async move { tidied.keep_tidy().await });
    }
    let gateway = Gateway::begin(file.to_owned(), loaded, metrics, logging);
    gateway.listens(sockets.iter().map(|bound| bound.address).collect());
    for bound in &sockets {
        listen::announce(Role::Proxy, bound);
    }
    listen::announce(Role::Admin, &admin);
    if io::stdout().is_terminal() {
        introduce(&gateway, &sockets, &admin)?;
    }
    let (stop, hangups) = signals.pass_on();
    tokio::spawn(watch::watch(gateway.clone(), hangups));
    tokio::spawn(upkeep::keep_up(gateway.clone()));
    gateway.probe_targets();
    tokio::spawn(upkeep::warn_of_ends(gateway.clone()));
    tokio::spawn(names::follow(gateway.clone()));
    tokio::spawn(admin::serve::serve(gateway.clone(), admin.socket));
    let records = gateway.snapshot().memory().records.clone();
    let drained = serve::serve(gateway, sockets, stop).await?;
    if let Some(records) = records {
        records.write_notes().await;
    }
    let clean = drained == Drained::Clean;
    tracing::info!(event = "stopped", clean);
    Ok(ExitCode::SUCCESS)
}

/// A panic ends one request and is written like everything else.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        // Where it happened, without the folders of the machine that built it.
        let place = panic.location().map(|at| {
            let file = at.file().rsplit("/src/").next().unwrap_or_default();
            format!("{file}:{}", at.line())
        });
        let place = place.unwrap_or_default();
        tracing::error!(event = "panic", place, "{}", panic.payload_as_str().unwrap_or_default());
    }));
}

fn runtime(workers: Option<u16>) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(usize::from(workers));
    }
    builder.thread_name("worker").enable_all().build().context("cannot start threads")
}

/// The signals of this process, taken up before anything is served.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Hands on each word to stop and each hangup.
    fn pass_on(mut self) -> (mpsc::Receiver<()>, mpsc::Receiver<()>) {
        let (stop, stopped) = mpsc::channel(2);
        let (hang_up, hangups) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                // A word that finds the channel full says nothing new.
                let _ = tokio::select! {
                    Some(()) = self.interrupt.recv() => stop.try_send(()),
                    Some(()) = self.terminate.recv() => stop.try_send(()),
                    Some(()) = self.hangup.recv() => hang_up.try_send(()),
                    else => return,
                };
            }
        });
        (stopped, hangups)
    }
}

fn tell(diagnostics: &[Diagnostic]) {
    output::tell(diagnostic::to_text(diagnostics, Colour::of_stderr() == Colour::Always));
}

/// Says in a few lines where it listens, what it protects and what to try.
fn introduce(gateway: &Gateway, sockets: &[Bound], admin: &Bound) -> anyhow::Result<()> {
    let snapshot = gateway.snapshot();
    let policy = snapshot.policy();
    let colour = Colour::of_stdout();
    let heading = |text| colour.paint(Style::Bold, text);
    let guarded = policy
        .routes
        .iter()
        .filter(|route| !matches!(route.action, Action::Serve(_)))
        .filter(|route| route.access.rule().is_some())
        .count();
    let routes =
        policy.routes.iter().filter(|route| !matches!(route.action, Action::Serve(_))).count();
    for (bound, listen) in sockets.iter().zip(&gateway.begun_with().listen) {
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        output::print_line(format_args!(
            "{} {scheme}://{}",
            heading("listening on"),
            bound.address
        ))?;
    }
    output::print_line(format_args!(
        "{} {guarded} of {routes} routes ask for a credential",
        heading("protecting  ")
    ))?;
    output::print_line(format_args!(
        "{} curl http://{}/readyz   portcullis status --admin http://{}",
        heading("try         "),
        admin.address,
        admin.address
    ))?;
    Ok(())
}
