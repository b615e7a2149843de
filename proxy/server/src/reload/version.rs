//! Versions of filters: what each is built from, and what became of it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_config::{
    Plan, Position,
    plan::{self, Source},
};
use sluice_host::{Code, Digest, Filter, FilterSpec, Host, Isolation};

use super::{Files, crew};
use crate::{
    load::{FilterProblem, Place},
    sources::module_of,
    spec,
};

/// What a filter is built from: enough to build it again, whatever has become of its file.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) settings: plan::Filter,
    pub(crate) module: Arc<[u8]>,
    pub(crate) digest: Digest,
}

/// One filter as it was built. Generations in which nothing of it changed share it, warm as it is.
pub(crate) struct Version {
    pub(crate) recipe: Recipe,
    /// The configurations it is used with, each once: one root context for each.
    configs: Vec<String>,
    code: Code,
    /// It runs once in the process, without traffic.
    pub(crate) service: bool,
    pub(crate) filter: Arc<Filter>,
    /// Time to compile it, and to start and configure its guests.
    pub(crate) compiling: Duration,
    pub(crate) starting: Duration,
}

impl Recipe {
    /// Reads the module of a filter.
    ///
    /// # Errors
    /// [`FilterProblem`] when it cannot be read, or is not the one that the configuration wants.
    pub(crate) fn read(settings: &plan::Filter, file: &Path, files: &Files) -> Result<Self, FilterProblem> {
        let path = module_path(&settings.source);
        let fail = |message: String| problem(settings, file, message);
        let module = files.read(&path).map_err(|e| fail(unreadable(&settings.source, &e)))?;
        let digest = files.digest(&path).unwrap_or_else(|| Digest::of(&module));
        if let Some(wanted) = &settings.digest
            && *wanted != digest.to_string()
        {
            return Err(fail(format!("has the digest sha256:{digest}, the configuration wants sha256:{wanted}")));
        }
        Ok(Self { settings: settings.clone(), module: module.into(), digest })
    }

    /// Whether the same filter would come of it.
    pub(crate) fn makes_the_same(&self, other: &Self) -> bool {
        // Where it stands in the file, and where the module came from, make no difference.
        let settings = |recipe: &Self| {
            let at = Position::default();
            plan::Filter { at, source: Source::Path(PathBuf::new()), digest: None, ..recipe.settings.clone() }
        };
        self.digest == other.digest && settings(self) == settings(other)
    }

    /// The file that its module was read from.
    pub(crate) fn path(&self) -> PathBuf {
        module_path(&self.settings.source)
    }

    fn key(&self) -> (Digest, Isolation) {
        (self.digest, spec::isolation(&self.settings))
    }
}

impl Version {
    /// The place of a configuration among those it was started with; without one it is the filter's own.
    pub(crate) fn configuration(&self, own: Option<&String>) -> Option<usize> {
        let wanted = own.unwrap_or(&self.recipe.settings.config);
        self.configs.iter().position(|config| config == wanted)
    }

    pub(crate) fn name(&self) -> &str {
        &self.recipe.settings.name
    }

    pub(crate) fn code(&self) -> &Code {
        &self.code
    }

    /// What it is loaded as, with its own configuration alone.
    pub(crate) fn spec(&self) -> FilterSpec {
        let settings = &self.recipe.settings;
        spec::spec(settings, self.code.clone(), vec![settings.config.clone()])
    }

    fn serves(&self, wanted: &Wanted) -> bool {
        let all = |of: &[String]| of.iter().cloned().collect::<HashSet<_>>();
        self.recipe.makes_the_same(&wanted.recipe)
            && all(&self.configs) == all(&wanted.configs)
            && self.service == wanted.service
    }
}

/// What a version is to be.
struct Wanted {
    recipe: Recipe,
    configs: Vec<String>,
    service: bool,
}

/// What versions are built with.
pub(crate) struct Builder<'a> {
    pub(crate) host: &'a Host,
    pub(crate) file: &'a Path,
    /// Guests of each filter that meets traffic.
    pub(crate) shards: usize,
    /// A filter that is not taken over, although nothing changed.
    pub(crate) anew: Option<&'a str>,
}

impl Builder<'_> {
    /// A version for each filter of the plan. Those of `before` in which nothing changed are taken over; the others are
    /// compiled and started beside each other. Goes on after a failure, so that all are told at once.
    pub(crate) fn build(
        &self,
        plan: &Plan,
        recipes: Vec<Result<Recipe, FilterProblem>>,
        before: &[Arc<Version>],
    ) -> Vec<Result<Arc<Version>, FilterProblem>> {
        let uses = uses(plan);
        let wanted: Vec<_> = recipes
            .into_iter()
            .zip(uses)
            .enumerate()
            .map(|(index, (recipe, uses))| {
                let recipe = recipe?;
                let configs = configs(&uses, &recipe.settings.config);
                Ok(Wanted { recipe, configs, service: plan.services.contains(&index) })
            })
            .collect();
        let kept = |wanted: &Wanted| before.iter().find(|v| Some(v.name()) != self.anew && v.serves(wanted)).cloned();
        let codes = self.codes(wanted.iter().flatten().filter(|w| kept(w).is_none()).map(|w| &w.recipe), before);
        crew::each(&wanted, |wanted| {
            let wanted = wanted.as_ref().map_err(FilterProblem::clone)?;
            if let Some(version) = kept(wanted) {
                return Ok(version);
            }
            let Wanted { recipe, configs, service } = wanted;
            let fail = |message: String| problem(&recipe.settings, self.file, message);
            let code = codes.iter().find(|(key, ..)| *key == recipe.key());
            let (_, code, compiling) = code.ok_or_else(|| fail("was not compiled".to_owned()))?;
            let code = code.clone().map_err(fail)?;
            let began = Instant::now();
            let spec = spec::spec(&recipe.settings, code.clone(), configs.clone());
            let shards = if *service { 1 } else { self.shards };
            let filter = self.host.load(&spec, shards).map_err(|e| fail(e.to_string()))?;
            let (compiling, starting) = (*compiling, began.elapsed());
            let (recipe, configs, service) = (recipe.clone(), configs.clone(), *service);
            Ok(Arc::new(Version { recipe, configs, code, service, filter, compiling, starting }))
        })
    }

    /// The code of each module, each compiled once; that of versions before is taken over.
    fn codes<'r>(&self, recipes: impl Iterator<Item = &'r Recipe>, before: &[Arc<Version>]) -> Vec<Compiled> {
        let mut modules: Vec<&Recipe> = Vec::new();
        for recipe in recipes {
            if !modules.iter().any(|m| m.key() == recipe.key()) {
                modules.push(recipe);
            }
        }
        crew::each(&modules, |recipe| {
            let began = Instant::now();
            let known = before.iter().find(|version| version.recipe.key() == recipe.key());
            let code = match known {
                Some(version) => Ok(version.code.clone()),
                None => self.host.compile(&recipe.module, recipe.key().1).map_err(|e| e.to_string()),
            };
            (recipe.key(), code, began.elapsed())
        })
    }
}

type Compiled = ((Digest, Isolation), Result<Code, String>, Duration);

/// What each filter is used with: its own configuration (`None`), or that of a route.
fn uses(plan: &Plan) -> Vec<Vec<Option<String>>> {
    let mut all = vec![Vec::new(); plan.filters.len()];
    let tcp = plan.listeners.iter().filter_map(|l| l.tcp.as_ref()).flat_map(|tcp| &tcp.filters);
    let links = plan.routes.iter().flat_map(|r| &r.filters).chain(tcp).map(|u| (u.filter, u.config.clone()));
    for (index, own) in links.chain(plan.services.iter().map(|i| (*i, None))) {
        if let Some(uses) = all.get_mut(index) {
            uses.push(own);
        }
    }
    // A filter that no route uses is started with its own configuration, so that `check` sees it.
    for uses in all.iter_mut().filter(|uses| uses.is_empty()) {
        uses.push(None);
    }
    all
}

fn configs(uses: &[Option<String>], own: &str) -> Vec<String> {
    let mut configs: Vec<String> = Vec::new();
    for config in uses.iter().map(|config| config.as_deref().unwrap_or(own)) {
        if !configs.iter().any(|c| c == config) {
            configs.push(config.to_owned());
        }
    }
    configs
}

/// The file of a filter's module.
pub(crate) fn module_path(source: &Source) -> PathBuf {
    match source {
        Source::Path(path) => path.clone(),
        Source::Build(folder) => module_of(folder).unwrap_or_else(|_| folder.clone()),
    }
}

fn unreadable(source: &Source, error: &std::io::Error) -> String {
    match source {
        Source::Build(folder) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("is not there; `sluice build {}` builds it", folder.display())
        }
        _ => format!("cannot be read: {error}"),
    }
}

fn problem(settings: &plan::Filter, file: &Path, message: String) -> FilterProblem {
    FilterProblem {
        name: settings.name.clone(),
        at: Place::new(file, settings.at),
        module: module_path(&settings.source).display().to_string(),
        message,
    }
}
