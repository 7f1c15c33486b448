//! The tasks of the process: none may end before the others are told to, and all have a deadline then.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::AppError;
use crate::panics;

/// From the signal to the end of the last task. The promise is 5 seconds for the whole process.
const DEADLINE: Duration = Duration::from_secs(4);

/// Completes when the process is told to stop, with the name of the signal.
///
/// The handlers are in place when this returns, so that a signal is heard however early it comes.
pub(super) fn stop_signal() -> Result<impl Future<Output = &'static str>, AppError> {
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Each SIGHUP from here on; without this, the first one would end the process.
pub(super) fn hangups() -> Result<Signal, AppError> {
    handler(SignalKind::hangup())
}

fn handler(kind: SignalKind) -> Result<Signal, AppError> {
    signal(kind).map_err(|error| AppError::Setup(format!("no signal handler: {error}")))
}

/// When a task is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// At once.
    First,
    /// When those of the first turn have ended: what these publish last is still to be given out.
    Last,
}

/// Tells a task that it is to stop.
pub(super) struct Stopped {
    turn: Turn,
    called: watch::Receiver<Option<Turn>>,
}

impl Stopped {
    /// Completes when the task is to stop.
    pub(super) async fn wait(mut self) {
        // Nobody left to say so means the same.
        let _ = self.called.wait_for(|called| called.is_some_and(|called| called >= self.turn)).await;
    }
}

/// A task's name and how it ended.
type Ended = (&'static str, Result<(), AppError>);

/// Tasks that live and die together.
pub(super) struct Tasks {
    running: JoinSet<Ended>,
    known: Vec<(Id, &'static str, Turn)>,
    stop: watch::Sender<Option<Turn>>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { running: JoinSet::new(), known: Vec::new(), stop: watch::Sender::new(None) }
    }

    /// Starts a task that ends when it is told to, and not before.
    pub(super) fn spawn_until_stop<F>(&mut self, name: &'static str, turn: Turn, task: impl FnOnce(Stopped) -> F)
    where
        F: Future<Output = Result<(), AppError>> + Send + 'static,
    {
        // Boxed: the runtime itself does that from 16 KiB on only, and moves what is smaller from frame to frame, whose memory the
        // stack keeps.
        let task = Box::pin(task(Stopped { turn, called: self.stop.subscribe() }));
        let handle = self.running.spawn(async move { (name, task.await) });
        self.known.push((handle.id(), name, turn));
    }

    /// Lets the tasks run until `stop`, then stops them.
    ///
    /// # Errors
    ///
    /// When a task ends by itself: half an exporter is worse than none.
    pub(super) async fn run_until(mut self, stop: impl Future<Output = &'static str>) -> Result<(), AppError> {
        let result = tokio::select! {
            signal = stop => {
                info!(signal, "stopping");
                Ok(())
            }
            Some(ended) = self.running.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                let error = self.early_end(ended);
                self.known.retain(|(other, ..)| *other != id);
                Err(error)
            }
        };
        if let Err(error) = &result {
            error!(%error, "stopping");
        }
        let drain = async {
            let mut left: Vec<Id> =
                self.known.iter().filter(|(_, _, turn)| *turn == Turn::First).map(|(id, ..)| *id).collect();
            self.stop.send_replace(Some(Turn::First));
            loop {
                if left.is_empty() {
                    self.stop.send_replace(Some(Turn::Last));
                }
                let Some(ended) = self.running.join_next_with_id().await else { break };
                let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
                left.retain(|other| *other != id);
                if let Ok((_, (task, Err(error)))) = ended {
                    warn!(task, %error, "failed while stopping");
                }
            }
        };
        if timeout(DEADLINE, drain).await.is_err() {
            warn!("some tasks did not stop in time and are dropped");
        }
        result
    }

    fn early_end(&self, ended: Result<(Id, Ended), JoinError>) -> AppError {
        match ended {
            Ok((_, (_, Err(error)))) => error,
            Ok((_, (task, Ok(())))) => AppError::TaskDied { task, why: "it returned".to_owned() },
            Err(error) => {
                let name = self.known.iter().find(|(id, ..)| *id == error.id()).map(|(_, name, _)| *name);
                AppError::TaskDied { task: name.unwrap_or("unknown"), why: panics::why(&error).to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn never() -> &'static str {
        std::future::pending().await
    }

    #[tokio::test]
    async fn a_task_that_returns_ends_all() {
        let mut tasks = Tasks::new();
        tasks.spawn_until_stop("steady", Turn::Last, |stopped| async move {
            stopped.wait().await;
            Ok(())
        });
        tasks.spawn_until_stop("short", Turn::First, |_| async { Ok(()) });
        let error = tasks.run_until(never()).await.unwrap_err();
        assert!(matches!(error, AppError::TaskDied { task: "short", .. }), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_all_and_is_named() {
        let mut tasks = Tasks::new();
        tasks.spawn_until_stop("wild", Turn::First, |_| async { panic!("on purpose") });
        let error = tasks.run_until(never()).await.unwrap_err();
        assert!(matches!(error, AppError::TaskDied { task: "wild", .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_dropped_at_the_deadline() {
        let mut tasks = Tasks::new();
        tasks.spawn_until_stop("stubborn", Turn::First, |_| std::future::pending());
        let began = tokio::time::Instant::now();
        tasks.run_until(async { "SIGTERM" }).await.unwrap();
        assert_eq!(began.elapsed(), DEADLINE);
    }

    #[tokio::test]
    async fn those_who_give_out_stop_after_those_who_publish() {
        let (mut tasks, order) = (Tasks::new(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
        for (name, turn) in [("push", Turn::Last), ("poller", Turn::First), ("server", Turn::Last)] {
            let order = std::sync::Arc::clone(&order);
            tasks.spawn_until_stop(name, turn, |stopped| async move {
                stopped.wait().await;
                order.lock().unwrap().push(name);
                Ok(())
            });
        }
        tasks.run_until(async { "SIGTERM" }).await.unwrap();
        assert_eq!(order.lock().unwrap()[0], "poller");
        assert_eq!(order.lock().unwrap().len(), 3);
    }
}
