//! The status page: in plain HTTP, and as people see it.

mod chromium;
mod hostile;
mod layout;
mod plain;

use std::net::SocketAddr;
use std::process::Stdio;

use ecs_simulator::Aws;

use crate::cli::Program;
use crate::tools::{Running, free_address, get, wait};

/// The program, which serves its page.
struct Served {
    address: SocketAddr,
    _program: Program,
    _running: Running,
}

impl Served {
    /// It refreshes once a second.
    fn start(aws: &Aws) -> Self {
        Self::start_with(aws, &[])
    }

    fn start_with(aws: &Aws, more: &[&str]) -> Self {
        let address = free_address();
        let arguments = ["--interval", "1", "--api-share", "1", "--listen-address", &address.to_string()];
        let mut program = Program::on(aws).args(&arguments).args(more);
        let running = Running::start(program.command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait(|| get(address, "/-/healthy").map_err(|error| error.to_string()));
        Self { address, _program: program, _running: running }
    }

    /// Once something is published.
    fn ready(aws: &Aws) -> Self {
        Self::with(aws, &[])
    }

    /// Likewise, with more arguments.
    fn with(aws: &Aws, more: &[&str]) -> Self {
        let served = Self::start_with(aws, more);
        wait(|| get(served.address, "/-/ready").map_err(|error| error.to_string()));
        served
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn page(&self, path: &str) -> String {
        get(self.address, path).unwrap()
    }

    /// Waits until the page has this.
    fn shows(&self, path: &str, text: &str) -> String {
        wait(|| {
            let page = self.page(path);
            if page.contains(text) { Ok(page) } else { Err(format!("{text:?} in {page}")) }
        })
    }
}

/// The text of a page without its markup, as far as escaping goes.
fn unescaped(page: &str) -> String {
    let text = page.replace("<wbr>", "").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&amp;", "&")
}

/// How many targets a page lists.
fn rows(page: &str) -> usize {
    let targets = page.split("id=\"targets\"").nth(1).unwrap_or_default();
    targets.split("</section>").next().unwrap_or_default().matches("<tr data-key=").count()
}
