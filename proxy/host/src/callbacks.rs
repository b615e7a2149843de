//! The guest's exports: expands the one callback table. Found and checked once in the module, resolved in each guest when
//! it first needs them: a guest that serves one request needs few.

use sluice_engine::Sandbox;
use wasmtime::{ExternType, FuncType, Module, ModuleExport, TypedFunc, WasmParams, WasmResults};

use crate::{LoadError, state::State};

/// One callback of a guest.
pub(crate) struct Callback<P, R> {
    /// Where it is in the module; `None` when the module does not export it.
    export: Option<ModuleExport>,
    function: Option<TypedFunc<P, R>>,
}

impl<P: WasmParams, R: WasmResults> Callback<P, R> {
    fn new(export: Option<ModuleExport>) -> Self {
        Self { export, function: None }
    }

    /// The function in this guest; `None` when it has none.
    #[inline]
    pub(crate) fn of(&mut self, guest: &mut Sandbox<State>) -> Option<&TypedFunc<P, R>> {
        if self.function.is_none() && self.export.is_some() {
            self.resolve(guest);
        }
        self.function.as_ref()
    }

    #[cold]
    fn resolve(&mut self, guest: &mut Sandbox<State>) {
        // Its type was checked when the module was loaded.
        self.function = self.export.and_then(|export| guest.function(&export));
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
    ([$a:ident $b:ident [$c:ident]] $r:ident $module:ident $name:ident) => {
        match find($module, stringify!($name), 2, 1) {
            Ok(Some(export)) => Grown { two: Callback::new(Some(export)), three: Callback::new(None) },
            _ => Grown { two: Callback::new(None), three: Callback::new(find($module, stringify!($name), 3, 1)?) },
        }
    };
    ([$($p:tt)*] none $module:ident $name:ident) => {
        Callback::new(find($module, stringify!($name), [$(stringify!($p)),*].len(), 0)?)
    };
    ([$($p:tt)*] $r:ident $module:ident $name:ident) => {
        Callback::new(find($module, stringify!($name), [$(stringify!($p)),*].len(), 1)?)
    };
}

macro_rules! declare {
    ($($group:ident: $name:ident($($param:tt),*) -> $result:ident;)*) => {
        /// Every callback of the table that the guest exports. Some are only checked for their type so far.
        #[allow(dead_code, reason = "trailers of requests cannot come yet; a wrong type is refused now")]
        pub(crate) struct Callbacks { $(pub(crate) $name: field!([$($param)*] $result),)* }

        impl Callbacks {
            /// Looks every callback up.
            ///
            /// # Errors
            /// [`LoadError::CallbackType`] for an export with another type.
            pub(crate) fn find(module: &Module) -> Result<Self, LoadError> {
                Ok(Self { $($name: find!([$($param)*] $result module $name),)* })
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
fn find(module: &Module, name: &'static str, arity: usize, results: usize) -> Result<Option<ModuleExport>, LoadError> {
    let Some(ExternType::Func(ty)) = module.get_export(name) else { return Ok(None) };
    let words = ty.params().chain(ty.results()).all(|t| t.is_i32());
    if words && ty.params().len() == arity && ty.results().len() == results {
        return Ok(module.get_export_index(name));
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
