//! Routes and configurations of any size.

use std::{hint::black_box, path::Path};

use http::HeaderMap;
use sluice_config::{
    Memory, Source,
    plan::{HostMatch, Match, PathMatch},
};
use sluice_server::route::Table;

use crate::{Scene, Work};

pub(crate) fn scenes() -> Vec<Scene> {
    let route = |count| Scene::new(format!("route/{count}"), move || find(count)).times(100);
    let mut scenes: Vec<_> = [1, 10, 100, 1000, 10_000].map(route).into();
    let read = |count| Scene::new(format!("config/{count}-routes"), move || parse(count)).slow();
    scenes.extend([10, 1000].map(read));
    // A part of every swap: the routes of the new generation.
    let table = |count| Scene::new(format!("swap/{count}-routes"), move || build(count));
    scenes.extend([table(10), table(1000).slow()]);
    scenes
}

/// Of one host, each route with a prefix of its own.
fn routes(count: usize) -> Vec<Match> {
    let route = |n| Match {
        host: HostMatch::Exact("a.test".to_owned()),
        path: PathMatch::Prefix(format!("/service-{n}")),
        ..Match::default()
    };
    (0..count).map(route).collect()
}

fn build(count: usize) -> Work {
    let all = routes(count);
    Box::new(move || drop(black_box(Table::new(all.iter()).expect("plain prefixes"))))
}

/// Requests take the last of the file.
fn find(count: usize) -> Work {
    let all = routes(count);
    let table = Table::new(all.iter()).expect("plain prefixes");
    let (target, headers) = (format!("/service-{}/a/b?c=d", count - 1), HeaderMap::new());
    Box::new(move || {
        for _ in 0..100 {
            let found = table.find(b"a.test", b"GET", black_box(target.as_bytes()), &headers);
            assert_eq!(found, Some(count - 1));
        }
    })
}

fn parse(routes: usize) -> Work {
    let each = |n| format!("  - {{ match: {{ host: h{n}.test, path_prefix: /p{n} }}, upstream: app }}\n");
    let text = format!(
        "listeners: [{{ address: 127.0.0.1:8080 }}]\nupstreams: {{ app: {{ endpoints: [\"127.0.0.1:9000\"] }} }}\nroutes:\n{}",
        (0..routes).map(each).collect::<String>()
    );
    Box::new(move || {
        let source = Source { text: &text, name: "bench.yaml", dir: Path::new("/") };
        black_box(sluice_config::parse(source, &Memory::new()).expect("it is valid"));
    })
}
