//! From a filter of the plan to what the host wants to know of it.

use sluice_config::plan::{self, Grant};
use sluice_host::{Code, FilterSpec, Grants, Hostcall, Isolation, Quarantine};

use crate::limits;

/// Which guest a request meets.
pub(crate) fn isolation(filter: &plan::Filter) -> Isolation {
    match filter.isolation {
        plan::Isolation::Shared => Isolation::Shared,
        plan::Isolation::Request => Isolation::Request,
    }
}

/// A filter of this code, with a root for each configuration.
///
/// # Errors
/// A sentence that begins behind the module's name: something is granted that does not exist.
pub(crate) fn spec(filter: &plan::Filter, code: Code, configs: Vec<String>) -> Result<FilterSpec, String> {
    Ok(FilterSpec {
        name: filter.name.clone(),
        code,
        root_id: filter.root_id.clone(),
        vm_id: filter.vm_id.clone(),
        vm_config: filter.vm_config.clone(),
        configs,
        env: filter.env.clone(),
        isolation: isolation(filter),
        fail_open: filter.on_error == plan::OnError::FailOpen,
        stop_iteration: filter.on_headers_stop_iteration,
        cpu_per_call: filter.limits.cpu_per_call,
        cpu_per_request: filter.limits.cpu_per_request,
        cpu_start: filter.limits.cpu_start,
        cpu_share: filter.limits.cpu_share,
        cpu_warn: filter.limits.cpu_warn,
        quarantine: quarantine(&filter.quarantine),
        memory: filter.limits.memory,
        caps: limits::caps(&filter.limits),
        grants: grants(&filter.capabilities)?,
    })
}

fn quarantine(planned: &plan::Quarantine) -> Quarantine {
    let plan::Quarantine { crashes, window, percent, period, max_period } = *planned;
    Quarantine { crashes, window, percent, period, max_period }
}

fn grants(capabilities: &plan::Capabilities) -> Result<Grants, String> {
    let list = |grant: &Grant| match grant {
        Grant::Default | Grant::All => None,
        Grant::Only(names) => Some(names.clone()),
    };
    let hostcalls = match &capabilities.hostcalls {
        Grant::Default => Grants::default().hostcalls,
        Grant::All => Grants::all().hostcalls,
        Grant::Only(names) => names.iter().try_fold(0, |set, name| {
            Hostcall::from_name(name).map(|call| set | call.bit()).ok_or_else(|| {
                format!("is granted `{name}` in capabilities.hostcalls, which is no hostcall of the ABI")
            })
        })?,
    };
    Ok(Grants {
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
    })
}
