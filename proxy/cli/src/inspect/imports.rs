//! What a module wants from the host: hostcalls by group, WASI, and what does not exist here.

use sluice_host::{Facts, Hostcall, Import, ImportKind};

use super::known;

/// The imports of a module, each once.
#[derive(Default)]
pub(crate) struct Imports {
    /// In the order of the hostcall table.
    pub(crate) hostcalls: Vec<Hostcall>,
    /// WASI preview 1: the module name asked for, and the function.
    pub(crate) wasi: Vec<(String, String)>,
    /// What the runtime of Emscripten asks for.
    pub(crate) emscripten: Vec<String>,
    /// What this host does not have.
    pub(crate) missing: Vec<Missing>,
}

/// One import that does not exist here.
#[derive(PartialEq)]
pub(crate) struct Missing {
    /// `module.name`.
    pub(crate) name: String,
    /// `(i32) -> (i32)`, or what else it is.
    pub(crate) kind: String,
}

impl Imports {
    pub(crate) fn of(facts: &Facts) -> Self {
        let mut all = Self::default();
        for import in &facts.imports {
            all.add(import);
        }
        all.hostcalls.sort_unstable();
        all
    }

    fn add(&mut self, import: &Import) {
        let kind = match &import.kind {
            ImportKind::Function(ty) => {
                if import.module == "env"
                    && let Some(hostcall) = Hostcall::from_name(&import.name)
                {
                    return once(&mut self.hostcalls, hostcall);
                }
                if import.module == "env" && known::EMSCRIPTEN.contains(&import.name.as_str()) {
                    return once(&mut self.emscripten, import.name.clone());
                }
                if known::is_wasi(&import.module, &import.name) {
                    return once(&mut self.wasi, (import.module.clone(), import.name.clone()));
                }
                ty.clone()
            }
            ImportKind::Other(kind) => (*kind).to_owned(),
        };
        once(&mut self.missing, Missing { name: format!("{}.{}", import.module, import.name), kind });
    }

    /// The hostcalls with the group and the capability that they share, in table order.
    pub(crate) fn groups(&self) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
        let mut groups: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for hostcall in &self.hostcalls {
            match groups.last_mut() {
                Some((group, _, names)) if *group == hostcall.group() => names.push(hostcall.name()),
                _ => groups.push((hostcall.group(), capability(*hostcall), vec![hostcall.name()])),
            }
        }
        groups
    }
}

/// What the configuration must grant before a hostcall works.
pub(crate) fn capability(hostcall: Hostcall) -> &'static str {
    if !hostcall.is_callout() { "default" } else { "capabilities.callouts" }
}

/// Linkers name an import twice when two types of it were declared.
fn once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(module: &str, name: &str) -> Import {
        Import { module: module.into(), name: name.into(), kind: ImportKind::Function("() -> (i32)".into()) }
    }

    #[test]
    fn each_import_finds_its_place_once() {
        let facts = Facts {
            imports: vec![
                import("env", "proxy_http_call"),
                import("env", "proxy_log"),
                import("env", "proxy_log"),
                import("env", "proxy_dispatch_http_call"),
                import("env", "pthread_equal"),
                import("wasi_unstable", "fd_write"),
                import("wasi_snapshot_preview1", "fd_write"),
                import("wasi_snapshot_preview1", "fork"),
                Import { module: "env".into(), name: "memory".into(), kind: ImportKind::Other("memory") },
            ],
            ..Facts::default()
        };
        let imports = Imports::of(&facts);
        assert_eq!(
            imports.groups(),
            [("log", "default", vec!["proxy_log"]), ("http_call", "capabilities.callouts", vec!["proxy_http_call"])]
        );
        assert_eq!(imports.wasi.len(), 2);
        assert_eq!(imports.emscripten, ["pthread_equal"]);
        let missing: Vec<&str> = imports.missing.iter().map(|missing| missing.name.as_str()).collect();
        assert_eq!(missing, ["env.proxy_dispatch_http_call", "wasi_snapshot_preview1.fork", "env.memory"]);
    }
}
