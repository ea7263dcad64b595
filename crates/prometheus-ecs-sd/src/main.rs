//! Prometheus service discovery for containers on Amazon ECS.

use std::process::ExitCode;

fn main() -> ExitCode {
    prometheus_ecs_sd::cli::main(std::env::args_os())
}
