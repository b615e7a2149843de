//! How a callback is reached in a guest: by the function itself, or by its number through the one function that guests made
//! from snapshots have for all ([`sluice_engine::Gate`]).

use std::time::Duration;

use sluice_engine::{Crash, GATE_WORDS, Sandbox};
use wasmtime::{AsContextMut, TypedFunc, WasmParams, WasmResults};

use crate::state::State;

/// The function of a gate: a number, and words for the function that has it.
pub(crate) type Through = TypedFunc<(u32, u32, u32, u32, u32, u32), u32>;

/// Parameters that are words.
pub(crate) trait Words: WasmParams {
    /// These, and zeros behind them.
    fn words(self) -> [u32; GATE_WORDS];
}

macro_rules! words {
    ($($word:ident)* | $($zero:tt)*) => {
        impl Words for ($(words!(@u32 $word),)*) {
            #[inline]
            fn words(self) -> [u32; GATE_WORDS] {
                let ($($word,)*) = self;
                [$($word,)* $($zero),*]
            }
        }
    };
    (@u32 $word:ident) => { u32 };
}
words!(a | 0 0 0 0);
words!(a b | 0 0 0);
words!(a b c | 0 0);
words!(a b c d | 0);
words!(a b c d e |);

/// What a callback gives: a word, or nothing.
pub(crate) trait Word: WasmResults {
    fn of(word: u32) -> Self;
}

impl Word for u32 {
    fn of(word: u32) -> Self {
        word
    }
}

impl Word for () {
    fn of(_: u32) {}
}

/// One callback of one guest.
pub(crate) enum Entry<'a, P, R> {
    Direct(&'a TypedFunc<P, R>),
    Gate(&'a Through, u32),
}

impl<P: Words, R: Word> Entry<'_, P, R> {
    /// As [`Sandbox::call`].
    #[inline]
    pub(crate) fn call(self, guest: &mut Sandbox<State>, params: P, budget: Duration) -> Result<R, Box<Crash>> {
        match self {
            Self::Direct(function) => guest.call(function, params, budget),
            Self::Gate(gate, number) => through(guest, gate, number, params.words(), budget, false).map(R::of),
        }
    }

    /// As [`Sandbox::call_next`].
    #[inline]
    pub(crate) fn call_next(self, guest: &mut Sandbox<State>, params: P, budget: Duration) -> Result<R, Box<Crash>> {
        match self {
            Self::Direct(function) => guest.call_next(function, params, budget),
            Self::Gate(gate, number) => through(guest, gate, number, params.words(), budget, true).map(R::of),
        }
    }
}

// Not in the frames of the guests that requests share.
#[cold]
#[inline(never)]
fn through(
    guest: &mut Sandbox<State>,
    gate: &Through,
    number: u32,
    words: [u32; GATE_WORDS],
    budget: Duration,
    next: bool,
) -> Result<u32, Box<Crash>> {
    let [a, b, c, d, e] = words;
    let params = (number, a, b, c, d, e);
    if next { guest.call_next(gate, params, budget) } else { guest.call(gate, params, budget) }
}

/// The allocator of one guest.
pub(crate) enum Allocator {
    Direct(TypedFunc<u32, u32>),
    Gate(Through, u32),
}

impl Allocator {
    /// A pointer to so many bytes, 0 for none.
    ///
    /// # Errors
    /// The guest died.
    #[inline]
    pub(crate) fn call(&self, store: impl AsContextMut, size: u32) -> wasmtime::Result<u32> {
        match self {
            Self::Direct(function) => function.call(store, size),
            Self::Gate(gate, number) => gate.call(store, (*number, size, 0, 0, 0, 0)),
        }
    }
}
