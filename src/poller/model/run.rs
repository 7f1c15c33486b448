//! Plays a history: one process after the other on the same disk, then the calm, in which all has to come right.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

use super::disk::{Disk, Witness};
use super::history::{BEGIN, End, History, Life, MINUTE};
use super::settled;
use super::stage::Stage;
use super::upstream::World;
use super::watch::Watch;
use crate::app::assemble;
use crate::clock::Clock;
use crate::poller::Poller;
use crate::store::{Store, StoreError};

/// What is wrong, and what led to it if that was to be traced.
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) trace: Vec<String>,
}

/// Plays the history of this number.
pub(super) fn play(seed: u64, traced: bool) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let history = Arc::new(History::new(seed));
    let stage = runtime.block_on(async {
        let disk = Disk::new(seed);
        disk.begin_life(super::disk::Trouble::default(), None);
        let watch = Watch::new(Arc::clone(&history), traced);
        Arc::new(Stage::new(Arc::clone(&history), disk, watch))
    });
    let player = Player { history, stage: Arc::clone(&stage) };
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(player.play())));
    let what = match played {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        }
    };
    // A panic may have poisoned the lock; what was traced is whole all the same.
    let trace = stage.trace();
    Err(Failure { what, trace })
}

struct Player {
    history: Arc<History>,
    stage: Arc<Stage>,
}

impl Player {
    async fn play(&self) -> Result<(), String> {
        for line in self.told() {
            self.stage.note(|| line);
        }
        Store::make_on(self.stage.disk().opened()).map_err(|error| error.to_string())?;
        for life in &self.history.lives {
            self.live(life).await?;
            sleep(millis(life.down)).await;
        }
        Ok(())
    }

    fn told(&self) -> Vec<String> {
        let history = &self.history;
        let mut lines = vec![format!("{:?}", history.listing)];
        lines.push(format!("calm after {} s, clock {:?}", (history.calm - BEGIN) / 1000, history.clock));
        lines.extend(history.faults.iter().map(|fault| format!("{fault:?}")));
        for record in &history.records {
            lines.push(format!("record of {}", record.start - BEGIN));
            lines.extend(record.forms.iter().map(|(from, form)| format!("    {} {form:?}", from - BEGIN)));
        }
        lines
    }

    async fn live(&self, life: &Life) -> Result<(), String> {
        let stage = &self.stage;
        let dies_asking = match life.end {
            End::DiesAsking { request, death } => Some((request, death)),
            _ => None,
        };
        stage.disk().begin_life(life.trouble.clone(), Some(Arc::clone(stage) as Arc<dyn Witness>));
        stage.begin_life(life.settings.requests_per_second, dies_asking);
        let disk = stage.disk().clone();
        // A dead process opens nothing, so the disk is not that of whoever lives, but of this one.
        let opened = disk.opened();
        let (store, image) = match Store::open_on(move || opened.again(), "default") {
            Ok(opened) => opened,
            // The disk refuses, or the process died while it opened it: somebody will start it again.
            Err(error @ StoreError::Unusable { .. }) => {
                stage.note(|| format!("cannot start: {error}"));
                stage.end();
                return Ok(());
            }
            Err(error) => return Err(format!("cannot go on: {error}")),
        };
        let clock: Arc<dyn Clock> = Arc::clone(stage) as Arc<dyn Clock>;
        stage.watch().begin_life(stage.now(), &life.settings, image.is_some(), stage.local());
        let world = World::new(Arc::clone(&self.history), Arc::clone(stage), life.settings.page_size);
        let assembled = assemble::parts(&life.settings.config(), &clock, world, Some(store), image);
        let (settings, mut parts) = assembled.map_err(|error| error.to_string())?;
        parts.jitter = Box::new(|| 0.5);
        let (poller, snapshots) = Poller::new(settings, parts);
        stage.watch().listen(snapshots);
        stage.look();

        let poller = poller.run();
        tokio::pin!(poller);
        let over = async {
            match life.end {
                End::Stopped { after } => sleep(millis(after)).await,
                End::Dies { after, death } => {
                    sleep(millis(after)).await;
                    stage.die(death);
                }
                End::DiesAsking { .. } => {
                    // It may never come to ask so much.
                    sleep(millis(90 * MINUTE)).await;
                }
                End::Lives => settled::wait(&self.history, stage, &life.settings).await,
            }
        };
        tokio::select! {
            biased;
            () = stage.death() => {}
            () = over => {}
            () = &mut poller => {}
        }
        stage.look();
        if let Some(what) = stage.watch().complaint() {
            return Err(what.clone());
        }
        let settled = match life.end {
            End::Lives => settled::check(&self.history, stage, &life.settings),
            _ => Ok(()),
        };
        stage.note(|| format!("the process is over, {} operations of the disk", stage.disk().operations()));
        stage.end();
        settled
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
