//! Compiled code as bytes: sealed by a key, and trusted only with an unbroken seal.
//!
//! The only file with `unsafe` in it. What Wasmtime loads as compiled code runs as it is, so nothing reaches it that was
//! not written by this program with the same key.

use std::fmt;

use ring::hmac;
use wasmtime::{Engine, Module};

/// What a file with compiled code begins with; the last byte is the version of the format.
const MAGIC: &[u8; 8] = b"sluice\0\x01";
/// Bytes of the seal.
const SEAL: usize = 32;
/// Bytes of a key.
pub(crate) const KEY: usize = 32;

/// The key that code is sealed with: whoever has it can have this host run any machine code.
#[derive(Clone)]
pub(crate) struct Key(hmac::Key);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
}

impl Key {
    pub(crate) fn new(bytes: &[u8; KEY]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The code of a module as bytes that only hold under this name.
    #[cfg(feature = "compiler")]
    pub(crate) fn seal(&self, name: &str, module: &Module) -> wasmtime::Result<Vec<u8>> {
        let code = module.serialize()?;
        let mut mac = hmac::Context::with_key(&self.0);
        parts(name, &code).iter().for_each(|part| mac.update(part));
        Ok([MAGIC, mac.sign().as_ref(), &code].concat())
    }

    /// The module in bytes that were sealed under this name with this key, for an engine of the same configuration.
    /// Completes "the file …" when it is none.
    #[allow(unsafe_code, reason = "loading compiled code is trusting it: the seal is checked right before")]
    pub(crate) fn open(&self, engine: &Engine, name: &str, bytes: &[u8]) -> Result<Module, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("is no compiled code of this version")?;
        let (seal, code) = rest.split_at_checked(SEAL).ok_or("is cut off")?;
        let whole = parts(name, code).concat();
        hmac::verify(&self.0, &whole, seal)
            .map_err(|_| "was changed, or sealed with another key or for another module")?;
        // SAFETY: `deserialize` wants bytes that `Module::serialize` made. The seal holds over all of them, so a program
        // that has the key wrote them, and only `seal` above writes with it. Code of another version of Wasmtime, for
        // another CPU or another configuration is refused by `deserialize` itself. The bytes are in our memory and are
        // copied from there, so nobody can change them after they were checked.
        unsafe { Module::deserialize(engine, code) }.map_err(|e| format!("does not fit: {e:#}"))
    }
}

/// What the seal is over. No name has a zero byte, so none runs into the code.
fn parts<'a>(name: &'a str, code: &'a [u8]) -> [&'a [u8]; 3] {
    [name.as_bytes(), b"\0", code]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(engine: &Engine, text: &str) -> Module {
        Module::new(engine, wat::parse_str(text).expect("it is right")).expect("it compiles")
    }

    #[test]
    fn only_an_unbroken_seal_under_the_same_name_and_key_is_trusted() {
        let engine = Engine::default();
        let module = module(&engine, "(module (func (export \"f\")))");
        let key = Key::new(&[7; KEY]);
        let sealed = key.seal("a", &module).expect("it can be written");
        assert!(key.open(&engine, "a", &sealed).is_ok());
        assert!(key.open(&engine, "b", &sealed).is_err_and(|e| e.contains("another module")));
        assert!(Key::new(&[8; KEY]).open(&engine, "a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&engine, "a", &changed).is_err(), "byte {at}");
        }
        for length in [0, 1, MAGIC.len(), MAGIC.len() + SEAL - 1, MAGIC.len() + SEAL, sealed.len() - 1] {
            assert!(key.open(&engine, "a", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn code_for_another_configuration_is_refused() {
        let other = Engine::new(wasmtime::Config::new().epoch_interruption(true)).expect("an engine");
        let module = module(&Engine::default(), "(module)");
        let key = Key::new(&[7; KEY]);
        let sealed = key.seal("a", &module).expect("it can be written");
        assert!(key.open(&other, "a", &sealed).is_err_and(|e| e.starts_with("does not fit")));
    }
}
