//! What others said of credentials: asked once for all who wait, and remembered for a while.
//!
//! What is remembered is what they vouched for, never a refusal: who was refused may have become
//! good meanwhile, and `failure_limit` bounds how often a client can ask in vain.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ahash::RandomState;
use parking_lot::Mutex;
use quick_cache::{UnitWeighter, Weighter, sync::Cache};
use tokio::sync::watch;

use crate::{
    model::Timestamp,
    policy::{digest::Digest, sources::Unavailable},
    sources::signatures::Recalls,
};

/// Bytes that remembered answers take at most, by and large.
const MOST_BYTES: u64 = 32 << 20;
/// Credentials of which it is known that they were good a short while ago, at most.
const MOST_GOOD: usize = 20_000;
/// Questions under way at most.
const MOST_QUESTIONS: usize = 1_000;
/// How long after its last use a credential that was good is known to have been.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// How exactly its last use is known.
const USES: Duration = Duration::from_secs(30);

const CROWDED: Unavailable = Unavailable { what: "room for another question" };
const ABANDONED: Unavailable = Unavailable { what: "the answer to a question" };

/// What somebody vouched for.
pub trait Fact: fmt::Debug + Send + Sync + 'static {
    /// When it is over, if he said so.
    fn ends(&self) -> Option<Timestamp>;

    /// Bytes of memory that it takes, by and large.
    fn weight(&self) -> u64;
}

/// Why there is no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed<R> {
    /// There is nothing to vouch for.
    Refused(R),
    /// Nobody answered, or what came was nonsense.
    Away(Unavailable),
}

/// What came of a question.
pub type Outcome<F, R> = Result<Arc<F>, Missed<R>>;

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// All that is asked, and of whom.
    pub key: Digest,
    /// The credential that it is about, and who is asked.
    pub credential: Digest,
    /// When.
    pub now: Timestamp,
    /// How long the answer is remembered.
    pub cache: Duration,
}

/// What others said of credentials.
#[derive(Debug)]
pub struct Answers<F, R>(Arc<Inner<F, R>>);

struct Inner<F, R> {
    known: Cache<Digest, Known<F>, Weight, RandomState>,
    good: Cache<Digest, Timestamp, UnitWeighter, RandomState>,
    under_way: Mutex<HashMap<Digest, Waiting<F, R>, RandomState>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

type Waiting<F, R> = watch::Receiver<Option<Outcome<F, R>>>;

impl<F, R> fmt::Debug for Inner<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("entries", &self.known.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Known<F> {
    fact: Arc<F>,
    weight: u64,
    from: Timestamp,
    until: Timestamp,
}

impl<F> Clone for Known<F> {
    fn clone(&self) -> Self {
        Self { fact: Arc::clone(&self.fact), ..*self }
    }
}

impl<F> Known<F> {
    fn serves(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

#[derive(Clone, Debug)]
struct Weight;

impl<F> Weighter<Digest, Known<F>> for Weight {
    fn weight(&self, _: &Digest, known: &Known<F>) -> u64 {
        known.weight
    }
}

impl<F: Fact, R: Clone + Send + Sync + 'static> Default for Answers<F, R> {
    fn default() -> Self {
        Self::new(MOST_BYTES)
    }
}

impl<F: Fact, R: Clone + Send + Sync + 'static> Answers<F, R> {
    /// Room for answers of so many bytes together.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes >> 11).unwrap_or(usize::MAX);
        // Seeded at random, because clients choose what is asked about.
        let seed = RandomState::new;
        Self(Arc::new(Inner {
            known: Cache::with(items, bytes, Weight, seed(), Default::default()),
            good: Cache::with(
                MOST_GOOD,
                MOST_GOOD as u64,
                UnitWeighter,
                seed(),
                Default::default(),
            ),
            under_way: Mutex::new(HashMap::with_hasher(seed())),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// The answer to a question that was asked a short while ago.
    pub fn recall(&self, question: &Question) -> Option<Arc<F>> {
        let inner = &self.0;
        let found = inner.known(question);
        let counter = if found.is_some() { &inner.hits } else { &inner.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        if found.is_some() {
            inner.note_good(question);
        }
        found
    }

    /// Whether the credential was good within the last ten minutes.
    pub fn was_good(&self, question: &Question) -> bool {
        let last = self.0.good.get(&question.credential);
        last.is_some_and(|last| question.now.since(last) < GOOD_FOR)
    }

    /// Asks, unless somebody is asking the same already: all who wait get the one answer. The question
    /// is carried to its end whoever goes away, and what comes of it is remembered.
    pub async fn ask(
        &self,
        question: Question,
        asking: impl Future<Output = Outcome<F, R>> + Send + 'static,
    ) -> Outcome<F, R> {
        let mut waiting = {
            let mut under_way = self.0.under_way.lock();
            // It may have ended between the look at what is known and this one.
            if let Some(known) = self.0.known(&question) {
                return Ok(known);
            }
            match under_way.get(&question.key) {
                Some(waiting) => waiting.clone(),
                None if under_way.len() >= MOST_QUESTIONS => return Err(Missed::Away(CROWDED)),
                None => {
                    let (teller, waiting) = watch::channel(None);
                    under_way.insert(question.key, waiting.clone());
                    let end = End { inner: Arc::clone(&self.0), key: question.key };
                    tokio::spawn(async move {
                        let outcome = asking.await;
                        end.inner.keep(&question, &outcome);
                        drop(end);
                        teller.send_replace(Some(outcome));
                    });
                    waiting
                }
            }
        };
        match waiting.wait_for(Option::is_some).await {
            Ok(told) => told.clone().unwrap_or(Err(Missed::Away(ABANDONED))),
            Err(_) => Err(Missed::Away(ABANDONED)),
        }
    }

    /// Asks for this one alone. Only that the credential was good is remembered.
    pub async fn ask_alone(
        &self,
        question: Question,
        asking: impl Future<Output = Outcome<F, R>>,
    ) -> Outcome<F, R> {
        let outcome = asking.await;
        if outcome.is_ok() {
            self.0.note_good(&question);
        }
        outcome
    }

    /// How it went so far, for the metrics.
    pub fn recalls(&self) -> Recalls {
        Recalls {
            hits: self.0.hits.load(Ordering::Relaxed),
            misses: self.0.misses.load(Ordering::Relaxed),
            entries: self.0.known.len() as u64,
        }
    }

    /// Forgets what is not used again, to give its memory back. Nothing depends on it being called:
    /// the bound holds without.
    pub fn sweep(&self, now: Timestamp) {
        self.0.known.retain(|_, known| known.serves(now));
        self.0.good.retain(|_, last| now.since(*last) < GOOD_FOR);
    }
}

impl<F: Fact, R> Inner<F, R> {
    fn known(&self, question: &Question) -> Option<Arc<F>> {
        let known = self.known.get(&question.key)?;
        known.serves(question.now).then_some(known.fact)
    }

    fn note_good(&self, question: &Question) {
        let known = self.good.get(&question.credential);
        if known.is_none_or(|last| question.now.since(last) >= USES) {
            self.good.insert(question.credential, question.now);
        }
    }

    fn keep(&self, question: &Question, outcome: &Outcome<F, R>) {
        let Ok(fact) = outcome else { return };
        self.note_good(question);
        let until = question.now + question.cache;
        let until = fact.ends().map_or(until, |end| end.min(until));
        if until > question.now {
            let (fact, weight) = (Arc::clone(fact), fact.weight());
            let known = Known { fact, weight, from: question.now, until };
            self.known.insert(question.key, known);
        }
    }
}

/// The end of a question, however it ends.
struct End<F, R> {
    inner: Arc<Inner<F, R>>,
    key: Digest,
}

impl<F, R> Drop for End<F, R> {
    fn drop(&mut self) {
        self.inner.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[derive(Debug)]
    struct Word(u64, Option<Timestamp>);

    impl Fact for Word {
        fn ends(&self) -> Option<Timestamp> {
            self.1
        }

        fn weight(&self) -> u64 {
            self.0
        }
    }

    type Words = Answers<Word, &'static str>;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn question(about: &str, seconds: i64) -> Question {
        let digest = Digest::of(about.as_bytes());
        let cache = Duration::from_secs(30);
        Question { key: digest, credential: digest, now: at(seconds), cache }
    }

    async fn good(end: Option<Timestamp>) -> Outcome<Word, &'static str> {
        Ok(Arc::new(Word(100, end)))
    }

    #[tokio::test]
    async fn a_fact_is_known_for_as_long_as_the_file_says_and_never_beyond_its_end() {
        let words = Words::new(1 << 20);
        words.ask(question("a", 0), good(None)).await.unwrap();
        words.ask(question("b", 0), good(Some(at(10)))).await.unwrap();
        words.ask(question("c", 0), good(Some(at(0)))).await.unwrap();
        assert!(words.recall(&question("a", 29)).is_some());
        assert!(words.recall(&question("a", 30)).is_none());
        assert!(words.recall(&question("a", -1)).is_none(), "the clock was set back");
        assert!(words.recall(&question("b", 9)).is_some());
        assert!(words.recall(&question("b", 10)).is_none());
        assert!(words.recall(&question("c", 0)).is_none());
        let Recalls { hits, misses, entries } = words.recalls();
        assert_eq!((hits, misses, entries), (2, 4, 2));
        words.sweep(at(30));
        assert_eq!(words.recalls().entries, 0);
    }

    #[tokio::test]
    async fn a_refusal_is_not_remembered_and_neither_is_silence() {
        let words = Words::new(1 << 20);
        for outcome in [Missed::Refused("no"), Missed::Away(ABANDONED)] {
            let asked = words.ask(question("a", 0), async move { Err(outcome) }).await;
            assert_eq!(asked.unwrap_err(), outcome);
            assert!(words.recall(&question("a", 0)).is_none());
        }
        assert!(words.ask(question("a", 0), good(None)).await.is_ok());
    }

    #[tokio::test]
    async fn all_who_ask_the_same_at_once_share_one_question_and_no_other() {
        let words = Arc::new(Words::new(1 << 20));
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for round in 0..40 {
            let (words, asked, gate) = (words.clone(), asked.clone(), gate.clone());
            let weight = round % 2;
            tasks.spawn(async move {
                let asking = async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    gate.notified().await;
                    Ok(Arc::new(Word(weight, None)))
                };
                let word = words.ask(question(&weight.to_string(), 0), asking).await.unwrap();
                assert_eq!(word.0, weight);
            });
        }
        while asked.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        while !tasks.is_empty() {
            gate.notify_waiters();
            if tasks.try_join_next().is_none() {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_question_is_carried_to_its_end_whoever_goes_away() {
        let words = Arc::new(Words::new(1 << 20));
        let gate = Arc::new(Notify::new());
        let asking = {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                good(None).await
            }
        };
        let gone = words.ask(question("a", 0), asking);
        let waited = tokio::time::timeout(Duration::ZERO, gone).await;
        assert!(waited.is_err(), "the client went away");
        gate.notify_one();
        assert!(words.ask(question("a", 0), async { Err(Missed::Refused("again")) }).await.is_ok());
        assert!(words.recall(&question("a", 1)).is_some());
    }

    #[tokio::test]
    async fn a_question_that_breaks_off_holds_nobody_up() {
        let words = Words::new(1 << 20);
        let broken = words.ask(question("a", 0), async { panic!("a fault of the program") }).await;
        assert_eq!(broken.unwrap_err(), Missed::Away(ABANDONED));
        assert!(words.ask(question("a", 0), good(None)).await.is_ok());
    }

    #[tokio::test]
    async fn no_more_questions_are_under_way_than_there_is_room_for() {
        let words = Words::new(1 << 20);
        let mut waiting = Vec::new();
        for number in 0..MOST_QUESTIONS {
            let mut asked =
                Box::pin(words.ask(question(&number.to_string(), 0), std::future::pending()));
            assert!(tokio::time::timeout(Duration::ZERO, &mut asked).await.is_err());
            waiting.push(asked);
        }
        let crowded = words.ask(question("another", 0), good(None)).await;
        assert_eq!(crowded.unwrap_err(), Missed::Away(CROWDED));
    }

    #[tokio::test]
    async fn what_is_remembered_takes_bounded_memory() {
        let words = Words::new(100_000);
        for number in 0..5_000 {
            words.ask(question(&number.to_string(), 0), good(None)).await.unwrap();
        }
        assert!(words.recalls().entries <= 1_000);
    }

    #[tokio::test]
    async fn that_a_credential_was_good_is_known_for_ten_minutes_after_its_last_use() {
        let words = Words::new(1 << 20);
        assert!(!words.was_good(&question("a", 0)));
        words.ask(question("a", 0), good(None)).await.unwrap();
        assert!(words.was_good(&question("a", 599)));
        assert!(!words.was_good(&question("a", 600)));
        let long = Question { cache: Duration::from_secs(3600), ..question("b", 0) };
        words.ask_alone(long, good(None)).await.unwrap();
        words.ask(long, good(None)).await.unwrap();
        assert!(words.recall(&Question { now: at(500), ..long }).is_some());
        assert!(words.was_good(&question("b", 1000)));
    }
}
