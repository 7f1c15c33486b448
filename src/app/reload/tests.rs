//! Who asks for a reload while another is under way, and what a reload that goes wrong leaves behind.

use std::collections::BTreeMap;
use std::sync::mpsc;

use super::*;
use crate::clock::ManualClock;
use crate::config::{Profile, Sources};
use crate::domain::label::LogLevel;
use crate::domain::time::UnixMillis;
use crate::logging::{self, LogFormat};

const LATER: UnixMillis = UnixMillis(5);

fn config() -> Config {
    let env = BTreeMap::new();
    let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    Config::read(Sources {
        flags: BTreeMap::new(),
        env: &env,
        file: None,
        read_file: &read_file,
        profile: Profile::DEMO,
    })
    .unwrap()
}

fn reloader(read: impl Fn() -> Result<Config, Problems> + Send + Sync + 'static) -> (Arc<Reloader>, Arc<LiveStats>) {
    let (clock, live) = (Arc::new(ManualClock::new(LATER)), Arc::new(LiveStats::new(false)));
    let (_, log) = logging::subscriber(
        LogLevel::Error,
        LogFormat::Logfmt,
        Arc::clone(&clock) as _,
        Arc::clone(&live),
        std::io::sink(),
    );
    live.config_loaded(UnixMillis(0));
    let source = Source { read: Box::new(read), log };
    let web = Arc::new(web_config::Source::none());
    let reloader = Reloader::new(source, web, config(), Updates::new(), clock, Arc::clone(&live));
    (Arc::new(reloader), live)
}

/// Whether the last reload succeeded, and when the last one that did.
fn loaded(live: &LiveStats) -> (bool, UnixMillis) {
    let load = live.live().config.unwrap();
    (load.is_successful(), load.last_success)
}

fn is_under_way(answer: Result<String, NotReloaded>) -> bool {
    matches!(answer, Err(NotReloaded::UnderWay(_)))
}

#[tokio::test]
async fn one_reload_at_a_time() {
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (reloader, _) = reloader(move || {
        began.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        Ok(config())
    });
    let first = tokio::spawn(Arc::clone(&reloader).reload());
    begun.recv().await.unwrap();
    for _ in 0..600 {
        assert!(is_under_way(Arc::clone(&reloader).reload().await));
    }
    // A signal is answered by nobody, so it waits for its turn.
    let by_signal = Arc::clone(&reloader);
    let by_signal = tokio::spawn(async move { by_signal.reload_in_turn().await });
    go_on.send(()).unwrap();
    assert!(first.await.unwrap().unwrap().starts_with("Reloaded: no setting has changed"));
    begun.recv().await.unwrap();
    go_on.send(()).unwrap();
    by_signal.await.unwrap();
    go_on.send(()).unwrap();
    assert!(reloader.reload().await.is_ok());
}

#[tokio::test]
async fn a_reload_that_does_not_end_is_left_to_itself_and_told_of_when_it_does() {
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (mut reloader, live) = reloader(move || {
        began.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        Ok(config())
    });
    Arc::get_mut(&mut reloader).unwrap().limit = Duration::from_millis(1);
    assert!(is_under_way(Arc::clone(&reloader).reload().await));
    begun.recv().await.unwrap();
    assert!(is_under_way(Arc::clone(&reloader).reload().await), "it goes on");
    assert_eq!(loaded(&live), (true, UnixMillis(0)));
    go_on.send(()).unwrap();
    // It ends by itself.
    drop(reloader.running.lock().await);
    assert_eq!(loaded(&live), (true, LATER));
}

#[tokio::test]
async fn a_panic_is_a_refusal_and_the_next_reload_works() {
    let panics = std::sync::atomic::AtomicBool::new(true);
    let (reloader, live) = reloader(move || {
        assert!(!panics.swap(false, std::sync::atomic::Ordering::SeqCst), "on purpose");
        Ok(config())
    });
    reloader.reload_in_turn().await;
    assert_eq!(loaded(&live), (false, UnixMillis(0)));
    assert!(Arc::clone(&reloader).reload().await.is_ok());
    assert_eq!(loaded(&live), (true, LATER));
}
