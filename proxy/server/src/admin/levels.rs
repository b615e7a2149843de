//! The levels of the log: how they are, and other ones for a while.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use axum::{
    body::Body,
    extract::{Extension, State},
    response::Response,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_config::plan::{LogLevel, LogModule};

use super::{
    Status, View, answer,
    guard::Ends,
    orders::{self, Refused},
};
use crate::{
    logging::Wish,
    reload::{Levels, What},
};

/// What is wanted; the rest is as the configuration has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    level: Option<String>,
    #[serde(default)]
    filters: BTreeMap<String, String>,
    #[serde(default)]
    modules: BTreeMap<String, String>,
}

pub(super) async fn shown(State(status): State<Arc<Status>>) -> Response {
    answer::json(&levels(&status))
}

pub(super) async fn wish(State(status): State<Arc<Status>>, Extension(ends): Extension<Ends>, body: Body) -> Response {
    let like = "{\"level\": …, \"filters\": {…}, \"modules\": {…}}";
    let view = status.view.load();
    match orders::read(body, like).await.and_then(|wanted| understand(wanted, &view)) {
        Ok(wish) => {
            status.events.record(What::Logging {
                generation: view.generation,
                client: ends.peer.to_string(),
                level: wish.level.map(LogLevel::name),
                filters: by_name(&wish.filters, String::clone),
                modules: by_name(&wish.modules, |module| module.name().to_owned()),
            });
            status.logging.wish(wish);
            answer::json(&levels(&status))
        }
        Err((code, why)) => answer::error(code, why),
    }
}

fn levels(status: &Status) -> Value {
    let log = status.logging.now();
    json!({
        "level": log.level.name(),
        "filters": by_name(&log.filters, String::clone),
        "modules": by_name(&log.modules, |module| module.name().to_owned()),
        "changed": status.logging.changed.load(Relaxed),
    })
}

fn by_name<T>(levels: &[(T, LogLevel)], name: impl Fn(&T) -> String) -> Levels {
    levels.iter().map(|(of, level)| (name(of), level.name())).collect()
}

fn understand(wanted: Wanted, view: &View) -> Result<Wish, Refused> {
    let filter = |name: String, level: String| match view.filters.iter().any(|filter| filter.name == name) {
        true => Ok((name, self::level(&level)?)),
        false => Err((StatusCode::NOT_FOUND, format!("there is no filter `{name}`"))),
    };
    let module =
        |name: String, level: String| Ok((known(&name, LogModule::ALL, LogModule::name)?, self::level(&level)?));
    Ok(Wish {
        level: wanted.level.as_deref().map(level).transpose()?,
        filters: wanted.filters.into_iter().map(|(name, level)| filter(name, level)).collect::<Result<_, _>>()?,
        modules: wanted.modules.into_iter().map(|(name, level)| module(name, level)).collect::<Result<_, _>>()?,
    })
}

fn level(word: &str) -> Result<LogLevel, Refused> {
    known(word, LogLevel::ALL, LogLevel::name)
}

fn known<T: Copy, const N: usize>(word: &str, all: [T; N], name: impl Fn(T) -> &'static str) -> Result<T, Refused> {
    let names = all.map(&name).join(", ");
    let refused = || (StatusCode::BAD_REQUEST, format!("`{word}` is none of {names}"));
    all.into_iter().find(|one| name(*one) == word).ok_or_else(refused)
}
