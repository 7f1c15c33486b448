//! Basic authentication (RFC 7617) against bcrypt hashes, so that a scrape does not cost a hash each time.
//!
//! A password that was found right is remembered by a keyed digest of it and of the hash; every other one costs a check, one
//! at a time, and one address has to wait while several of its own are waiting. A name that is not known costs the same check, against a hash of somebody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use ring::{hmac, rand};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use super::peers::{Peer, Tally};
use crate::config::Secret;
use crate::web_config::Users;

/// Checks that may be under way or wait for their turn; a flood of wrong passwords must not pile up.
const QUEUE: usize = 16;
/// How many of them may be for one address, so that a flood from there leaves room for others.
const QUEUE_OF_ONE: usize = 4;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is let in.
    Known,
    /// It names nobody that is known by that password.
    Unknown,
    /// Too many passwords wait to be checked.
    Busy,
}

/// Checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Made anew by each process, so that a digest says nothing to whoever gets hold of it.
    key: hmac::Key,
    verified: Mutex<HashMap<String, hmac::Tag>>,
    queue: Queue,
    turn: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        Self {
            key: key.expect("the system has random numbers, without which there would be no TLS either"),
            verified: Mutex::default(),
            queue: Queue::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Whether this header names one of the users.
    pub(super) async fn check(&self, users: &Users, authorization: Option<&HeaderValue>, peer: IpAddr) -> Verdict {
        let Some((user, password)) = authorization.and_then(credentials) else { return Verdict::Unknown };
        let hash = users.hash(&user);
        if hash.is_some_and(|hash| self.is_remembered(&user, hash, &password)) {
            return Verdict::Known;
        }
        let Some(_waiting) = self.queue.enter(peer) else { return Verdict::Busy };
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return Verdict::Busy };
        // Another request may have brought the same meanwhile.
        if hash.is_some_and(|hash| self.is_remembered(&user, hash, &password)) {
            return Verdict::Known;
        }
        let Some(against) = hash.or_else(|| users.any_hash(self.number(&user))).cloned() else {
            return Verdict::Unknown;
        };
        let fits = in_the_background(password.clone(), against, turn);
        match (fits.await, hash) {
            (Some(true), Some(hash)) => {
                self.remember(user, hash, &password, users.len());
                Verdict::Known
            }
            (Some(_), _) => Verdict::Unknown,
            (None, _) => Verdict::Busy,
        }
    }

    fn digest(&self, user: &str, hash: &Secret, password: &Secret) -> hmac::Context {
        let mut digest = hmac::Context::with_key(&self.key);
        for part in [user, hash.expose(), password.expose()] {
            // The length before each: no two triples are the same bytes.
            digest.update(&part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        digest
    }

    fn is_remembered(&self, user: &str, hash: &Secret, password: &Secret) -> bool {
        let digest = self.digest(user, hash, password).sign();
        // Both are digests under a key that nobody knows: how far they agree tells nothing of the password.
        self.verified().get(user).is_some_and(|known| known.as_ref() == digest.as_ref())
    }

    fn remember(&self, user: String, hash: &Secret, password: &Secret, users: usize) {
        let digest = self.digest(&user, hash, password).sign();
        let mut verified = self.verified();
        // Those that were taken out of the file leave with the next one that is new.
        if verified.len() >= users && !verified.contains_key(&user) {
            verified.clear();
        }
        verified.insert(user, digest);
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<String, hmac::Tag>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that is always the same for a name, and that nobody can tell before.
    fn number(&self, user: &str) -> usize {
        let digest = hmac::sign(&self.key, user.as_bytes());
        digest.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

/// Behind all other work of the process: guesses that are wrong are to cost only what nobody else wants.
const NICE: i32 = 10;

/// Whether a password fits to a hash, found out by a thread of little priority. The turn ends with the work, even if nobody
/// waits for the answer any more.
fn in_the_background(tried: Secret, against: Secret, turn: OwnedSemaphorePermit) -> impl Future<Output = Option<bool>> {
    let (told, fits) = oneshot::channel();
    let work = move || {
        // Linux takes this for the thread, other systems for the process.
        if cfg!(target_os = "linux")
            && let Err(error) = rustix::process::setpriority_process(None, NICE)
        {
            tracing::debug!(%error, "the priority of checking passwords stays as it is");
        }
        // Whoever asked may have gone.
        let _ = told.send(bcrypt::verify(tried.expose(), against.expose()).unwrap_or(false));
        drop(turn);
    };
    let started = std::thread::Builder::new().name("password".to_owned()).spawn(work);
    async move {
        match started {
            Ok(_) => fits.await.ok(),
            Err(error) => {
                tracing::warn!(%error, "a password cannot be checked: no thread can be started");
                None
            }
        }
    }
}

/// How many checks each peer waits for.
#[derive(Debug, Default)]
struct Queue(Mutex<Tally>);

impl Queue {
    /// A place in it, given back when it is dropped; none where there is no room.
    fn enter(&self, peer: IpAddr) -> Option<Waiting<'_>> {
        let peer = Peer::at(peer);
        let mut waiting = self.waiting();
        if waiting.total() >= QUEUE || waiting.of(peer) >= QUEUE_OF_ONE {
            return None;
        }
        waiting.add(peer);
        Some(Waiting(self, peer))
    }

    fn waiting(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Waiting<'a>(&'a Queue, Peer);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(self.1);
    }
}

/// User and password of the header, if it holds such.
fn credentials(header: &HeaderValue) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), Secret::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web_config::{Reading, read};
    use std::net::Ipv4Addr;

    /// `ada` knows `one`, `bob` knows `two`, by the cheapest hashes.
    fn users() -> Users {
        let [ada, bob] = ["one", "two"].map(|password| bcrypt::hash(password, 4).unwrap());
        let text = format!("basic_auth_users:\n  ada: {ada}\n  bob: {bob}\n");
        let read_file = |_: &std::path::Path| Ok(text.clone());
        read("w.yml".as_ref(), Reading { read_file: &read_file, open_probes: false }).unwrap().users
    }

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn header(credentials: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials))).unwrap()
    }

    #[tokio::test]
    async fn only_a_user_with_the_right_password_is_known() {
        let (passwords, users) = (Passwords::new(), users());
        for (given, verdict) in [
            ("ada:one", Verdict::Known),
            ("ada:one", Verdict::Known),
            ("ada:two", Verdict::Unknown),
            ("bob:one", Verdict::Unknown),
            ("bob:two", Verdict::Known),
            ("eve:one", Verdict::Unknown),
            ("eve:", Verdict::Unknown),
            (":one", Verdict::Unknown),
            ("ada", Verdict::Unknown),
            ("Ada:one", Verdict::Unknown),
        ] {
            assert_eq!(passwords.check(&users, Some(&header(given)), HOME).await, verdict, "{given}");
        }
        let lower = HeaderValue::try_from(format!("basic {}", BASE64_STANDARD.encode("ada:one"))).unwrap();
        assert_eq!(passwords.check(&users, Some(&lower), HOME).await, Verdict::Known);
        for nonsense in ["", "Basic", "Basic !", "Bearer YWRhOm9uZQ==", "Basic /w=="] {
            let nonsense = HeaderValue::from_static(nonsense);
            assert_eq!(passwords.check(&users, Some(&nonsense), HOME).await, Verdict::Unknown);
        }
        assert_eq!(passwords.check(&users, None, HOME).await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn what_was_right_once_is_not_hashed_again() {
        let (passwords, users) = (Passwords::new(), users());
        assert_eq!(passwords.check(&users, Some(&header("ada:one")), HOME).await, Verdict::Known);
        // Nobody gets a turn from here on: whoever needs one is told so when the queue is full.
        let _turn = Arc::clone(&passwords.turn).acquire_owned().await.unwrap();
        let _queue = [0; QUEUE_OF_ONE].map(|_| passwords.queue.enter(HOME).unwrap());
        assert_eq!(passwords.check(&users, Some(&header("ada:one")), HOME).await, Verdict::Known);
        for unknown in ["ada:two", "bob:two", "eve:one"] {
            assert_eq!(passwords.check(&users, Some(&header(unknown)), HOME).await, Verdict::Busy, "{unknown}");
        }
        // Another hash of the same password is another user's word.
        let others = super::tests::users();
        assert_eq!(passwords.check(&others, Some(&header("ada:one")), HOME).await, Verdict::Busy);
    }

    #[test]
    fn one_address_does_not_fill_the_queue() {
        let queue = Queue::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let fill = |text: &str| -> Vec<_> { std::iter::from_fn(|| queue.enter(address(text))).collect() };
        let flood = fill("192.0.2.1");
        assert_eq!(flood.len(), QUEUE_OF_ONE);
        let _other = fill("2001:db8::1");
        assert!(queue.enter(address("192.0.2.1")).is_none());
        let _rest = [fill("192.0.2.2"), fill("192.0.2.3")];
        assert!(queue.enter(address("192.0.2.4")).is_none());
        drop(flood);
        assert_eq!(fill("192.0.2.4").len(), QUEUE_OF_ONE);
    }

    #[tokio::test]
    async fn those_who_left_are_forgotten() {
        let (passwords, users) = (Passwords::new(), users());
        for known in ["ada:one", "bob:two"] {
            assert_eq!(passwords.check(&users, Some(&header(known)), HOME).await, Verdict::Known);
        }
        assert_eq!(passwords.verified().len(), 2);
        let hash = users.hash("ada").unwrap();
        passwords.remember("new".to_owned(), hash, &Secret::new("x".to_owned()), 2);
        assert_eq!(passwords.verified().len(), 1);
    }

    #[test]
    fn an_unknown_name_always_meets_the_same_hash() {
        let (passwords, users) = (Passwords::new(), users());
        let hash = |name| users.any_hash(passwords.number(name)).unwrap().expose();
        assert_eq!(hash("eve"), hash("eve"));
        let all: std::collections::BTreeSet<_> = (0..64).map(|n| hash(&*format!("eve {n}").leak())).collect();
        assert_eq!(all.len(), 2);
        assert!(Users::default().any_hash(7).is_none());
    }
}
