//! How a guest died. Every Wasmtime error is classified here and nowhere else.

use std::{fmt, time::Duration};

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

/// The kind of a crash; the first five letters of trouble that operators meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashKind {
    /// The guest executed something it must not: unreachable code, a wild load, a stack overflow, a host refusal.
    Trap,
    /// The CPU budget of the call was used up.
    CpuExceeded,
    /// A memory growth was refused by the ceiling and the guest died of it.
    MemoryExceeded,
    /// The guest asked to end its process with this code.
    Exit(i32),
    /// The host's own code panicked under the call; the guest's state can no longer be trusted.
    HostPanic,
}

/// One crash, with what a person needs to find its cause.
#[derive(Debug, Clone)]
pub struct Crash {
    /// What kind it was.
    pub kind: CrashKind,
    /// One sentence.
    pub message: String,
    /// Guest frames, innermost first, as `module!function` where names are known; at most 32.
    pub frames: Vec<String>,
    /// CPU time that the call was granted.
    pub budget: Duration,
    /// CPU time that it used.
    pub used: Duration,
    /// Bytes of the guest's linear memory.
    pub memory: usize,
}

/// The error by which a host function ends a guest that asked to exit.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("guest called exit({0})")]
pub struct GuestExit(pub i32);

impl Crash {
    /// Classifies an error of a guest call.
    pub(crate) fn from_error(
        error: &wasmtime::Error,
        cpu_exceeded: bool,
        growth_refused: bool,
        hidden: Option<u32>,
    ) -> Self {
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames).unwrap_or_default();
        let frames = frames.iter().filter(|frame| Some(frame.func_index()) != hidden).map(frame_name).collect();
        let trap = error.downcast_ref::<Trap>();
        let kind = if let Some(exit) = error.downcast_ref::<GuestExit>() {
            CrashKind::Exit(exit.0)
        } else if cpu_exceeded && trap == Some(&Trap::Interrupt) {
            CrashKind::CpuExceeded
        } else if growth_refused {
            CrashKind::MemoryExceeded
        } else {
            CrashKind::Trap
        };
        let message = match kind {
            CrashKind::CpuExceeded => "the CPU budget of the call is used up".to_owned(),
            CrashKind::MemoryExceeded => format!("the memory ceiling was reached, then: {}", root_text(error, trap)),
            _ => root_text(error, trap),
        };
        Self { kind, message, frames, ..Self::unmeasured(kind) }
    }

    fn unmeasured(kind: CrashKind) -> Self {
        let (message, frames) = (String::new(), Vec::new());
        Self { kind, message, frames, budget: Duration::ZERO, used: Duration::ZERO, memory: 0 }
    }

    /// A panic of the host's own code below a guest call.
    pub(crate) fn host_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Self { message: format!("a hostcall panicked: {text}"), ..Self::unmeasured(CrashKind::HostPanic) }
    }
}

fn root_text(error: &wasmtime::Error, trap: Option<&Trap>) -> String {
    if error.is::<PoolConcurrencyLimitError>() {
        return format!("as many guests are alive as may be at one time (guests.max): {}", error.root_cause());
    }
    let text = trap.map_or_else(|| error.root_cause().to_string(), ToString::to_string);
    text.trim_start_matches("wasm trap: ").to_owned()
}

fn frame_name(frame: &wasmtime::FrameInfo) -> String {
    let module = frame.module().name().unwrap_or("module");
    match frame.func_name() {
        // The alternate form leaves the hash away; a name that is not Rust's stays as it is.
        Some(name) => format!("{module}!{:#}", rustc_demangle::demangle(name)),
        None => format!("{module}!function {}", frame.func_index()),
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for frame in &self.frames {
            write!(f, "\n    at {frame}")?;
        }
        Ok(())
    }
}
