//! The player: loads the filters of a case, runs its exchanges and says what happened.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sluice_host::{
    Chain, Code, Digest, EngineOptions, ExchangeFacts, FilterSpec, Grants, Host, HostError, Hostcall, Isolation, Link,
    LoadError, RouteFacts,
};

use crate::{Case, Isolated, Report, Scripted, Stage, Use, exchange::Run};

/// How long a held exchange waits for something that lets it go on: as long as the server does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a filter of a case is loaded as: an error of the outer kind is one of the case.
type Specify<'a> = dyn Fn(&Use) -> Result<Result<FilterSpec, LoadError>, String> + 'a;

/// One for the process: each module is compiled once, however many cases use it.
pub struct Player {
    host: Host,
    codes: Mutex<HashMap<(Digest, Isolation), Code>>,
}

impl Player {
    /// Sets up the host.
    ///
    /// # Errors
    /// [`HostError`] when the system refuses address space or a thread.
    pub fn new(options: EngineOptions) -> Result<Self, HostError> {
        Ok(Self { host: Host::new(options, Arc::new(Stage))?, codes: Mutex::default() })
    }

    /// A player on a host's engine: it plays what that host compiled, and shares nothing else with it.
    pub fn beside(host: &Host) -> Self {
        Self { host: host.beside(Arc::new(Stage)), codes: Mutex::default() }
    }

    /// Plays a case. `read` gives the bytes of the module that a filter names.
    ///
    /// # Errors
    /// A text when the case cannot be played: a module is not found, a header is none. Filters that do not load are
    /// no error but part of the report.
    pub fn play(
        &self,
        case: &Case,
        isolation: Isolated,
        read: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Report, String> {
        Stage.begin();
        case.calls.iter().try_for_each(Scripted::check)?;
        Stage.expect_calls(&case.calls, case.upstreams.as_deref());
        let own = case.own_host.then(|| Self::new(EngineOptions::default())).transpose().map_err(|e| e.to_string())?;
        let player = own.as_ref().unwrap_or(self);
        let isolation = match isolation {
            Isolated::Shared => Isolation::Shared,
            Isolated::Request => Isolation::Request,
        };
        player.perform(case, &|wanted| {
            Ok(match player.compile(&read(&wanted.module)?, isolation) {
                Ok(code) => Ok(spec(wanted, code, isolation)?),
                Err(error) => Err(error),
            })
        })
    }

    /// Plays a case with filters that are there already: each is named by `module`, and its `config`, if it has one, stands
    /// in place of the filter's own as that of a route does.
    ///
    /// # Errors
    /// As [`Player::play`]; also when there is no filter of that name, or the case sets what the filter has of its own.
    pub fn rehearse(&self, case: &Case, filters: &[FilterSpec]) -> Result<Report, String> {
        if case.isolation.is_some() {
            return Err("`isolation` is a matter of the filter".into());
        }
        Stage.begin();
        case.calls.iter().try_for_each(Scripted::check)?;
        Stage.expect_calls(&case.calls, case.upstreams.as_deref());
        self.perform(case, &|wanted| {
            let own = Use { module: wanted.module.clone(), config: wanted.config.clone(), ..Use::default() };
            if *wanted != own {
                return Err(format!(
                    "filter `{}` has its settings already: only `config` can be another",
                    wanted.module
                ));
            }
            let filter = filters.iter().find(|filter| filter.name == wanted.module);
            let filter = filter.ok_or_else(|| format!("there is no filter `{}`", wanted.module))?;
            let configs = match &wanted.config {
                none if none.is_empty() => filter.configs.clone(),
                config => vec![config.clone()],
            };
            Ok(Ok(FilterSpec { configs, ..filter.clone() }))
        })
    }

    fn perform(&self, case: &Case, spec: &Specify<'_>) -> Result<Report, String> {
        let mut report = Report::default();
        let mut links = Vec::new();
        for wanted in &case.filters {
            match spec(wanted)?.and_then(|spec| self.host.load(&spec, 1)) {
                Ok(filter) => {
                    links.extend(
                        (0..filter.roots()).map(|configuration| Link { filter: filter.clone(), configuration }),
                    );
                }
                Err(error) => {
                    report.refused = Some(error.to_string());
                    return Ok(report);
                }
            }
        }
        // The chain lives as long as this call: what is logged behind it is what filters say when they are let go of.
        self.exchanges(case, &Chain::new(links), &mut report)?;
        // Roots may ask for time when they are let go of.
        Stage.pass(Duration::from_secs(6));
        report.ending = Stage.lines().into_iter().map(|line| line.message).collect();
        Ok(report)
    }

    fn compile(&self, bytes: &[u8], isolation: Isolation) -> Result<Code, LoadError> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Digest::of(bytes);
        if let Some(code) = codes.get(&(digest, isolation)) {
            return Ok(code.clone());
        }
        let code = self.host.compile(bytes, isolation)?;
        codes.insert((digest, isolation), code.clone());
        Ok(code)
    }

    fn exchanges(&self, case: &Case, chain: &Chain, report: &mut Report) -> Result<(), String> {
        let mut runs = Vec::new();
        let mut calls = Vec::new();
        for (number, talk) in case.talks().iter().enumerate() {
            Stage.pass(Duration::from_millis(talk.after_ms));
            let mut run = Run::new(chain, talk, facts(case, number))?;
            if case.together {
                runs.push(run);
            } else {
                play(std::slice::from_mut(&mut run));
                report.exchanges.push(run.finish());
                note(report, number);
                calls.push(Stage.calls());
            }
        }
        if case.together {
            play(&mut runs);
            report.exchanges = runs.into_iter().map(Run::finish).collect();
            note(report, 0);
            calls = vec![Stage.calls(); report.exchanges.len()];
        }
        // Only now are they what they have become; together, every exchange shows all.
        let sent = Stage.sent();
        for (number, exchange) in report.exchanges.iter_mut().enumerate() {
            let from =
                if case.together { 0 } else { number.checked_sub(1).and_then(|n| calls.get(n)).map_or(0, |n| *n) };
            let to = calls.get(number).map_or(sent.len(), |n| *n);
            exchange.calls = sent.get(from..to).unwrap_or_default().to_vec();
        }
        Ok(())
    }
}

/// Feeds every event of these exchanges, one of each in turn. While all that are left are held, time passes until
/// something comes that may let them go on.
fn play(runs: &mut [Run]) {
    let mut left = PATIENCE;
    loop {
        if runs.iter_mut().fold(false, |more, run| run.advance() | more) {
            left = PATIENCE;
        } else if runs.iter().any(Run::waits) {
            match Stage.pass_to_next(left) {
                Some(passed) => left -= passed,
                None => return,
            }
        } else {
            return;
        }
    }
}

/// What was said since the last note belongs to the exchanges from this one on.
fn note(report: &mut Report, from: usize) {
    let (lines, crashes) = (Stage.lines(), Stage.crashes());
    for exchange in report.exchanges.iter_mut().skip(from) {
        exchange.lines.clone_from(&lines);
        exchange.crashes.clone_from(&crashes);
    }
}

fn facts(case: &Case, number: usize) -> ExchangeFacts {
    let route = RouteFacts { name: "replay".into(), upstream: "app".into(), properties: case.properties.clone() };
    ExchangeFacts {
        source: Some(SocketAddr::from((Ipv4Addr::new(203, 0, 113, 7), 40_000))),
        destination: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
        connection: number as u64 + 1,
        protocol: "HTTP/1.1",
        route: Some(Arc::new(route)),
        ..ExchangeFacts::default()
    }
}

fn spec(wanted: &Use, code: Code, isolation: Isolation) -> Result<FilterSpec, String> {
    let limits = &wanted.limits;
    let hostcalls = match &wanted.hostcalls {
        None => Grants::default().hostcalls,
        Some(names) if names == &["all"] => Grants::all().hostcalls,
        Some(names) => names
            .iter()
            .map(|name| {
                Hostcall::from_name(name).map(|call| call.bit()).ok_or_else(|| format!("`{name}` is no hostcall"))
            })
            .try_fold(0, |all, bit| bit.map(|bit| all | bit))?,
    };
    Ok(FilterSpec {
        root_id: wanted.root_id.clone(),
        vm_id: wanted.vm_id.clone(),
        vm_config: wanted.vm_config.clone(),
        configs: if wanted.configs.is_empty() { vec![wanted.config.clone()] } else { wanted.configs.clone() },
        env: wanted.env.clone(),
        isolation,
        fail_open: wanted.fail_open,
        stop_iteration: wanted.on_headers_stop_iteration,
        cpu_per_call: Duration::from_millis(limits.cpu_per_call_ms),
        cpu_per_request: Duration::from_millis(limits.cpu_per_request_ms),
        cpu_start: Duration::from_millis(limits.cpu_start_ms),
        memory: limits.memory_mib << 20,
        caps: limits.caps(),
        grants: Grants {
            hostcalls,
            wasi: wanted.wasi.clone(),
            properties: wanted.properties.clone(),
            foreign: wanted.foreign.clone(),
            callouts: Some(wanted.callouts.clone()),
            shared_data: wanted.shared_data.clone(),
            loads_ungranted: !wanted.refuse_ungranted,
        },
        cpu_share: limits.cpu_share_ms.map(Duration::from_millis),
        cpu_warn: Duration::from_millis(limits.cpu_warn_ms),
        ..FilterSpec::new(wanted.name.as_ref().unwrap_or(&wanted.module), code)
    })
}
