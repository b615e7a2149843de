//! Expands the one hostcall table into a Wasmtime linker: lift the arguments, call the body, lower the results.
//!
//! Read once, never edited: a new hostcall is a row in the table and a body in `hostcalls/`.

use sluice_abi::{BufferType, LogLevel, MapType, MetricType, Status, StreamType, hostcalls::Hostcall};
use wasmtime::{Caller, FuncType, Linker};

use crate::{
    hostcalls, memory,
    state::{Held, State},
    wasi,
};

/// What a lifted call may end in: a status for the guest, or its end.
type Outcome = Result<(), Result<Status, wasmtime::Error>>;

fn answer(outcome: Outcome) -> wasmtime::Result<u32> {
    match outcome {
        Ok(()) => Ok(Status::Ok.wire()),
        Err(Ok(status)) => Ok(status.wire()),
        Err(Err(trap)) => Err(trap),
    }
}

/// One row: each parameter and result adds its wasm parameters and its code, then `@emit` puts them together. The
/// identifiers in the first bracket come from one place, so that all steps mean the same ones.
macro_rules! define {
    // Parameters.
    (@in $k:tt [$($p:tt)*] [$($lift:tt)*] [$($arg:tt)*] ($a:ident: Bytes $(, $($rest:tt)*)?) $out:tt) => {
        define!(@bytes $k [$($p)*] [$($lift)*] [$($arg)*] $a bytes ($($($rest)*)?) $out)
    };
    (@in $k:tt [$($p:tt)*] [$($lift:tt)*] [$($arg:tt)*] ($a:ident: Pairs $(, $($rest:tt)*)?) $out:tt) => {
        define!(@bytes $k [$($p)*] [$($lift)*] [$($arg)*] $a pairs ($($($rest)*)?) $out)
    };
    (@bytes ($l:ident $n:ident $c:ident $m:ident $d:ident $s:ident) [$($p:tt)*] [$($lift:tt)*] [$($arg:tt)*] $a:ident $f:ident $rest:tt $out:tt) => {
        define!(@in ($l $n $c $m $d $s) [$($p)* pointer: u32, length: u32,]
            [$($lift)* let $a = memory::$f($d, pointer, length).map_err(Ok)?;] [$($arg)* $a,] $rest $out)
    };
    (@in $k:tt [$($p:tt)*] $lift:tt [$($arg:tt)*] ($a:ident: U32 $(, $($rest:tt)*)?) $out:tt) => {
        define!(@in $k [$($p)* $a: u32,] $lift [$($arg)* $a,] ($($($rest)*)?) $out)
    };
    (@in $k:tt [$($p:tt)*] $lift:tt [$($arg:tt)*] ($a:ident: I32 $(, $($rest:tt)*)?) $out:tt) => {
        define!(@in $k [$($p)* $a: i32,] $lift [$($arg)* $a,] ($($($rest)*)?) $out)
    };
    (@in $k:tt [$($p:tt)*] $lift:tt [$($arg:tt)*] ($a:ident: I64 $(, $($rest:tt)*)?) $out:tt) => {
        define!(@in $k [$($p)* $a: i64,] $lift [$($arg)* $a,] ($($($rest)*)?) $out)
    };
    (@in $k:tt [$($p:tt)*] [$($lift:tt)*] [$($arg:tt)*] ($a:ident: $enum:ident $(, $($rest:tt)*)?) $out:tt) => {
        define!(@in $k [$($p)* number: u32,]
            [$($lift)* let $a = $enum::from_wire(number).ok_or(Ok(Status::BadArgument))?;] [$($arg)* $a,] ($($($rest)*)?) $out)
    };
    // Results: where they go, a check that they can go there, and the code that puts them there.
    (@in $k:tt $p:tt $lift:tt $arg:tt () $out:tt) => { define!(@out $k $p $lift $arg [] [] [] $out) };
    (@out $k:tt [$($p:tt)*] $lift:tt $arg:tt [$($probe:tt)*] [$($lower:tt)*] [$($names:ident)*] ($r:ident: Word $(, $($rest:tt)*)?)) => {
        define!(@number $k [$($p)*] $lift $arg [$($probe)*] [$($lower)*] [$($names)*] $r 4 ($($($rest)*)?))
    };
    (@out $k:tt [$($p:tt)*] $lift:tt $arg:tt [$($probe:tt)*] [$($lower:tt)*] [$($names:ident)*] ($r:ident: Long $(, $($rest:tt)*)?)) => {
        define!(@number $k [$($p)*] $lift $arg [$($probe)*] [$($lower)*] [$($names)*] $r 8 ($($($rest)*)?))
    };
    (@number ($l:ident $n:ident $c:ident $m:ident $d:ident $s:ident) [$($p:tt)*] $lift:tt $arg:tt [$($probe:tt)*] [$($lower:tt)*] [$($names:ident)*] $r:ident $size:literal $rest:tt) => {
        define!(@out ($l $n $c $m $d $s) [$($p)* at: u32,] $lift $arg
            [$($probe)* memory::probe($d, at, $size).map_err(Ok)?;]
            [$($lower)* memory::write($m.data_mut(&mut *$c), at, &$r.to_le_bytes()).map_err(Ok)?;]
            [$($names)* $r] $rest)
    };
    (@out ($l:ident $n:ident $c:ident $m:ident $d:ident $s:ident) [$($p:tt)*] $lift:tt $arg:tt [$($probe:tt)*] [$($lower:tt)*] [$($names:ident)*] ($r:ident: Value $(, $($rest:tt)*)?)) => {
        define!(@out ($l $n $c $m $d $s) [$($p)* pointer_at: u32, length_at: u32,] $lift $arg
            [$($probe)* memory::probe($d, pointer_at, 4).map_err(Ok)?; memory::probe($d, length_at, 4).map_err(Ok)?;]
            [$($lower)* memory::give($c, $m, &$r, pointer_at, length_at)?;]
            [$($names)* $r] ($($($rest)*)?))
    };
    (@out ($l:ident $n:ident $c:ident $m:ident $d:ident $s:ident) [$($p:tt)*] $lift:tt $arg:tt [$($probe:tt)*] [$($lower:tt)*] [$($names:ident)*] ($r:ident: Maybe $(, $($rest:tt)*)?)) => {
        define!(@out ($l $n $c $m $d $s) [$($p)* pointer_at: u32, length_at: u32,] $lift $arg
            [$($probe)* let wanted = pointer_at != 0 && length_at != 0;
                if wanted { memory::probe($d, pointer_at, 4).map_err(Ok)?; memory::probe($d, length_at, 4).map_err(Ok)?; }]
            [$($lower)* if wanted { memory::give($c, $m, &$r, pointer_at, length_at)?; }]
            [$($names)* $r] ($($($rest)*)?))
    };
    (@out $k:tt $p:tt $lift:tt $arg:tt $probe:tt $lower:tt $names:tt ()) => {
        define!(@emit $k $p $lift $arg $probe $lower $names)
    };
    (@emit ($l:ident $n:ident $c:ident $m:ident $d:ident $s:ident) [$($p:tt)*] [$($lift:tt)*] [$($arg:tt)*] [$($probe:tt)*] [$($lower:tt)*] [$($r:ident)*]) => {
        $l.func_wrap("env", stringify!($n), |mut caller: Caller<'_, Held>, $($p)*| -> wasmtime::Result<u32> {
            #[allow(unused_mut, unused_variables, unused_parens, reason = "rows have none, one or more parameters and results")]
            let mut run = |$c: &mut Caller<'_, Held>| -> Outcome {
                hostcalls::allowed(&mut $c.data_mut().data, Hostcall::$n).map_err(Ok)?;
                let $m = memory::of($c).map_err(Ok)?;
                let ($d, inside) = $m.data_and_store_mut(&mut *$c);
                let $d: &[u8] = $d;
                let $s = &mut inside.data;
                $($probe)*
                $($lift)*
                let ($($r),*) = hostcalls::$n($s, $($arg)*).map_err(Ok)?;
                $($lower)*
                Ok(())
            };
            answer(run(&mut caller))
        })?;
    };
    // All rows.
    ($linker:ident; $($group:ident: $name:ident($($a:ident: $ak:ident),*) -> ($($r:ident: $rk:ident),*);)*) => {
        $(define!(@in ($linker $name guest view data state) [] [] [] ($($a: $ak),*) ($($r: $rk),*));)*
    };
}

/// A linker with every hostcall, WASI under both names, and what Emscripten's runtime asks for.
///
/// # Errors
/// Only when a row is defined twice, which the table's own test excludes.
pub(crate) fn build(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Held>> {
    let mut linker: Linker<Held> = Linker::new(engine);
    sluice_abi::for_each_hostcall!(define, linker;);
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_index: u32| {})?;
    linker.func_wrap("env", "pthread_equal", |a: u32, b: u32| -> u32 { u32::from(a == b) })?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

/// Defines one import in another shape than the common linker has it: rare functions of WASI, and the calls of 0.1.0
/// that some modules import without a result, as the specification once had them.
pub(crate) fn adapt(linker: &mut Linker<Held>, module: &str, name: &str, ty: &FuncType) -> wasmtime::Result<bool> {
    let (call, body): (Hostcall, fn(&mut State) -> Result<(), Status>) = match name {
        "proxy_continue_request" => (Hostcall::proxy_continue_request, hostcalls::proxy_continue_request),
        "proxy_continue_response" => (Hostcall::proxy_continue_response, hostcalls::proxy_continue_response),
        "proxy_clear_route_cache" => (Hostcall::proxy_clear_route_cache, hostcalls::proxy_clear_route_cache),
        _ => return wasi::stub_rest(linker, module, name, ty),
    };
    if module != "env" || ty.params().len() + ty.results().len() != 0 {
        return Ok(false);
    }
    linker.allow_shadowing(true);
    linker.func_wrap(module, name, move |mut caller: Caller<'_, Held>| {
        // There is no result to tell a status by; these three have none worth telling.
        let state = &mut caller.data_mut().data;
        let _ = hostcalls::allowed(state, call).and_then(|()| body(state));
    })?;
    Ok(true)
}
