//! What a module says about itself, read without compiling it.

use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

use crate::code::{CodeError, MAX_MODULE_BYTES};

/// What kind of thing is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportKind {
    /// A function, with its type as text, such as `(i32, i32) -> i32`.
    Function(String),
    /// A memory, table, global or tag.
    Other(&'static str),
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Module name.
    pub module: String,
    /// Item name.
    pub name: String,
    /// What it is.
    pub kind: ImportKind,
}

/// What a module says about itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Imports in order; some linkers name one twice.
    pub imports: Vec<Import>,
    /// Names of exported functions, in order.
    pub functions: Vec<String>,
    /// Names of other exports.
    pub other_exports: Vec<String>,
    /// Pages of 64 KiB that the module starts with.
    pub memory_pages: Option<u64>,
    /// Pages that the module itself allows.
    pub memory_max_pages: Option<u64>,
    /// Bytes of the code section.
    pub code_bytes: usize,
    /// What built it: `language Rust`, `processed-by rustc 1.95.0`, ….
    pub producers: Vec<String>,
    /// Whether function names are kept, so that backtraces can be read.
    pub has_names: bool,
    /// Bytes of the whole module.
    pub size: usize,
}

impl Facts {
    /// Reads and validates a module.
    ///
    /// # Errors
    /// [`CodeError`] with a sentence that says what the bytes are instead.
    pub fn read(bytes: &[u8]) -> Result<Self, CodeError> {
        magic(bytes)?;
        let features = WasmFeatures::default();
        Validator::new_with_features(features).validate_all(bytes).map_err(|e| refused(&e, bytes.len()))?;
        let mut facts = Self { size: bytes.len(), ..Self::default() };
        let mut types = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            facts
                .payload(payload.map_err(|e| refused(&e, bytes.len()))?, &mut types)
                .map_err(|e| refused(&e, bytes.len()))?;
        }
        Ok(facts)
    }

    fn payload(&mut self, payload: Payload<'_>, types: &mut Vec<String>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    let ty = ty?;
                    types.push(format!("{} -> {}", list(ty.params()), list(ty.results())));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let kind = match import.ty {
                        TypeRef::Func(i) | TypeRef::FuncExact(i) => {
                            ImportKind::Function(types.get(i as usize).cloned().unwrap_or_default())
                        }
                        TypeRef::Memory(_) => ImportKind::Other("memory"),
                        TypeRef::Table(_) => ImportKind::Other("table"),
                        TypeRef::Global(_) => ImportKind::Other("global"),
                        TypeRef::Tag(_) => ImportKind::Other("tag"),
                    };
                    self.imports.push(Import { module: import.module.into(), name: import.name.into(), kind });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    self.memory_pages = Some(memory.initial);
                    self.memory_max_pages = memory.maximum;
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => self.functions.push(export.name.into()),
                        _ => self.other_exports.push(export.name.into()),
                    }
                }
            }
            Payload::CodeSectionStart { size, .. } => self.code_bytes = size as usize,
            Payload::CustomSection(section) if section.name() == "name" => self.has_names = true,
            Payload::CustomSection(section) if section.name() == "producers" => self.producers(section.data()),
            _ => {}
        }
        Ok(())
    }

    /// A damaged producers section is the module author's own affair: it only informs.
    fn producers(&mut self, data: &[u8]) {
        let Ok(section) = wasmparser::ProducersSectionReader::new(wasmparser::BinaryReader::new(data, 0)) else {
            return;
        };
        for field in section.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                self.producers.push(format!("{} {} {}", field.name, value.name, value.version).trim_end().to_owned());
            }
        }
    }
}

fn list(types: &[wasmparser::ValType]) -> String {
    let names: Vec<String> = types.iter().map(ToString::to_string).collect();
    format!("({})", names.join(", "))
}

fn refused(error: &BinaryReaderError, size: usize) -> CodeError {
    let text = format!("{} at byte {:#x}", error.message(), error.offset());
    if error.message().contains("unexpected end") || error.offset() >= size {
        CodeError::Truncated(text)
    } else {
        CodeError::Compile(text)
    }
}

/// Says what a file is when it does not begin as a core module does.
fn magic(bytes: &[u8]) -> Result<(), CodeError> {
    if bytes.len() > MAX_MODULE_BYTES {
        return Err(CodeError::TooLarge(bytes.len()));
    }
    let guess = |text: &str| Err(CodeError::NotWasm(text.to_owned()));
    match bytes {
        [] => Err(CodeError::Empty),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Err(CodeError::Component),
        [0, b'a', b's', b'm', v @ ..] if v.len() < 4 => Err(CodeError::Truncated("the header is not complete".into())),
        [0, b'a', b's', b'm', v, ..] => Err(CodeError::NotWasm(format!("it says version {v}, known is 1"))),
        [0x7f, b'E', b'L', b'F', ..] => guess("it is a native program or library (ELF)"),
        [0x1f, 0x8b, ..] => guess("it is gzip data; unpack it first"),
        [b'P', b'K', 3, 4, ..] => guess("it is a zip archive"),
        [b'(', ..] => guess("it looks like the text format; build it with `wat2wasm`"),
        [b'{' | b'<', ..] => guess("it is text (JSON or HTML), perhaps an error page saved by a download"),
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => guess("it is a Git LFS pointer; run `git lfs pull`"),
        _ => Err(CodeError::NotWasm(format!(
            "it begins with {:02x?}, not with 00 61 73 6d",
            &bytes[..bytes.len().min(4)]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        Facts::read(bytes).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_no_module_is_called_by_its_name() {
        assert_eq!(error(b""), "is empty");
        assert!(error(b"\x7fELF\x02").contains("native program"));
        assert!(error(b"\x1f\x8b\x08").contains("gzip"));
        assert!(error(b"<html>").contains("HTML"));
        assert!(error(b"(module)").contains("text format"));
        assert!(error(b"\0asm\x0d\0\x01\0").contains("component"));
        assert!(error(b"\0asm").contains("cut off"));
        assert!(error(b"hello").contains("begins with"));
    }

    #[test]
    fn every_truncation_is_refused() {
        let module = wat::parse_str(
            r#"(module (import "env" "f" (func (param i32) (result i32))) (memory 2 3) (func (export "g")))"#,
        )
        .expect("valid text");
        let facts = Facts::read(&module).expect("valid");
        assert_eq!(facts.memory_pages, Some(2));
        assert_eq!(facts.functions, ["g"]);
        assert_eq!(facts.imports[0].kind, ImportKind::Function("(i32) -> (i32)".into()));
        for cut in 0..8 {
            assert!(Facts::read(&module[..cut]).is_err(), "cut at {cut}");
        }
    }
}
