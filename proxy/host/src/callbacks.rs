//! The guest's exports: expands the one callback table. Found and checked once in the module, resolved in each guest when
//! it first needs them: a guest that serves one request needs few.

use sluice_engine::{Gate, Sandbox};
use wasmtime::{ExternType, FuncType, Module, ModuleExport, TypedFunc};

use crate::{
    LoadError,
    gate::{Entry, Through, Word, Words},
    state::State,
};

/// One callback of a guest.
pub(crate) struct Callback<P, R> {
    /// Where it is in the module; `None` when the module does not export it.
    export: Option<Found>,
    function: Option<TypedFunc<P, R>>,
}

/// An export of a module.
#[derive(Clone, Copy)]
struct Found {
    export: ModuleExport,
    /// Its number behind the module's gate.
    number: Option<u32>,
}

impl<P: Words, R: Word> Callback<P, R> {
    fn new(export: Option<Found>) -> Self {
        Self { export, function: None }
    }

    /// The way to the function in this guest, whose gate this is; `None` when it has none.
    #[inline]
    pub(crate) fn of<'a>(
        &'a mut self,
        guest: &mut Sandbox<State>,
        gate: Option<&'a Through>,
    ) -> Option<Entry<'a, P, R>> {
        if self.function.is_none()
            && let Some(found) = self.export
        {
            if let (Some(gate), Some(number)) = (gate, found.number) {
                return Some(Entry::Gate(gate, number));
            }
            self.resolve(guest);
        }
        self.function.as_ref().map(Entry::Direct)
    }

    #[cold]
    fn resolve(&mut self, guest: &mut Sandbox<State>) {
        // Its type was checked when the module was loaded.
        self.function = self.export.and_then(|found| guest.function(&found.export));
    }

    /// Whether the module has it.
    pub(crate) fn exists(&self) -> bool {
        self.export.is_some()
    }

    fn unresolved(&self) -> Self {
        Self::new(self.export)
    }
}

/// A callback that got a third parameter in 0.2.0; the export's own type says which one it is.
pub(crate) struct Grown {
    /// `(context, count)`: 0.1.0.
    pub(crate) two: Callback<(u32, u32), u32>,
    /// `(context, count, end_of_stream)`.
    pub(crate) three: Callback<(u32, u32, u32), u32>,
}

impl Grown {
    fn unresolved(&self) -> Self {
        Self { two: self.two.unresolved(), three: self.three.unresolved() }
    }
}

macro_rules! field {
    ([$($p:tt)*] none) => { Callback<($(field!(@u32 $p),)*), ()> };
    ([$a:ident $b:ident [$c:ident]] $r:ident) => { Grown };
    ([$($p:tt)*] $r:ident) => { Callback<($(field!(@u32 $p),)*), u32> };
    (@u32 $p:tt) => { u32 };
}

macro_rules! find {
    ([$a:ident $b:ident [$c:ident]] $r:ident $module:ident $gate:ident $name:ident) => {
        match find($module, $gate, stringify!($name), 2, 1) {
            Ok(Some(export)) => Grown { two: Callback::new(Some(export)), three: Callback::new(None) },
            _ => Grown { two: Callback::new(None), three: Callback::new(find($module, $gate, stringify!($name), 3, 1)?) },
        }
    };
    ([$($p:tt)*] none $module:ident $gate:ident $name:ident) => {
        Callback::new(find($module, $gate, stringify!($name), [$(stringify!($p)),*].len(), 0)?)
    };
    ([$($p:tt)*] $r:ident $module:ident $gate:ident $name:ident) => {
        Callback::new(find($module, $gate, stringify!($name), [$(stringify!($p)),*].len(), 1)?)
    };
}

macro_rules! declare {
    ($($group:ident: $name:ident($($param:tt),*) -> $result:ident;)*) => {
        /// Every callback of the table that the guest exports. Some are only checked for their type so far.
        #[allow(dead_code, reason = "trailers of requests cannot come yet; a wrong type is refused now")]
        pub(crate) struct Callbacks { $(pub(crate) $name: field!([$($param)*] $result),)* }

        impl Callbacks {
            /// Looks every callback up in a module, which may have a gate.
            ///
            /// # Errors
            /// [`LoadError::CallbackType`] for an export with another type.
            pub(crate) fn find(module: &Module, gate: Option<&Gate>) -> Result<Self, LoadError> {
                Ok(Self { $($name: find!([$($param)*] $result module gate $name),)* })
            }

            /// The headers callback of a request or of a response.
            pub(crate) fn headers(&mut self, of_request: bool) -> &mut Grown {
                if of_request { &mut self.proxy_on_request_headers } else { &mut self.proxy_on_response_headers }
            }

            /// The same for another guest of the module.
            pub(crate) fn unresolved(&self) -> Self {
                Self { $($name: self.$name.unresolved(),)* }
            }
        }
    };
}
sluice_abi::for_each_callback!(declare);

/// The export of this name, if there is one; `arity` and `results` count words.
fn find(
    module: &Module,
    gate: Option<&Gate>,
    name: &'static str,
    arity: usize,
    results: usize,
) -> Result<Option<Found>, LoadError> {
    let Some(ExternType::Func(ty)) = module.get_export(name) else { return Ok(None) };
    let words = ty.params().chain(ty.results()).all(|t| t.is_i32());
    if words && ty.params().len() == arity && ty.results().len() == results {
        let number = gate.and_then(|gate| gate.number(name));
        return Ok(module.get_export_index(name).map(|export| Found { export, number }));
    }
    Err(mistyped(name, &ty, arity))
}

fn mistyped(name: &'static str, ty: &FuncType, arity: usize) -> LoadError {
    let list = |types: Vec<String>| format!("({})", types.join(", "));
    let found = format!(
        "{} -> {}",
        list(ty.params().map(|t| t.to_string()).collect()),
        list(ty.results().map(|t| t.to_string()).collect())
    );
    LoadError::CallbackType { name, found, wanted: format!("({}) -> …", vec!["i32"; arity].join(", ")) }
}
