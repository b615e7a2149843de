//! From the capabilities of a plan to the grants of the host.

use sluice_config::plan::{self, Grant};
use sluice_host::{Grants, Hostcall};

pub(crate) fn grants(capabilities: &plan::Capabilities) -> Grants {
    let list = |grant: &Grant| match grant {
        Grant::Default | Grant::All => None,
        Grant::Only(names) => Some(names.clone()),
    };
    let hostcalls = match &capabilities.hostcalls {
        Grant::Default => Grants::default().hostcalls,
        Grant::All => Grants::all().hostcalls,
        // The reader of the configuration let through only names that this host knows.
        Grant::Only(names) => {
            names.iter().filter_map(|name| Hostcall::from_name(name)).fold(0, |set, call| set | call.bit())
        }
    };
    Grants {
        hostcalls,
        wasi: list(&capabilities.wasi),
        properties: list(&capabilities.properties),
        foreign: list(&capabilities.foreign),
        // Nothing beyond the proxy is reached that was not named.
        callouts: match &capabilities.callouts {
            Grant::Default => Some(Vec::new()),
            Grant::All => None,
            Grant::Only(names) => Some(names.clone()),
        },
        shared_data: list(&capabilities.shared_data),
        loads_ungranted: capabilities.ungranted == plan::Ungranted::RefuseCall,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sluice_config::{Source, parse, schema};

    use super::*;
    use crate::reload::Files;

    /// The grants of a filter whose capabilities are this.
    fn granted(capabilities: &str) -> Grants {
        let text = format!(
            "listeners: [{{ address: :1 }}]\nupstreams: {{ e: {{ builtin: echo }} }}\nroutes: [{{ upstream: e }}]\n\
             filters: {{ f: {{ source: {{ path: f }}, capabilities: {{ {capabilities} }} }} }}\n"
        );
        let plan = parse(Source { text: &text, name: "f", dir: Path::new("/") }, &Files::default());
        grants(&plan.unwrap_or_else(|errors| panic!("{errors}")).filters[0].capabilities)
    }

    const KEYS: [&str; 6] = ["hostcalls", "wasi", "callouts", "properties", "foreign", "shared_data"];

    /// One list of the grants, hostcalls by name; none when all is granted.
    fn list(grants: &Grants, key: &str) -> Option<Vec<String>> {
        match key {
            "hostcalls" => (grants.hostcalls != Grants::all().hostcalls).then(|| {
                let granted = Hostcall::ALL.iter().filter(|call| grants.hostcalls & call.bit() != 0);
                granted.map(|call| call.name().to_owned()).collect()
            }),
            "wasi" => grants.wasi.clone(),
            "callouts" => grants.callouts.clone(),
            "properties" => grants.properties.clone(),
            "foreign" => grants.foreign.clone(),
            _ => grants.shared_data.clone(),
        }
    }

    #[test]
    fn each_list_grants_what_it_says_and_no_other() {
        let names = ["proxy_log", "fd_write", "e", "request.path", "sign", "mine"];
        assert_eq!(granted(""), Grants::default());
        for (key, name) in KEYS.into_iter().zip(names) {
            let default = if key == "callouts" { Some(Vec::new()) } else { None };
            assert_eq!(list(&granted(&format!("{key}: default")), key), default, "{key}");
            assert_eq!(list(&granted(&format!("{key}: all")), key), None, "{key}");
            assert_eq!(list(&granted(&format!("{key}: []")), key), Some(Vec::new()), "{key}");
            let named = granted(&format!("{key}: [{name}]"));
            assert_eq!(list(&named, key), Some(vec![name.to_owned()]), "{key}");
            for other in KEYS.into_iter().filter(|other| *other != key) {
                assert_eq!(list(&named, other), list(&Grants::default(), other), "{key} says nothing of {other}");
            }
        }
        assert!(!granted("").loads_ungranted);
        assert!(granted("ungranted: refuse_call").loads_ungranted);
    }

    #[test]
    fn the_page_of_capabilities_has_every_key_with_its_default() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/capabilities.md");
        let page = std::fs::read_to_string(path).expect("docs/capabilities.md is there");
        let schema = schema();
        let place = "/properties/filters/additionalProperties/properties/capabilities/properties";
        let keys = schema.pointer(place).and_then(|keys| keys.as_object()).expect("a section");
        assert!(KEYS.iter().all(|key| keys.contains_key(*key)));
        for (key, setting) in keys {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap_or_default();
            let default = setting["default"].as_str().expect("a default");
            assert!(row.contains(&format!("| `{default}`")), "{key}: the default is {default}: {row}");
        }
    }
}
