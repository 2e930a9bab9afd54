//! A process that takes another's place without a connection refused: `run --upgrade` on the one side,
//! SIGQUIT on the other.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    admin,
    compile::Serving,
    gateway::{Gateway, health::Phase},
    proxy::{
        handover::{self, Inheritance, Successor},
        listen::{self, Bound, Role},
        serve::Word,
    },
};

/// How long the admin listener's address may stay taken before that is an error.
const REBINDING: Duration = Duration::from_secs(10);

/// How often it is tried.
const AGAIN: Duration = Duration::from_millis(50);

/// How long issuers may take to be asked for their keys before it counts as served without.
const READYING: Duration = Duration::from_secs(30);

/// Waits for a running process's sockets.
///
/// # Errors
/// There is nowhere to wait, or nobody comes.
pub(super) async fn inherit(serving: &Serving) -> anyhow::Result<Inheritance> {
    let path = serving.upgrade_socket.as_deref();
    let path = path.context(
        "`--upgrade` needs `server.upgrade_socket`, in this file and in that of the running process",
    )?;
    let successor = Successor::wait_at(path)?;
    tracing::info!(event = "upgrade_waiting", socket = %path.display());
    Ok(tokio::task::spawn_blocking(move || successor.receive()).await??)
}

/// The sockets to serve on: those that were left, and new ones for addresses that they are not for.
///
/// # Errors
/// An address that cannot be listened on.
pub(super) fn sockets(
    serving: &Serving,
    inheritance: Option<&mut Inheritance>,
) -> anyhow::Result<Vec<Bound>> {
    let mut left = inheritance;
    let mut socket = |address| match left.as_mut().and_then(|left| left.take(address)) {
        Some(bound) => Ok(bound),
        None => listen::bind(address),
    };
    Ok(serving.listen.iter().map(|listen| socket(listen.address)).collect::<Result<_, _>>()?)
}

/// Tells the old process that it may go once this one is ready, and then takes its admin listener's
/// place. Where the old one gave the handover up it serves on, and this one ends: false.
pub(super) async fn take_over(gateway: Arc<Gateway>, inheritance: Inheritance) -> bool {
    let until = Instant::now() + READYING;
    while gateway.phase() == Phase::Starting && Instant::now() < until {
        tokio::time::sleep(AGAIN).await;
    }
    let told = tokio::task::spawn_blocking(move || inheritance.serving()).await;
    if let Ok(Err(error)) = told {
        tracing::error!(event = "upgrade_failed", %error, "this process ends");
        return false;
    }
    let address = gateway.begun_with().admin.listen;
    let begun = Instant::now();
    let mut complained = false;
    let bound = loop {
        match listen::bind(address) {
            Ok(bound) => break bound,
            Err(error) => {
                if begun.elapsed() > REBINDING && !complained {
                    complained = true;
                    tracing::error!(event = "admin_unbound", %error, "the admin listener is not there yet");
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    listen::announce(Role::Admin, &bound);
    if let Err(error) = admin::serve::serve(gateway, bound.socket).await {
        tracing::error!(event = "admin_unbound", %error, "the admin listener cannot be served");
    }
    true
}

/// What a process has to leave.
pub(super) struct Estate {
    sockets: Vec<(SocketAddr, TcpListener)>,
    admin: JoinHandle<()>,
    stop: mpsc::Sender<Word>,
}

impl Estate {
    /// Copies of these sockets, by their addresses as configured.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(
        gateway: &Gateway,
        sockets: &[Bound],
        admin: JoinHandle<()>,
        stop: mpsc::Sender<Word>,
    ) -> std::io::Result<Self> {
        let configured = gateway.begun_with().listen.iter().map(|listen| listen.address);
        let copies = configured.zip(sockets);
        let copies = copies.map(|(address, bound)| Ok((address, bound.socket.try_clone()?)));
        Ok(Self { sockets: copies.collect::<std::io::Result<_>>()?, admin, stop })
    }

    /// Leaves them to a successor at each word to do so, until one serves; then this process drains.
    /// Nothing is left once there will be no more words.
    pub async fn leave(self, gateway: Arc<Gateway>, mut quits: mpsc::Receiver<()>) {
        let Self { mut sockets, admin, stop } = self;
        loop {
            // A process that ends has nothing to leave: what it listens on closes with it.
            let Some(()) = quits.recv().await else { return };
            let Some(path) = gateway.snapshot().serving().upgrade_socket.clone() else {
                tracing::warn!(
                    event = "upgrade_failed",
                    "SIGQUIT hands the sockets over only with `server.upgrade_socket`"
                );
                continue;
            };
            let handed = tokio::task::spawn_blocking(move || {
                let outcome = handover::hand_over(&path, &sockets);
                (sockets, outcome)
            });
            let Ok((back, outcome)) = handed.await else { return };
            sockets = back;
            match outcome {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(event = "upgrade_failed", %error, "this process serves on");
                }
            }
        }
        drop(sockets);
        tracing::info!(event = "handed_over");
        admin.abort();
        // Fails only if the process ends already.
        let _ = stop.send(Word::Replaced).await;
    }
}
