//! One exported function through which many others are called by number: a fresh guest that is entered through it has one
//! function looked up and made ready, not one for each that it is called by.

use wasm_encoder::{
    BlockType, CodeSection, CustomSection, ExportKind, ExportSection, Function, FunctionSection, InstructionSink,
    Module, TypeSection, ValType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{CompositeInnerType, ExternalKind, Parser, Payload, TypeRef};

use crate::NoSnapshot;

/// Words that a function behind a gate may take.
pub const GATE_WORDS: usize = 5;

/// A function that was added to a module, and what is called through it. Its parameters are the number of a function and
/// [`GATE_WORDS`] words for it, of which it takes as many as it has parameters; its result is that of the function, or 0.
#[derive(Debug, Clone)]
pub struct Gate {
    index: u32,
    names: Vec<String>,
}

impl Gate {
    /// The name that the module exports it by.
    pub const EXPORT: &'static str = "sluice gate";

    /// The number of the export of this name; `None` when it is none of a function, or takes or gives what is no word.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|known| known == name).and_then(|at| u32::try_from(at).ok())
    }

    /// The function itself, among those of the module.
    pub fn index(&self) -> u32 {
        self.index
    }
}

/// What can be called through a gate.
struct Behind {
    name: String,
    function: u32,
    takes: u32,
    gives: bool,
}

/// Adds a gate for all exported functions that take and give nothing but words; `None` where there are none.
///
/// # Errors
/// [`NoSnapshot`] for a module that cannot be read.
pub(crate) fn with_gate(bytes: &[u8]) -> Result<Option<(Vec<u8>, Gate)>, NoSnapshot> {
    let mut adding = Adding::read(bytes).map_err(|e| NoSnapshot::new(&e))?;
    if adding.behind.is_empty() {
        return Ok(None);
    }
    let mut module = Module::new();
    adding.parse_core_module(&mut module, Parser::new(0), bytes).map_err(|e| NoSnapshot::new(&e))?;
    let names = adding.behind.into_iter().map(|behind| behind.name).collect();
    Ok(Some((module.finish(), Gate { index: adding.functions, names })))
}

/// What has to be known of a module to add to it.
#[derive(Default)]
struct Adding {
    /// How many types it has; the gate's is the next one.
    types: u32,
    /// How many functions; the gate is the next one.
    functions: u32,
    behind: Vec<Behind>,
}

impl Adding {
    fn read(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        // Of each type, how many words a function takes and gives; of each function, its type.
        let (mut types, mut functions, mut imported, mut behind) = (Vec::new(), Vec::new(), 0, Vec::new());
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group?.types().map(|ty| words(&ty.composite_type.inner)));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                            functions.push(ty);
                        }
                    }
                    imported = functions.len();
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(ty?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let at = export.index as usize;
                        let ty = functions.get(at).and_then(|ty| types.get(*ty as usize)).filter(|_| at >= imported);
                        if let (ExternalKind::Func, Some(Some((takes, gives)))) = (export.kind, ty) {
                            let (name, function) = (export.name.to_owned(), export.index);
                            behind.push(Behind { name, function, takes: *takes, gives: *gives });
                        }
                    }
                }
                _ => {}
            }
        }
        let count = |list: usize| u32::try_from(list).unwrap_or(u32::MAX);
        Ok(Self { types: count(types.len()), functions: count(functions.len()), behind })
    }

    fn body(&self) -> Function {
        let (mut body, cases) = (Function::new([]), u32::try_from(self.behind.len()).unwrap_or(u32::MAX));
        let mut code = body.instructions();
        for _ in 0..=cases {
            code.block(BlockType::Empty);
        }
        code.local_get(0).br_table(0..cases, cases).end();
        self.behind.iter().for_each(|behind| case(&mut code, behind));
        code.unreachable().end();
        body
    }
}

/// One case of the table, and the end of the block that the next one stands behind.
fn case(code: &mut InstructionSink<'_>, behind: &Behind) {
    for word in 1..=behind.takes {
        code.local_get(word);
    }
    code.call(behind.function);
    if !behind.gives {
        code.i32_const(0);
    }
    code.return_().end();
}

/// How many words a function of this type takes, and whether it gives one; `None` where there is anything else.
fn words(ty: &CompositeInnerType) -> Option<(u32, bool)> {
    let CompositeInnerType::Func(ty) = ty else { return None };
    let only_words = ty.params().iter().chain(ty.results()).all(|ty| *ty == wasmparser::ValType::I32);
    let few = ty.params().len() <= GATE_WORDS && ty.results().len() <= 1;
    (only_words && few).then(|| (u32::try_from(ty.params().len()).unwrap_or_default(), !ty.results().is_empty()))
}

impl Reencode for Adding {
    type Error = std::convert::Infallible;

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32; 1 + GATE_WORDS], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.types);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(Gate::EXPORT, ExportKind::Func, self.functions);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.body());
        Ok(())
    }

    /// As they are: nothing in them changes, and what is in them may be wrong.
    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        module.section(&CustomSection { name: section.name().into(), data: section.data().into() });
        Ok(())
    }

    /// As it is.
    fn parse_function_body(&mut self, code: &mut CodeSection, body: wasmparser::FunctionBody<'_>) -> Result<(), Error> {
        code.raw(body.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    const MODULE: &str = r#"(module
        (import "env" "host" (func $host (param i32)))
        (func $none (export "none"))
        (func (export "five") (param i32 i32 i32 i32 i32) (result i32)
            (i32.add (local.get 0) (i32.mul (local.get 4) (i32.const 10))))
        (func (export "six") (param i32 i32 i32 i32 i32 i32))
        (func (export "long") (param i64) (result i32) (i32.const 1))
        (export "host" (func $host))
        (func (export "last") (param i32) (result i32) (call $none) (local.get 0)))"#;

    #[test]
    fn what_takes_and_gives_words_is_called_by_its_number() {
        let bytes = wat::parse_str(MODULE).expect("valid text");
        let (gated, gate) = with_gate(&bytes).expect("a module").expect("functions");
        assert_eq!(gate.names, ["none", "five", "last"]);
        assert_eq!((gate.number("six"), gate.number("last"), gate.index()), (None, Some(2), 6));

        let engine = Engine::default();
        let module = Module::new(&engine, &gated).expect("valid");
        let mut store = Store::new(&engine, ());
        let host = wasmtime::Func::wrap(&mut store, |_: u32| {});
        let guest = Instance::new(&mut store, &module, &[host.into()]).expect("an instance");
        let function =
            guest.get_typed_func::<(u32, u32, u32, u32, u32, u32), u32>(&mut store, Gate::EXPORT).expect("it");
        let mut call = |name, words: [u32; GATE_WORDS]| {
            let [a, b, c, d, e] = words;
            function.call(&mut store, (gate.number(name).unwrap_or(99), a, b, c, d, e)).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(call("five", [1, 0, 0, 0, 7]), Ok(71));
        assert_eq!(call("none", [1; 5]), Ok(0));
        assert_eq!(call("last", [4, 5, 6, 7, 8]), Ok(4));
        assert!(call("six", [1; 5]).is_err_and(|text| text.contains("unreachable")));
    }

    #[test]
    fn a_module_without_such_functions_has_no_gate() {
        for text in [
            "(module)",
            r#"(module (memory (export "memory") 1))"#,
            r#"(module (import "env" "host" (func $host)) (export "host" (func $host)))"#,
            "(module (func) (func $f (call 0)) (start $f))",
        ] {
            let bytes = wat::parse_str(text).expect("valid text");
            assert!(with_gate(&bytes).expect("a module").is_none(), "{text}");
        }
    }
}
