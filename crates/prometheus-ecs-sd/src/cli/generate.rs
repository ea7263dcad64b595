//! Generates configuration of other programs, completions and the manual page.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, Command};
use clap_complete::Shell;
use ecs_discovery::conventions::list::Convention;
use ecs_discovery::text::printable;

use super::layers::Layers;
use super::{GenerateArgs, Product, command, failure, usage};
use crate::config::import::{Tool, import};
use crate::config::{
    Config, ConfigErrors, Directories, conventions, generated, infrastructure, regular_file, relabelling,
};

/// The name of the program.
const PROGRAM: &str = env!("CARGO_PKG_NAME");

pub(super) fn run(arguments: &GenerateArgs, layers: Layers) -> ExitCode {
    let of_config = |product: fn(&Config) -> String, layers: Layers| {
        layers.config(Directories::LeftAlone).map(|config| product(&config).into_bytes())
    };
    let made = match arguments.product {
        Product::PrometheusConfig => of_config(generated::prometheus_config, layers),
        Product::Config => imported(arguments),
        Product::RelabelConfig => {
            let name = arguments.like.as_deref().expect("the command line requires it");
            let rules = relabelling::relabel_config(name, arguments.job_name.as_deref());
            rules.map(String::into_bytes).map_err(ConfigErrors::one)
        }
        Product::IamPolicy => {
            of_config(|config| generated::iam_policy(config, &config.queue_arns(false)), layers)
        }
        Product::IamRolePolicy => layers.config(Directories::LeftAlone).and_then(|config| {
            let policy =
                generated::iam_role_policy(&config, &config.queue_arns(true)).map(String::into_bytes);
            policy.ok_or_else(|| {
                ConfigErrors::one("there is no role; add --role, or a source with one".to_owned())
            })
        }),
        Product::Conventions => layers.config(Directories::LeftAlone).and_then(|config| {
            let yaml = conventions::print::yaml(&config.rules.conventions).map(String::into_bytes);
            yaml.ok_or_else(|| ConfigErrors::one(no_rules(&config)))
        }),
        Product::EventInfrastructure => layers.config(Directories::LeftAlone).map(|config| {
            infrastructure::event_infrastructure(&config, arguments.format, arguments.readers).into_bytes()
        }),
        Product::Completions => completions(arguments.shell),
        Product::Man => Ok(man()),
    };
    match made {
        Err(errors) => usage(&errors),
        Ok(made) => match io::stdout().lock().write_all(&made) {
            // The reader may have closed the pipe.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failure(&error),
            _ => ExitCode::SUCCESS,
        },
    }
}

/// A dialect of the variables has no rules to print.
fn no_rules(config: &Config) -> String {
    let names: Vec<_> = config.rules.conventions.iter().map(Convention::name).collect();
    let are = if names.len() == 1 { "is no rule" } else { "are no rules" };
    format!(
        "--convention: {} {are}, and cannot be printed; name another built-in convention, such as teralytics",
        names.join(" and ")
    )
}

/// The configuration that replaces the one of another tool.
fn imported(arguments: &GenerateArgs) -> Result<Vec<u8>, ConfigErrors> {
    let (tool, file) = match (&arguments.from_cloudwatch_agent, &arguments.from_ecs_observer) {
        (Some(file), _) => (Tool::CloudwatchAgent, file),
        (None, Some(file)) => (Tool::EcsObserver, file),
        (None, None) => {
            let problem = "name the file of another tool: --from-cloudwatch-agent or --from-ecs-observer";
            return Err(ConfigErrors::one(format!("generate config: {problem}")));
        }
    };
    let (name, text) = if file == "-" {
        (Path::new("standard input"), standard_input())
    } else {
        (file.as_path(), regular_file::read(file))
    };
    let text =
        text.map_err(|problem| ConfigErrors::one(format!("{} cannot be read: {problem}", name.display())))?;
    let made = import(tool, &text, ConfigErrors::of(name))?;
    for warning in &made.warnings {
        eprintln!("warning: {}", printable(warning));
    }
    Ok(made.config.into_bytes())
}

/// At most what a file may have.
fn standard_input() -> Result<String, String> {
    let mut text = String::new();
    let limit = regular_file::MOST;
    match io::stdin().lock().take(limit + 1).read_to_string(&mut text) {
        Err(error) => Err(error.to_string()),
        Ok(_) if text.len() as u64 > limit => Err("it is longer than a megabyte".to_owned()),
        Ok(_) => Ok(text),
    }
}

fn completions(shell: Option<Shell>) -> Result<Vec<u8>, ConfigErrors> {
    let shell = shell.or_else(Shell::from_env).ok_or_else(|| {
        ConfigErrors::one(
            "the shell is unknown; write generate completions bash, fish, zsh or elvish".to_owned(),
        )
    })?;
    let mut made = Vec::new();
    let mut command = command();
    clap_complete::generate(shell, &mut command, PROGRAM, &mut made);
    Ok(match shell {
        Shell::Bash => for_bash(&String::from_utf8_lossy(&made)),
        Shell::Fish => for_fish(&String::from_utf8_lossy(&made), &command),
        _ => made,
    })
}

/// The script names the state after a subcommand `prometheus__ecs__sd__subcmd__demo` where it is set, but expects
/// `prometheus__subcmd__ecs__subcmd__sd__subcmd__demo` where it is read, so that nothing is completed there: a bug of
/// clap (<https://github.com/clap-rs/clap/issues/6421>). When clap fixes it, this has no effect.
fn for_bash(script: &str) -> Vec<u8> {
    let (read, set) = (PROGRAM.replace('-', "__subcmd__"), PROGRAM.replace('-', "__"));
    script.replace(&read, &set).into_bytes()
}

/// Adds completion of an option's value before any subcommand, where clap's script ends completion, and of the values of
/// positional arguments, which clap omits, so that fish proposes files.
fn for_fish(script: &str, command: &Command) -> Vec<u8> {
    let mut script = script.replace("\n    or return\n", "\n    or return 0\n");
    let program = PROGRAM.replace('-', "_");
    for subcommand in command.get_subcommands() {
        let values = subcommand.get_positionals().flat_map(Arg::get_possible_values);
        let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            let (name, values) = (subcommand.get_name(), values.join(" "));
            let condition = format!("__fish_{program}_using_subcommand {name}");
            script += &format!("complete -c {PROGRAM} -n \"{condition}\" -f -a \"{values}\"\n");
        }
    }
    script.into_bytes()
}

fn man() -> Vec<u8> {
    let mut made = Vec::new();
    clap_mangen::Man::new(command()).render(&mut made).expect("a vector takes everything");
    made
}
