//! What a dump of a plan leaves out: configurations and environments, which may hold secrets.

use std::fmt;

use crate::plan::{Filter, Route, UseFilter};

impl Route {
    /// Its name without the values of headers that it matches, by which a route without a name of its own is named.
    pub fn shown_name(&self) -> String {
        let values = self.matcher.headers.iter().filter_map(|(_, value)| value.as_deref()).filter(|v| !v.is_empty());
        values.fold(self.name.clone(), |name, value| name.replace(value, "…"))
    }
}

/// Says how much there is and not what.
struct Hidden(usize);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field is named here, so that a new one must decide.
        let Self {
            name,
            source,
            digest,
            root_id,
            vm_id,
            config,
            vm_config,
            env,
            isolation,
            on_error,
            on_headers_stop_iteration,
            limits,
            quarantine,
            capabilities,
            at,
        } = self;
        f.debug_struct("Filter")
            .field("name", name)
            .field("source", source)
            .field("digest", digest)
            .field("root_id", root_id)
            .field("vm_id", vm_id)
            .field("config", &Hidden(config.len()))
            .field("vm_config", &Hidden(vm_config.len()))
            .field("env", &env.keys().collect::<Vec<_>>())
            .field("isolation", isolation)
            .field("on_error", on_error)
            .field("on_headers_stop_iteration", on_headers_stop_iteration)
            .field("limits", limits)
            .field("quarantine", quarantine)
            .field("capabilities", capabilities)
            .field("at", at)
            .finish()
    }
}

impl fmt::Debug for UseFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filter, config } = self;
        let config = config.as_ref().map(|config| Hidden(config.len()));
        f.debug_struct("UseFilter").field("filter", filter).field("config", &config).finish()
    }
}
