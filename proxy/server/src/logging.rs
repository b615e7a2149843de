//! The proxy's own log: to standard error, human or JSON, with levels that can be changed while it runs.
//!
//! A thread of its own writes it. Whoever says something, also a worker in the middle of a request, does not wait for who
//! reads; what finds no room is counted, and said when there is room again.

mod screen;

use std::{
    io::{self, IsTerminal},
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sluice_config::plan::{Log, LogFormat, LogLevel, LogModule};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    reload::{self, Handle},
    util::SubscriberInitExt as _,
};

use self::screen::{Screen, Sender};
use crate::lines::{Counts, LOG, Lines, Target};

/// Where lines of filters come from; whether one is wanted was asked before.
pub(crate) const FILTER: &str = "filter";
/// Where what befalls filters is told.
pub(crate) const HOST: &str = "sluice_host";

/// The levels of the process.
pub(crate) struct Logging {
    now: ArcSwap<Log>,
    /// As the configuration has them.
    file: Mutex<Log>,
    /// Somebody wants others for a while.
    pub(crate) changed: AtomicBool,
    handle: Handle<Targets, Registry>,
    lines: Arc<Lines>,
}

/// Has everything that was said written before what comes next, such as an error that ends the program.
pub(crate) struct Flush(Arc<Lines>);

impl Drop for Flush {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Other levels for a while, in the place of those of the configuration; the rest stays as that has it.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) level: Option<LogLevel>,
    pub(crate) filters: Vec<(String, LogLevel)>,
    pub(crate) modules: Vec<(LogModule, LogLevel)>,
}

impl Logging {
    /// Starts logging; a second call in a process changes nothing.
    ///
    /// # Errors
    /// No thread can be started, or standard error is closed.
    pub(crate) fn start(log: &Log) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Lines::start(LOG)?);
        lines.to(Target::standard_error()?);
        let sender = |screen| Sender { screen, lines: lines.clone() };
        let (filter, handle) = reload::Layer::new(targets(log));
        let (layer, registry) = (fmt::layer().with_target(false), tracing_subscriber::registry().with(filter));
        let colours = std::io::stderr().is_terminal();
        // Only fails when logging was started before: then that one stays.
        let started = match log.format {
            LogFormat::Json => {
                registry.with(layer.json().flatten_event(true).with_writer(sender(Screen::Json))).try_init()
            }
            LogFormat::Human => {
                registry.with(layer.with_ansi(colours).with_writer(sender(Screen::Human { colours }))).try_init()
            }
        };
        if started.is_ok() {
            flush_before_panics(lines.clone());
        }
        bound_libraries(log);
        let (now, file) = (ArcSwap::from_pointee(log.clone()), Mutex::new(log.clone()));
        Ok(Arc::new(Self { now, file, changed: AtomicBool::new(false), handle, lines }))
    }

    /// Waits until everything that was said is written, at most a second.
    pub(crate) fn flush(&self) {
        self.lines.flush();
    }

    /// What flushes when it is dropped.
    pub(crate) fn flush_at_end(&self) -> Flush {
        Flush(self.lines.clone())
    }

    /// Lines that were not written.
    pub(crate) fn losses(&self) -> &Counts {
        self.lines.counts()
    }

    /// Takes the levels of a configuration over. What somebody wished stays when nobody wants it to end: `anew` is false
    /// where only files changed, and perhaps none of them the configuration.
    pub(crate) fn load(&self, log: &Log, anew: bool) {
        let mut file = self.file.lock();
        if anew || *file != *log {
            *file = log.clone();
            self.changed.store(false, Relaxed);
            self.set(log.clone());
        }
    }

    /// Until the next [`Self::load`] or wish.
    pub(crate) fn wish(&self, wish: Wish) {
        let file = self.file.lock();
        let mut log = file.clone();
        self.changed.store(wish.level.is_some() || !wish.filters.is_empty() || !wish.modules.is_empty(), Relaxed);
        log.level = wish.level.unwrap_or(log.level);
        replace(&mut log.filters, wish.filters);
        replace(&mut log.modules, wish.modules);
        self.set(log);
    }

    /// The levels as they are.
    pub(crate) fn now(&self) -> Arc<Log> {
        self.now.load_full()
    }

    /// The lowest level that is written for a filter, in the ABI's numbers.
    pub(crate) fn of_filter(&self, filter: &str) -> sluice_host::LogLevel {
        let log = self.now.load();
        let own = log.filters.iter().find(|(name, _)| name == filter).map(|(_, level)| *level);
        for_filters(own.unwrap_or(log.level))
    }

    fn set(&self, log: Log) {
        // Fails when this is not the log that was started first.
        let _ = self.handle.reload(targets(&log));
        bound_libraries(&log);
        self.now.store(Arc::new(log));
    }
}

/// What a panic says goes to standard error at once: what was said before it has to be there first.
fn flush_before_panics(lines: Arc<Lines>) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |told| {
        lines.flush();
        usual(told);
    }));
}

fn replace<K: PartialEq>(levels: &mut Vec<(K, LogLevel)>, others: Vec<(K, LogLevel)>) {
    levels.retain(|(key, _)| others.iter().all(|(other, _)| other != key));
    levels.extend(others);
}

/// Who speaks at which level: we and the filters at that of the configuration. A library that speaks at `trace` would say
/// gigabytes while a guest is compiled, and Pingora writes a line for each failed request, which the access log has anyway.
fn targets(log: &Log) -> Targets {
    let module = |module| own(log, module).map(level);
    let ours = |name| module(name).unwrap_or(level(log.level));
    let filters = level(log.filters.iter().map(|(_, own)| *own).fold(log.level, Ord::min));
    let all = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target(FILTER, filters)
        .with_target(HOST, ours(LogModule::Host))
        .with_target("sluice_server", ours(LogModule::Server))
        .with_target("sluicegate", ours(LogModule::Server));
    let all = match module(LogModule::Pingora) {
        Some(level) => all.with_target("pingora", level),
        None => all.with_target("pingora_proxy", LevelFilter::OFF),
    };
    match module(LogModule::Wasmtime) {
        Some(level) => all.with_target("wasmtime", level).with_target("cranelift", level),
        None => all,
    }
}

/// Pingora and Wasmtime speak through another library, which would bring every line of theirs up to the filter above if we
/// speak at `trace`.
fn bound_libraries(log: &Log) {
    let theirs = [LogModule::Pingora, LogModule::Wasmtime].into_iter().filter_map(|module| own(log, module));
    log::set_max_level(match theirs.min().unwrap_or(LogLevel::Error) {
        LogLevel::Trace => log::LevelFilter::Trace,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Error => log::LevelFilter::Error,
    });
}

fn own(log: &Log, module: LogModule) -> Option<LogLevel> {
    log.modules.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

fn for_filters(level: LogLevel) -> sluice_host::LogLevel {
    match level {
        LogLevel::Trace => sluice_host::LogLevel::Trace,
        LogLevel::Debug => sluice_host::LogLevel::Debug,
        LogLevel::Info => sluice_host::LogLevel::Info,
        LogLevel::Warn => sluice_host::LogLevel::Warn,
        LogLevel::Error => sluice_host::LogLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_wish_lies_over_the_file_until_that_is_read_again() {
        let file = Log { filters: vec![("a".into(), LogLevel::Warn)], ..Log::default() };
        let logging = Logging::start(&file).expect("it starts");
        let wish = |level, filters: &[(&str, LogLevel)]| {
            let filters = filters.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
            logging.wish(Wish { level, filters, modules: Vec::new() });
            ["a", "b"].map(|filter| logging.of_filter(filter))
        };
        use sluice_host::LogLevel as Abi;
        assert_eq!(wish(None, &[]), [Abi::Warn, Abi::Info]);
        assert_eq!(wish(Some(LogLevel::Debug), &[]), [Abi::Warn, Abi::Debug]);
        assert_eq!(wish(None, &[("a", LogLevel::Trace)]), [Abi::Trace, Abi::Info], "one wish at a time");
        logging.load(&file, false);
        assert_eq!((logging.of_filter("a"), logging.changed.load(Relaxed)), (Abi::Trace, true));
        logging.load(&file, true);
        assert_eq!((logging.of_filter("a"), logging.changed.load(Relaxed)), (Abi::Warn, false));
        wish(Some(LogLevel::Trace), &[]);
        logging.load(&Log::default(), false);
        assert_eq!(logging.of_filter("a"), Abi::Info, "the file says something else");
    }

    #[test]
    fn what_was_said_before_a_panic_is_written_before_it_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let lines = Arc::new(Lines::start(LOG).expect("it starts"));
        lines.to(Target::open(Some(path.clone())).expect("a file"));
        let (tell, told) = std::sync::mpsc::channel();
        // In the place of the usual words, which go to standard error.
        panic::set_hook(Box::new(move |_| {
            let _ = tell.send(std::fs::read_to_string(&path).unwrap_or_default());
        }));
        flush_before_panics(lines.clone());
        lines.send("before\n".to_owned());
        let panicked = std::thread::spawn(|| panic!("on purpose")).join();
        let _ = panic::take_hook();
        assert!(panicked.is_err());
        assert_eq!(told.recv().expect("it was told"), "before\n");
    }

    #[test]
    fn parts_have_levels_of_their_own() {
        let mut log = Log { level: LogLevel::Debug, ..Log::default() };
        let says = |log: &Log, target, level| targets(log).would_enable(target, &level);
        assert!(says(&log, "sluice_server::reload", Level::DEBUG) && says(&log, HOST, Level::DEBUG));
        assert!(!says(&log, "pingora_core::server", Level::WARN) && !says(&log, "pingora_proxy", Level::ERROR));
        log.modules = vec![(LogModule::Server, LogLevel::Error), (LogModule::Pingora, LogLevel::Info)];
        log.filters = vec![("a".into(), LogLevel::Trace)];
        assert!(!says(&log, "sluice_server", Level::WARN) && says(&log, HOST, Level::DEBUG));
        assert!(says(&log, "pingora_proxy", Level::INFO) && !says(&log, "wasmtime", Level::WARN));
        assert!(says(&log, FILTER, Level::TRACE));
    }
}
