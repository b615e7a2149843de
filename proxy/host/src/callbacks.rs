//! The guest's exports, resolved once: expands the one callback table.

use wasmtime::{AsContextMut, Instance, TypedFunc};

use crate::LoadError;

/// A callback that got a third parameter in 0.2.0; the export's own type says which one it is.
pub(crate) enum Grown {
    /// `(context, count)`: 0.1.0.
    Two(TypedFunc<(u32, u32), u32>),
    /// `(context, count, end_of_stream)`.
    Three(TypedFunc<(u32, u32, u32), u32>),
}

macro_rules! field {
    ([$($p:tt)*] none) => { Option<TypedFunc<($(field!(@u32 $p),)*), ()>> };
    ([$a:ident $b:ident [$c:ident]] $r:ident) => { Option<Grown> };
    ([$($p:tt)*] $r:ident) => { Option<TypedFunc<($(field!(@u32 $p),)*), u32>> };
    (@u32 $p:tt) => { u32 };
}

macro_rules! resolve {
    ([$a:ident $b:ident [$c:ident]] $instance:ident $store:ident $name:ident) => {
        match $instance.get_func($store.as_context_mut(), stringify!($name)) {
            None => None,
            Some(f) => match f.typed::<(u32, u32, u32), u32>($store.as_context_mut()) {
                Ok(f) => Some(Grown::Three(f)),
                Err(_) => match f.typed::<(u32, u32), u32>($store.as_context_mut()) {
                    Ok(f) => Some(Grown::Two(f)),
                    Err(_) => return Err(mistyped(stringify!($name), f.ty($store.as_context_mut()), 3)),
                },
            },
        }
    };
    ([$($p:tt)*] $instance:ident $store:ident $name:ident) => {
        match $instance.get_func($store.as_context_mut(), stringify!($name)) {
            None => None,
            Some(f) => match f.typed($store.as_context_mut()) {
                Ok(f) => Some(f),
                Err(_) => return Err(mistyped(stringify!($name), f.ty($store.as_context_mut()), [$(stringify!($p)),*].len())),
            },
        }
    };
}

macro_rules! declare {
    ($($group:ident: $name:ident($($param:tt),*) -> $result:ident;)*) => {
        /// Every callback of the table that the guest exports. Some are only checked for their type so far.
        #[allow(dead_code, reason = "callouts, ticks, queues and TCP are entered by later work; a wrong type is refused now")]
        pub(crate) struct Callbacks { $(pub(crate) $name: field!([$($param)*] $result),)* }

        impl Callbacks {
            /// Looks every callback up.
            ///
            /// # Errors
            /// [`LoadError::CallbackType`] for an export with another type.
            pub(crate) fn resolve(instance: &Instance, store: &mut impl AsContextMut) -> Result<Self, LoadError> {
                Ok(Self { $($name: resolve!([$($param)*] instance store $name),)* })
            }
        }
    };
}
sluice_abi::for_each_callback!(declare);

fn mistyped(name: &'static str, ty: wasmtime::FuncType, arity: usize) -> LoadError {
    let list = |types: Vec<String>| format!("({})", types.join(", "));
    let found = format!(
        "{} -> {}",
        list(ty.params().map(|t| t.to_string()).collect()),
        list(ty.results().map(|t| t.to_string()).collect())
    );
    LoadError::CallbackType { name, found, wanted: format!("({}) -> …", vec!["i32"; arity].join(", ")) }
}
