//! From a filter of the plan to what the host wants to know of it.

use sluice_config::plan;
use sluice_host::{Code, FilterSpec, Isolation, Quarantine};

use crate::{grants::grants, limits};

/// Which guest a request meets.
pub(crate) fn isolation(filter: &plan::Filter) -> Isolation {
    match filter.isolation {
        plan::Isolation::Shared => Isolation::Shared,
        plan::Isolation::Request => Isolation::Request,
    }
}

/// A filter of this code, with a root for each configuration.
pub(crate) fn spec(filter: &plan::Filter, code: Code, configs: Vec<String>) -> FilterSpec {
    FilterSpec {
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
        grants: grants(&filter.capabilities),
    }
}

fn quarantine(planned: &plan::Quarantine) -> Quarantine {
    let plan::Quarantine { crashes, window, percent, period, max_period } = *planned;
    Quarantine { crashes, window, percent, period, max_period }
}
