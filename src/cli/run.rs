//! `portcullis run`: serves a file until it is told to stop.

mod upgrade;

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use upgrade::Estate;

use super::{
    file::FileArgument,
    output::{self, Colour, Style},
};
use crate::{
    admin,
    config::diagnostic::{self, Diagnostic},
    gateway::{Gateway, Loaded, Unloadable, names, reload, upkeep, watch},
    observe::{Metrics, logging::Logging},
    policy::rules::Action,
    proxy::{
        self,
        listen::{self, Bound, Role},
        serve::{self, Drained, Word},
    },
};

/// The commit that was built, where the build says it.
const REVISION: &str = match option_env!("PORTCULLIS_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// What became of requests where a drain was not clean.
const CUT: &str = "the drain was cut: `drain_timeout` was over, or a second signal came";

/// How long threads may take to end when everything else has.
const FAREWELL: Duration = Duration::from_millis(500);

/// What to serve, and how to begin.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: FileArgument,
    /// Take over the sockets of a running process, which hands them over on SIGQUIT
    #[arg(long)]
    upgrade: bool,
}

/// Serves a file until the process is told to stop.
///
/// # Errors
/// A socket that cannot be listened on, threads that cannot be started.
pub(super) fn serve(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let file = arguments.file.config.as_path();
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
    let outcome = runtime.block_on(serve_loaded(file, loaded, metrics, arguments.upgrade));
    runtime.shutdown_timeout(FAREWELL);
    outcome
}

async fn serve_loaded(
    file: &Path,
    loaded: Loaded,
    metrics: Arc<Metrics>,
    upgrade: bool,
) -> anyhow::Result<ExitCode> {
    // Everything that can fail comes first: nothing is served by halves.
    let serving = loaded.serving();
    let start_log = || Logging::start(&loaded.log(), proxy::CHATTY);
    let start_log = || start_log().map(Arc::new).context("cannot start the log's writer");
    let (logging, mut inheritance) = if upgrade {
        // Whoever started it has to know when the running process may be told.
        (Some(start_log()?), Some(upgrade::inherit(serving).await?))
    } else {
        (None, None)
    };
    let sockets = upgrade::sockets(serving, inheritance.as_mut())?;
    let admin = match &inheritance {
        Some(_) => None,
        None => Some(listen::bind(serving.admin.listen)?),
    };
    let signals = Signals::new()?;
    let logging = logging.map_or_else(start_log, Ok)?;
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
    if let Some(admin) = &admin {
        listen::announce(Role::Admin, admin);
    }
    if io::stdout().is_terminal() {
        introduce(&gateway, &sockets, admin.as_ref())?;
    }
    let Words { stop, stopped, hangups, quits } = signals.pass_on();
    tokio::spawn(watch::watch(gateway.clone(), hangups));
    tokio::spawn(upkeep::keep_up(gateway.clone()));
    gateway.probe_targets();
    tokio::spawn(upkeep::warn_of_ends(gateway.clone()));
    tokio::spawn(names::follow(gateway.clone()));
    let forsaken = Arc::new(AtomicBool::new(false));
    let admin = {
        let (gateway, stop, forsaken) = (gateway.clone(), stop.clone(), forsaken.clone());
        tokio::spawn(async move {
            match (admin, inheritance) {
                (Some(admin), _) => {
                    // Ends with the process, or when a successor takes its place.
                    let _ = admin::serve::serve(gateway, admin.socket).await;
                }
                (None, Some(inheritance)) => {
                    if !upgrade::take_over(gateway, inheritance).await {
                        forsaken.store(true, Ordering::Relaxed);
                        // Fails only if the process ends already.
                        let _ = stop.send(Word::Replaced).await;
                    }
                }
                (None, None) => {}
            }
        })
    };
    let estate = Estate::new(&gateway, &sockets, admin, stop).context("cannot copy sockets")?;
    tokio::spawn(estate.leave(gateway.clone(), quits));
    let records = gateway.snapshot().memory().records.clone();
    let drained = serve::serve(gateway, sockets, stopped).await?;
    if let Some(records) = records {
        records.write_notes().await;
    }
    if forsaken.load(Ordering::Relaxed) {
        tracing::error!(
            event = "stopped",
            clean = drained == Drained::Clean,
            "it took no process's place"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(match drained {
        Drained::Clean => {
            tracing::info!(event = "stopped", clean = true);
            ExitCode::SUCCESS
        }
        Drained::Replaced => {
            tracing::warn!(event = "stopped", clean = false, "{CUT}; another process serves on");
            ExitCode::SUCCESS
        }
        Drained::Cut => {
            tracing::error!(event = "stopped", clean = false, "{CUT}");
            ExitCode::FAILURE
        }
    })
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
    quit: Signal,
    terminate: Signal,
}

/// What signals come to.
struct Words {
    /// Says to stop, as a signal does.
    stop: mpsc::Sender<Word>,
    stopped: mpsc::Receiver<Word>,
    hangups: mpsc::Receiver<()>,
    quits: mpsc::Receiver<()>,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Hands on each signal to whom it concerns.
    fn pass_on(mut self) -> Words {
        let (stop, stopped) = mpsc::channel(2);
        let (hang_up, hangups) = mpsc::channel(1);
        let (quit, quits) = mpsc::channel(1);
        let stopping = stop.clone();
        tokio::spawn(async move {
            // Once the process ends, it has nothing to leave any more.
            let mut quit = Some(quit);
            loop {
                let stops = tokio::select! {
                    Some(()) = self.interrupt.recv() => true,
                    Some(()) = self.terminate.recv() => true,
                    Some(()) = self.hangup.recv() => {
                        // A word that finds the channel full says nothing new.
                        let _ = hang_up.try_send(());
                        false
                    }
                    Some(()) = self.quit.recv() => {
                        let _ = quit.as_ref().map(|quit| quit.try_send(()));
                        false
                    }
                    else => return,
                };
                if stops {
                    quit = None;
                    let _ = stopping.try_send(Word::Stop);
                }
            }
        });
        Words { stop, stopped, hangups, quits }
    }
}

fn tell(diagnostics: &[Diagnostic]) {
    output::tell(diagnostic::to_text(diagnostics, Colour::of_stderr() == Colour::Always));
}

/// Says in a few lines where it listens, what it protects and what to try.
fn introduce(gateway: &Gateway, sockets: &[Bound], admin: Option<&Bound>) -> anyhow::Result<()> {
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
    let admin = admin.map_or(gateway.begun_with().admin.listen, |admin| admin.address);
    output::print_line(format_args!(
        "{} curl http://{admin}/readyz   portcullis status --admin http://{admin}",
        heading("try         "),
    ))?;
    Ok(())
}
