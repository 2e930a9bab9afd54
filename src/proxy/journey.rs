//! A request's way through the targets of its upstream: where it goes first, and where then.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use pingora::{Error, ErrorSource, ErrorType, RetryType, proxy::Session};

use super::{
    exchange::{Admitted, Exchange},
    settle,
};
use crate::{
    gateway::{
        names::Names,
        targets::{Full, Place, Pool, Tried, Visit, key_of},
    },
    model::Timestamp,
    policy::upstream::{Balance, HashBy, Retries, Target},
};

/// How often a request is sent again that an upstream says it did not look at.
const MOST_UNPROCESSED: u32 = 2;

/// Whether an upstream that speaks HTTP/2 says that it did not look at the request (RFC 9113, section
/// 8.7): it refused the stream, or was leaving.
fn is_unprocessed(error: &Error) -> bool {
    *error.esource() == ErrorSource::Upstream
        && *error.etype() == ErrorType::H2Error
        && matches!(error.retry, RetryType::Decided(true))
}

/// Why a request has no place at its upstream.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// There is none, and none became free in time.
    Full,
    /// The client left before.
    Left(Option<Box<Error>>),
}

/// Where a request is, and where it was.
#[derive(Debug, Default)]
pub(super) struct Journey {
    pool: Option<Arc<Pool>>,
    /// Its place among the requests that the upstream has at a time.
    place: Option<Place>,
    visit: Option<Visit>,
    /// Where it goes next, once that has been found.
    next: Option<Visit>,
    /// Addresses of this target that could not be connected to.
    addresses: usize,
    tried: Tried,
    /// How often it was tried again after it had been sent.
    retries: u32,
    /// Why it goes out next.
    cause: Cause,
    /// How often an upstream said that it had not looked at it.
    unprocessed: u32,
}

/// Why a request goes out next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was not sent yet, or was not answered.
    #[default]
    Unanswered,
    /// A kept connection had been closed under it. Another may be closed too, so that it goes by a
    /// new one from then on.
    Closed,
    /// The answer that is there is given up for another try. It keeps whether a connection had been
    /// closed under it.
    GivenUp { closed: bool },
}

impl Cause {
    /// Whether the next connection must be a new one.
    pub const fn needs_new_connection(self) -> bool {
        matches!(self, Self::Closed | Self::GivenUp { closed: true })
    }

    /// Whether there is an answer, which is given up.
    pub const fn is_given_up(self) -> bool {
        matches!(self, Self::GivenUp { .. })
    }

    const fn give_up(self) -> Self {
        Self::GivenUp { closed: self.needs_new_connection() }
    }

    /// As it is on its way: there is no answer any more to be given up.
    const fn go(self) -> Self {
        if self.needs_new_connection() { Self::Closed } else { Self::Unanswered }
    }
}

impl Journey {
    /// The target that it is at, or was last, by its place.
    fn target(&self) -> Option<(usize, &Target)> {
        let target = self.visit.as_ref()?.target;
        Some((target, self.pool.as_ref()?.upstream().service.targets().get(target)?))
    }

    fn address(&self, names: &Names) -> Option<SocketAddr> {
        let turn = self.visit.as_ref()?.turn;
        names.address(self.target()?.1, turn, self.addresses)
    }

    fn leave(&mut self) {
        if let Some(visit) = self.visit.take() {
            self.tried.extend(u16::try_from(visit.target));
        }
        self.addresses = 0;
    }
}

impl Admitted {
    /// The target that it is at, or was last.
    pub fn target(&self) -> Option<&Target> {
        self.journey.target().map(|(_, target)| target)
    }

    /// Its place among the upstream's targets; what is built in has the first.
    pub fn target_place(&self) -> usize {
        self.journey.target().map_or(0, |(place, _)| place)
    }
}

impl Exchange {
    /// Takes a place at the upstream, if that gives them out.
    ///
    /// # Errors
    /// It has no more, and the request did not get one in time; or the client did not wait for it.
    pub async fn enter_upstream(&mut self, session: &mut Session) -> Result<(), NoPlace> {
        let Some(admitted) = self.leave().filter(|one| one.journey.pool.is_none()) else {
            return Ok(());
        };
        let Some(pool) = self.pool_of(admitted).cloned() else { return Ok(()) };
        let place = self.find_place(&pool, session).await?;
        pool.begin();
        if let Some(admitted) = self.on_its_way() {
            admitted.journey.place = place;
            admitted.journey.pool = Some(pool);
        }
        Ok(())
    }

    async fn find_place(
        &mut self,
        pool: &Pool,
        session: &mut Session,
    ) -> Result<Option<Place>, NoPlace> {
        if pool.upstream().bounds.is_none() {
            return Ok(None);
        }
        self.wait_for_place();
        let began = Instant::now();
        let found = tokio::select! {
            biased;
            place = pool.enter() => place.map_err(|Full| NoPlace::Full),
            // With nothing to be read it ends with the connection, or the stream.
            ended = session.as_downstream_mut().read_body_or_idle(true) => {
                Err(NoPlace::Left(ended.err()))
            }
        };
        self.waited += began.elapsed();
        self.has_place();
        found
    }

    /// The address that the request goes to now. Nothing if no target takes it.
    pub fn next_address(&mut self, session: &Session) -> Option<SocketAddr> {
        let journey = &mut self.on_its_way()?.journey;
        journey.cause = journey.cause.go();
        let snapshot = self.snapshot.clone();
        loop {
            let journey = &mut self.on_its_way()?.journey;
            if let Some(next) = journey.next.take() {
                journey.leave();
                journey.visit = Some(next);
            }
            if let Some(address) = journey.address(snapshot.names()) {
                return Some(address);
            }
            // At none yet, or at one whose name leads nowhere.
            if !self.find_next(session) {
                return None;
            }
        }
    }

    /// Finds where the request goes next; whether there is such a target.
    fn find_next(&mut self, session: &Session) -> bool {
        let (now, key) = (self.now(), self.key(session));
        let Some(admitted) = self.on_its_way() else { return false };
        let journey = &mut admitted.journey;
        let Some(pool) = &journey.pool else { return false };
        let mut tried = journey.tried.clone();
        let here = journey.visit.as_ref().map(|visit| visit.target);
        tried.extend(here.and_then(|target| u16::try_from(target).ok()));
        journey.next = pool.pick(&tried, now, || key);
        journey.next.is_some()
    }

    /// Nothing was sent, so whatever the method is the next address may be tried, and then the next
    /// target. Whether there is one.
    pub fn pass_over_address(&mut self, session: &Session) -> bool {
        let (now, snapshot) = (self.now(), self.snapshot.clone());
        let Some(admitted) = self.on_its_way() else { return false };
        let journey = &mut admitted.journey;
        journey.addresses += 1;
        if journey.address(snapshot.names()).is_some() {
            return true;
        }
        if let (Some(pool), Some((place, _))) = (&journey.pool, journey.target()) {
            pool.failed(place, now);
        }
        self.find_next(session)
    }

    /// Whether the answer with this status is given up for another try.
    pub fn gives_up(&mut self, status: u16, session: &Session) -> bool {
        let wanted = self.retries().is_some_and(|retries| retries.on_status.contains(&status));
        let place = self.leave().map_or(0, Admitted::target_place);
        if !wanted || !self.can_repeat(session) || !self.afford_retry(session) {
            return false;
        }
        settle::answered(self, place, status, None);
        if let Some(admitted) = self.on_its_way() {
            admitted.journey.cause = admitted.journey.cause.give_up();
        }
        true
    }

    /// The connection broke, or its answer was given up. Whether the request is sent once more.
    pub fn tries_again(&mut self, session: &Session, error: &mut Error, reused: bool) -> bool {
        if is_unprocessed(error) {
            return self.goes_out_once_more(session);
        }
        // A client that went away, or sent what is no body, gets nothing sent again.
        if *error.esource() != ErrorSource::Upstream || !self.can_repeat(session) {
            return false;
        }
        if self.cause().is_given_up() {
            return true;
        }
        if self.is_clients_doing() {
            return false;
        }
        // A kept connection may have been closed just as the request went out. Once: what ends one
        // connection after the other is the request.
        error.retry.decide_reuse(reused);
        if error.retry.retry()
            && let Some(admitted) = self.on_its_way()
            && !admitted.journey.cause.needs_new_connection()
        {
            admitted.journey.cause = Cause::Closed;
            return true;
        }
        let wanted = self.retries().is_some_and(|retries| retries.on_connect);
        let unanswered = self.leave().is_some_and(|admitted| admitted.status.is_none());
        wanted && unanswered && self.afford_retry(session)
    }

    /// Why it goes out next.
    pub fn cause(&self) -> Cause {
        self.leave().map_or(Cause::default(), |admitted| admitted.journey.cause)
    }

    /// The targets among which it is, or was; of what is built in, the only one.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        let admitted = self.leave()?;
        admitted.journey.pool.as_ref().or_else(|| self.pool_of(admitted))
    }

    fn pool_of(&self, admitted: &Admitted) -> Option<&Arc<Pool>> {
        self.snapshot.pool(&admitted.forwarding()?.upstream)
    }

    /// Nobody looked at the request, so whatever its method is it may be sent again, by another
    /// connection.
    fn goes_out_once_more(&mut self, session: &Session) -> bool {
        let lost = session.as_ref().retry_buffer_truncated()
            || session.response_written().is_some()
            || self.is_overdue();
        let Some(admitted) = self.on_its_way() else { return false };
        admitted.journey.unprocessed += 1;
        !lost && admitted.journey.unprocessed <= MOST_UNPROCESSED
    }

    fn retries(&self) -> Option<&Retries> {
        self.leave()?.forwarding()?.upstream.retries.as_ref()
    }

    /// Whether sending it twice does no harm, and nothing of it is lost.
    fn can_repeat(&self, session: &Session) -> bool {
        session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated()
            && session.response_written().is_none()
            && !self.is_overdue()
    }

    /// Finds where else the request can go, and takes one of its tries and of what the upstream's
    /// budget allows. The only target is asked once more.
    fn afford_retry(&mut self, session: &Session) -> bool {
        let most = self.retries().map_or(0, |retries| retries.attempts);
        let Some(admitted) = self.on_its_way() else { return false };
        let journey = &admitted.journey;
        let Some(pool) = journey.pool.clone() else { return false };
        let alone = pool.upstream().service.targets().len() == 1;
        if journey.retries >= most || !(alone || self.find_next(session)) || !pool.afford_retry() {
            if let Some(admitted) = self.on_its_way() {
                admitted.journey.next = None;
            }
            return false;
        }
        if let Some(admitted) = self.on_its_way() {
            admitted.journey.retries += 1;
        }
        true
    }

    fn key(&self, session: &Session) -> u64 {
        let forwarding = self.leave().and_then(Admitted::forwarding);
        let Some(Balance::Hash(by)) = forwarding.map(|forwarding| &forwarding.upstream.balance)
        else {
            return 0;
        };
        let found = match by {
            HashBy::ClientIp => None,
            HashBy::Header(name) => {
                let value = session.req_header().headers.get(name);
                value.map(|value| key_of(&value.as_bytes()))
            }
            HashBy::Principal => {
                let principal = self.principal.as_ref();
                principal.map(|one| key_of(&(one.issuer.as_str(), &*one.subject)))
            }
        };
        found.unwrap_or_else(|| key_of(&self.client))
    }

    /// The present, as far as a request needs it: when it arrived, and what passed since.
    fn now(&self) -> Timestamp {
        self.time + self.arrived.elapsed()
    }

    /// A target answered.
    pub fn note_answer(&self, status: u16) {
        if let Some(admitted) = self.leave()
            && let (Some(pool), Some((place, _))) =
                (&admitted.journey.pool, admitted.journey.target())
        {
            pool.answered(place, status, self.now());
        }
    }

    /// A target did not answer.
    pub fn note_failure(&self, target: usize) {
        if let Some(pool) = self.leave().and_then(|admitted| admitted.journey.pool.as_ref()) {
            pool.failed(target, self.now());
        }
    }
}
