//! The binary with empty and invalid environment variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::{Args, Command};
use ecs_simulator::Aws;
use insta::assert_snapshot;

use prometheus_ecs_sd::config::RunArgs;

use crate::cli::Program;
use crate::simulated::{REGION, fleet};

/// Variables of AWS programs that compose files and task definitions pass on, whether there is a value or not.
const OF_AWS: [&str; 21] = [
    "ALL_PROXY",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_EXECUTION_ENV",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SDK_UA_APP_ID",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HTTPS_PROXY",
];

/// The variable of each option of the discovery except one, which is set already.
fn of_options() -> Vec<String> {
    let command = RunArgs::augment_args(Command::new("options"));
    let longs = command.get_arguments().filter_map(|option| option.get_long());
    let names = longs.map(|long| format!("PROMETHEUS_ECS_SD_{}", long.to_uppercase().replace('-', "_")));
    names.filter(|name| name != "PROMETHEUS_ECS_SD_LISTEN_ADDRESS").collect()
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let arn = aws.change(|world| world.own(REGION).clusters["prod"].tasks.keys().next().unwrap().clone());
    for blank in ["", "  "] {
        for arguments in
            [&["--once"][..], &["explain", "--task", &arn, "--cluster", "prod"], &["check-config"]]
        {
            let is_of_run = arguments[0] == "--once";
            let mut program = if is_of_run { Program::on(&aws) } else { Program::asking(&aws) };
            program = program.args(arguments).env("AWS_REGION", blank).env("AWS_DEFAULT_REGION", REGION);
            for name in of_options().iter().map(String::as_str).chain(OF_AWS) {
                program = program.env(name, blank);
            }
            if arguments[0] == "check-config" {
                program = program.args(&["--directory", "/tmp"]);
            }
            let output = program.command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
            assert!(!is_of_run || program.path().join("1m-tasks.json").exists());
        }
    }
}

#[test]
fn white_space_around_a_value_of_aws_is_ignored() {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let mut program = Program::on(&aws).args(&["--once"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"] {
        let set = program.command.get_envs().find(|(set, _)| *set == name).unwrap().1.unwrap();
        let value = format!(" {}\n", set.to_str().unwrap());
        program.command.env(name, value);
    }
    assert_eq!(program.exit_code(), Some(0));
}

/// The common output of the discovery, `explain` and `check-config`.
fn refused(prepare: impl Fn(Program) -> Program) -> String {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let said: Vec<_> = [
        &["--once", "--directory", "/tmp"][..],
        &["explain", "--task", "1", "--cluster", "prod"],
        &["check-config", "--directory", "/tmp"],
    ]
    .into_iter()
    .map(|arguments| prepare(Program::asking(&aws)).args(arguments).failed())
    .collect();
    assert!(said.iter().all(|other| *other == said[0]), "{said:#?}");
    assert_eq!(aws.take_ledger().total(), 0);
    said[0].clone()
}

#[test]
fn a_value_that_cannot_be_used_is_named_before_anything_starts() {
    assert_snapshot!(refused(|program| {
        program
            .env("AWS_ENDPOINT_URL_ECS", "nonsense")
            .env("AWS_REGION", "eu west 1")
            .env("AWS_SESSION_TOKEN", "hunter2 hunter2")
    }), @r#"
    exit 2
    error: AWS_ENDPOINT_URL_ECS: the value is not a URL such as https://HOST; correct it, or unset it
    error: AWS_REGION: "eu west 1" is not a region; it looks like eu-west-1
    error: AWS_SESSION_TOKEN: there is white space or a character in the value that AWS never uses there; copy it again
    "#);
}

#[test]
fn a_profiles_value_that_cannot_be_used_is_named_before_anything_starts() {
    let profile = |text: &'static str| {
        move |mut program: Program| {
            std::fs::create_dir(program.path().join(".aws")).unwrap();
            std::fs::write(program.path().join(".aws/config"), text).unwrap();
            program.command.env_remove("AWS_ENDPOINT_URL").env_remove("AWS_REGION");
            program
        }
    };
    assert_snapshot!(refused(profile("[default]\nregion = eu-west-1\nendpoint_url =\n")), @r#"
    exit 2
    error: endpoint_url of the AWS profile: for ECS it is not a URL such as https://HOST; correct it, or remove it
    "#);
    assert_snapshot!(refused(profile(
        "[default]\nregion = eu-west-1\nservices = local\n[services local]\nsso =\n  endpoint_url = localhost:4566\n"
    )), @r#"
    exit 2
    error: endpoint_url of the AWS profile: for SSO it is not a URL such as https://HOST; correct it, or remove it
    "#);
    assert_snapshot!(refused(profile("[default]\nregion = eu west 1\nendpoint_url = http://127.0.0.1:1\n")), @r#"
    exit 2
    error: region of the AWS profile: "eu west 1" is not a region; it looks like eu-west-1
    "#);
    assert_snapshot!(refused(profile(
        "[default]\nregion = eu-west-1\nservices = local\n[services local]\nec2 =\n  endpoint_url = nonsense\n"
    )), @r#"
    exit 2
    error: endpoint_url of the AWS profile: for EC2 it is not a URL such as https://HOST; correct it, or remove it
    "#);
}

/// What a refresh without keys in the environment says, given a configuration file and variables.
fn without_keys(config: &str, variables: &[(&str, &str)]) -> String {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let mut program = Program::on(&aws).args(&["--once"]);
    std::fs::create_dir(program.path().join(".aws")).unwrap();
    std::fs::write(program.path().join(".aws/config"), config).unwrap();
    program.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    program.command.envs(variables.iter().copied());
    let said = program.failed();
    assert_eq!(aws.take_ledger().total(), 0, "{said}");
    said
}

#[test]
fn a_profile_that_is_in_no_file_is_named() {
    const MISSING: &str = "AWS_PROFILE=work is in neither DIR/.aws/config (as [profile work]) nor DIR/.aws/credentials \
                           (as [work]); add the profile there, or correct AWS_PROFILE";
    // In this file, only the default profile is written without the word.
    let said = without_keys("[work]\nregion = eu-west-1\n", &[("AWS_PROFILE", "work")]);
    assert!(
        said.contains(&format!("ListClusters: the AWS credentials cannot be loaded: {MISSING}")),
        "{said}"
    );
    assert!(!said.contains("set AWS_PROFILE"), "{said}");
    let said = without_keys("", &[("AWS_PROFILE", "work"), ("AWS_REGION", "")]);
    let told = format!("no region is named; add --region, or set AWS_REGION; {MISSING}");
    assert!(said.starts_with("exit 2\n") && said.contains(&told), "{said}");
    let config = "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = home\n";
    let said = without_keys(config, &[("AWS_PROFILE", "work")]);
    let told = "cannot be loaded: profile `home` was not defined: could not find source profile home referenced from work";
    assert!(said.contains(told), "{said}");
}

/// What `check-config` says besides the configuration, given a configuration file and variables.
fn checked(config: &str, variables: &[(&str, &str)]) -> String {
    let mut program = Program::new().args(&["check-config", "--directory", "/tmp"]);
    std::fs::create_dir(program.path().join(".aws")).unwrap();
    std::fs::write(program.path().join(".aws/config"), config).unwrap();
    program.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    program.command.envs(variables.iter().copied());
    let said = program.failed();
    let warnings: Vec<_> =
        said.lines().map(|line| line.split_once("WARN ").map_or(line, |(_, text)| text)).collect();
    warnings.join("\n")
}

#[test]
fn checking_the_configuration_warns_of_a_profile_that_is_in_no_file() {
    let work = ("AWS_PROFILE", "work");
    assert_snapshot!(checked("[profile home]\n", &[work]), @r#"
    exit 0
    the AWS profile cannot be used error="AWS_PROFILE=work is in neither DIR/.aws/config (as [profile work]) nor DIR/.aws/credentials (as [work]); add the profile there, or correct AWS_PROFILE"
    "#);
    let found = checked("[profile work]\nregion = eu-west-1\n", &[work]);
    let with_key = checked("", &[work, ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")]);
    assert_eq!([found.as_str(), with_key.as_str()], ["exit 0"; 2]);
}

#[test]
fn a_start_warns_of_a_variable_that_only_other_aws_programs_read() {
    let warning = "this environment variable has no effect; name the profile in AWS_PROFILE variable=AWS_DEFAULT_PROFILE";
    let of_others = ("AWS_DEFAULT_PROFILE", "work");
    assert_eq!(checked("[profile work]\n", &[of_others]), format!("exit 0\n{warning}"));
    assert_eq!(checked("[profile work]\n", &[of_others, ("AWS_PROFILE", "work")]), "exit 0");
    let said = without_keys("", &[of_others]);
    assert!(said.contains(warning), "{said}");
}

#[test]
fn a_profile_with_a_name_that_cannot_be_read_is_not_said_to_be_missing() {
    for name in ["spaced name", "\"quoted\"", "büro"] {
        let config = format!("[profile {name}]\nregion = eu-west-1\n");
        let said = checked(&config, &[("AWS_PROFILE", name)]);
        assert!(said.contains("the name of the profile has characters that are not supported"), "{said}");
        assert!(!said.contains("is in neither"), "{said}");
    }
    let said = checked("", &[("AWS_PROFILE", &"x".repeat(1000))]);
    assert!(said.contains("is in neither") && !said.contains(&"x".repeat(257)), "{said}");
}

#[test]
fn a_profile_that_needs_a_login_is_told_with_what_to_do() {
    let said = without_keys("[default]\nlogin_session = arn:aws:iam::123456789012:user/me\n", &[]);
    let told = "cannot be loaded: a profile with login_session is not supported; use a profile with credential_process = \
                aws configure export-credentials --profile NAME";
    assert!(said.contains(told) && !said.contains("cargo"), "{said}");
    let account = "sso_account_id = 123456789012\nsso_role_name = reader\n";
    let of_session = "sso_region = eu-west-1\nsso_start_url = https://example.org/start\n";
    for config in [
        format!("[default]\nsso_session = office\n{account}[sso-session office]\n{of_session}"),
        format!("[default]\n{account}{of_session}"),
    ] {
        let said = without_keys(&config, &[]);
        assert!(said.contains("; run aws sso login"), "{said}");
    }
}

#[test]
fn instance_metadata_that_does_not_answer_is_told_with_the_hop_limit() {
    for (disabled, is_told) in [("false", true), ("true", false)] {
        let nobody = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
        let said = without_keys("", &[nobody, ("AWS_EC2_METADATA_DISABLED", disabled)]);
        assert!(said.contains("no AWS credentials were found: set AWS_PROFILE"), "{said}");
        assert_eq!(said.contains("HttpPutResponseHopLimit"), is_told, "{said}");
    }
}

#[test]
fn a_variable_of_an_option_that_is_not_utf_8_is_named() {
    let mut program = Program::new().args(&["check-config", "--directory", "/tmp"]);
    program.command.env("PROMETHEUS_ECS_SD_REGION", OsStr::from_bytes(b"eu\xff"));
    let failed = program.failed();
    assert_snapshot!(failed, @r"
    exit 2
    error: PROMETHEUS_ECS_SD_REGION: the value is not UTF-8; set it again, or unset it
    ");
}

#[test]
fn a_variable_of_no_option_is_ignored_with_a_warning() {
    let mut program = Program::new().args(&["check-config", "--directory", "/tmp"]);
    program
        .command
        .env("PROMETHEUS_ECS_SD_INTERVALL", "30")
        .env("PROMETHEUS_ECS_SD_VERSION", "0.1.0")
        .env("PROMETHEUS_ECS_SD_PORT", "tcp://10.0.0.11:9779")
        .env("PROMETHEUS_ECS_SD_SERVICE_HOST", "10.0.0.11")
        .env("PROMETHEUS_ECS_SD_EMPTY", "");
    let failed = program.failed();
    let warnings: Vec<_> =
        failed.lines().map(|line| line.split_once("WARN ").map_or(line, |(_, text)| text)).collect();
    assert_snapshot!(warnings.join("\n"), @r"
    exit 0
    this environment variable belongs to no option and has no effect variable=PROMETHEUS_ECS_SD_INTERVALL similar=PROMETHEUS_ECS_SD_INTERVAL
    this environment variable belongs to no option and has no effect variable=PROMETHEUS_ECS_SD_VERSION
    ");
}
