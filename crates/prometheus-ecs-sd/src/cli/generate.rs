//! Things that people copy, made for the configuration at hand.

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;

use super::layers::Layers;
use super::{GenerateArgs, Product, command, failure, usage};
use crate::config::{Config, Directories, Mistakes, generated};

/// The name of the program.
const PROGRAM: &str = env!("CARGO_PKG_NAME");

pub(super) fn run(arguments: &GenerateArgs, layers: Layers) -> ExitCode {
    let of_config = |product: fn(&Config) -> String, layers: Layers| {
        layers.config(Directories::LeftAlone).map(|config| product(&config).into_bytes())
    };
    let made = match arguments.product {
        Product::PrometheusConfig => of_config(generated::prometheus_config, layers),
        Product::IamPolicy => of_config(generated::iam_policy, layers),
        Product::IamRolePolicy => of_config(generated::iam_role_policy, layers),
        Product::Completions => completions(arguments.shell),
        Product::Man => Ok(man()),
    };
    match made {
        Err(mistakes) => usage(&mistakes),
        Ok(made) => match io::stdout().lock().write_all(&made) {
            // Whoever reads it may have seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failure(&error),
            _ => ExitCode::SUCCESS,
        },
    }
}

fn completions(shell: Option<Shell>) -> Result<Vec<u8>, Mistakes> {
    let shell = shell.or_else(Shell::from_env).ok_or_else(|| {
        Mistakes(vec!["for which shell? write generate completions bash, fish, zsh or elvish".to_owned()])
    })?;
    let mut made = Vec::new();
    clap_complete::generate(shell, &mut command(), PROGRAM, &mut made);
    Ok(made)
}

fn man() -> Vec<u8> {
    let mut made = Vec::new();
    clap_mangen::Man::new(command()).render(&mut made).expect("a vector takes everything");
    made
}
