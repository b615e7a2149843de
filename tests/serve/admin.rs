//! The admin listener: what it shows, what can be asked of it, and who is refused.

mod asking;
mod busy;
mod drain;
mod events;
mod exposition;
mod filters;
mod places;
mod prometheus;
mod requests;
mod shown;
mod switches;
mod traffic;

use std::{net::SocketAddr, process::Command};

use crate::{
    harness::{Client, Message, Proxy},
    swap,
};

/// An admin listener as a person with curl meets it.
#[derive(Clone, Copy)]
struct Admin(SocketAddr);

impl Admin {
    fn of(proxy: &Proxy) -> Self {
        Self(proxy.admin())
    }

    fn get(self, path: &str) -> Message {
        self.send("GET", path, &[], "")
    }

    fn post(self, path: &str, body: &str) -> Message {
        self.send("POST", path, &[], body)
    }

    fn send(self, method: &str, path: &str, headers: &[&str], body: &str) -> Message {
        let host = format!("Host: {}", self.0);
        self.raw(method, path, &[&[host.as_str()], headers].concat(), body)
    }

    /// Without a Host of its own.
    fn raw(self, method: &str, path: &str, headers: &[&str], body: &str) -> Message {
        let headers: String = headers.iter().map(|h| format!("{h}\r\n")).collect();
        let length = body.len();
        let text = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        Client::connect(self.0).send(text).read()
    }

    /// The command line: its status and what it printed on either side.
    fn command(self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        let output = command.args(arguments).args(["--admin", &self.0.to_string()]).output().unwrap();
        let text = [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap()).concat();
        (output.status.code(), text)
    }
}

/// Version 1 of a filter `v`, with an admin listener.
fn serving_version_1(more: &str) -> Proxy {
    swap::serving_version_1(more, "reload: { debounce: 10ms }\nadmin: { address: \"127.0.0.1:0\" }\n")
}

/// Puts the next version there and waits until it serves and is shown.
fn swap_to(proxy: &Proxy, version: &str) {
    let admin = Admin::of(proxy);
    let generation = || admin.get("/filters").json()["generation"].as_u64();
    let before = generation();
    swap::version::put(proxy.dir.path(), &swap::version::Version::new(version));
    while generation() == before {}
    assert_eq!(swap::version::version_of(&mut proxy.client()), version);
}
