//! What the rest of the process tells the admin listener, and the way from there to the thread that swaps.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use sluice_host::Host;
use tokio::sync::Semaphore;

use super::View;
use crate::{
    access_log::AccessLog,
    leave::Leave,
    logging::Logging,
    recent::Recent,
    reload::{Ask, Events},
    telemetry::Pushes,
    traffic::Traffic,
    watch::Waker,
};

/// Wishes that may wait for the thread that swaps, and streams of events that may be open, at one time.
const ORDERS: usize = 8;
const STREAMS: usize = 16;

/// One for the process.
pub(crate) struct Status {
    pub(crate) host: Arc<Host>,
    pub(crate) events: Arc<Events>,
    pub(crate) log: AccessLog,
    pub(crate) logging: Arc<Logging>,
    pub(crate) traffic: Arc<Traffic>,
    /// What became of metrics that were sent; empty when they are not.
    pub(crate) pushes: OnceLock<Arc<Pushes>>,
    /// `None` when no request is remembered.
    pub(crate) recent: Option<Arc<Recent>>,
    pub(crate) leave: Arc<Leave>,
    pub(crate) view: ArcSwap<View>,
    /// Every listener is bound.
    pub(crate) listening: AtomicBool,
    pub(crate) stopping: AtomicBool,
    pub(crate) started: SystemTime,
    pub(super) orders: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    reload: OnceLock<Waker<Ask>>,
}

impl Status {
    /// `requests` are remembered.
    pub(crate) fn new(host: Arc<Host>, log: AccessLog, logging: Arc<Logging>, requests: usize) -> Self {
        Self {
            host,
            events: Arc::default(),
            log,
            logging,
            traffic: Arc::default(),
            pushes: OnceLock::new(),
            recent: Recent::of(requests).map(Arc::new),
            leave: Arc::default(),
            view: ArcSwap::default(),
            listening: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            started: SystemTime::now(),
            orders: Arc::new(Semaphore::new(ORDERS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            reload: OnceLock::new(),
        }
    }

    /// From now on there is a thread that swaps.
    pub(crate) fn can_be_asked(&self, reload: Waker<Ask>) {
        let _ = self.reload.set(reload);
    }

    /// `None` before there is one.
    pub(super) fn reload(&self) -> Option<&Waker<Ask>> {
        self.reload.get()
    }

    /// Why no traffic should be sent here; empty when it should.
    pub(super) fn unready(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        if self.stopping.load(Relaxed) {
            reasons.push("the process is stopping");
        }
        if self.leave.is_asked() {
            reasons.push("somebody asked for a drain; `POST /drain?off=true` ends it");
        }
        if self.view.load().generation == 0 {
            reasons.push("the first configuration is being loaded");
        } else if !self.listening.load(Relaxed) {
            reasons.push("not every listener is bound yet");
        }
        reasons
    }
}
