//! Who may read and write what the program makes, whatever the umask, and under the settings of the unit for systemd.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_SECRET_KEY};

use crate::cli::Program;
use crate::files::{INTERVALS, revision_file, state_file, target_file};
use crate::simulated::{REGION, fleet};
use crate::tools::{Running, free_address, get, program, repository, tool, wait};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o7777
}

/// Runs the program once, as a process of that umask.
fn once(program: &Program, umask: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
    command.arg(program.command.get_program()).args(program.command.get_args()).arg("--once");
    let variables = program.command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = command.envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn target_files_are_for_all_and_the_state_for_its_owner_whatever_the_umask() {
    for (umask, work_directory) in [("0077", 0o700), ("0027", 0o750), ("0022", 0o755), ("0000", 0o755)] {
        let program = Program::on(&Aws::new(fleet(&[("prod", 1)])));
        once(&program, umask);
        let directory = program.path();
        for interval in INTERVALS {
            assert_eq!(mode(&target_file(directory, interval)), 0o644, "umask {umask}");
        }
        assert_eq!(mode(&state_file(directory)), 0o600, "umask {umask}");
        assert_eq!(mode(&revision_file(directory)), 0o644, "umask {umask}");
        assert_eq!(mode(&directory.join(".prometheus-ecs-sd")), work_directory, "umask {umask}");
    }
}

#[test]
fn a_directory_made_for_the_state_file_lets_nobody_else_write() {
    let program = Program::on(&Aws::new(fleet(&[("prod", 1)])));
    let state = program.path().join("elsewhere/state");
    let program = program.args(&["--state-file", state.to_str().unwrap()]);
    once(&program, "0000");
    assert_eq!((mode(state.parent().unwrap()), mode(&state)), (0o755, 0o600));
}

#[test]
fn unchanged_target_files_that_others_cannot_read_become_readable() {
    let program = Program::on(&Aws::new(fleet(&[("prod", 1)])));
    once(&program, "0022");
    let file = target_file(program.path(), "1m");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let inode = fs::metadata(&file).unwrap().ino();
    once(&program, "0077");
    assert_eq!(mode(&file), 0o644);
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode, "it is not replaced");
}

/// A user as systemd makes one for `DynamicUser=`, and one that runs Prometheus.
const SERVICE: u32 = 61_184;
const PROMETHEUS: u32 = 65_534;

/// The settings of a unit.
struct Unit(String);

impl Unit {
    /// The values of a setting, in the order of the file.
    fn all(&self, name: &str) -> Vec<&str> {
        let settings = self.0.lines().filter_map(|line| line.split_once('='));
        settings.filter(|(setting, _)| *setting == name).map(|(_, value)| value).collect()
    }

    /// The value of a setting that is there once.
    fn one(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else { panic!("{name}= is not there once") };
        value
    }
}

/// What a shell does before the program takes its place: as root, make everything but `$1` and `$2` in `$0` read-only
/// and change the user; as anyone else, only what everyone may.
fn shell(unit: &Unit, is_root: bool) -> (Command, String) {
    let (umask, files) = (unit.one("UMask"), unit.one("LimitNOFILE"));
    let limits = format!("umask {umask}; ulimit -n {files}; cd /");
    assert_eq!(unit.all("WorkingDirectory"), [""; 0], "it is the root directory");
    assert_eq!((unit.one("NoNewPrivileges"), unit.one("CapabilityBoundingSet")), ("yes", ""));
    assert_eq!((unit.one("ProtectSystem"), unit.one("DynamicUser")), ("strict", "yes"));
    if !is_root {
        return (Command::new("sh"), format!("set -eu; shift 2; {limits}; exec \"$@\""));
    }
    let mounts = "for path in \"$0\" \"$1\" \"$2\"; do mount --bind \"$path\" \"$path\"; done; \
                  for path in \"$0\" /; do mount -o remount,bind,ro \"$path\"; done";
    let user = format!("setpriv --reuid={SERVICE} --regid={SERVICE} --clear-groups");
    let rights = "--no-new-privs --bounding-set=-all --inh-caps=-all";
    // A container may have no right to mount.
    let can_mount = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    let can_mount = can_mount.is_ok_and(|status| status.success());
    let mounts = if can_mount { mounts } else { ":" };
    let script = format!("set -eu; {mounts}; shift 2; {limits}; exec {user} {rights} -- \"$@\"");
    let mut command = Command::new(if can_mount { "unshare" } else { "sh" });
    if can_mount {
        command.args(["--mount", "sh"]);
    }
    (command, script)
}

/// systemd itself does not run where tests do, so this applies what of the unit's settings a shell can. Not tried are
/// its system call filter and namespaces; `systemd-analyze` checks that these are well-formed.
#[test]
fn under_the_units_settings_prometheus_reads_the_target_files_and_nobody_else_the_state() {
    let unit = Unit(fs::read_to_string(repository("examples/prometheus-ecs-sd.service")).unwrap());
    let place = tempfile::tempdir().unwrap();
    // A place that nobody else may enter would keep the program out, too.
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    let is_root = fs::metadata(place.path()).unwrap().uid() == 0;
    let make = |name: &str, mode| -> PathBuf {
        let path = place.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        if is_root {
            chown(&path, Some(SERVICE), Some(SERVICE)).unwrap();
        }
        path
    };
    let state =
        make(unit.one("StateDirectory"), u32::from_str_radix(unit.one("StateDirectoryMode"), 8).unwrap());
    let targets = make("targets", 0o755);
    let binary = place.path().join("binary");
    fs::copy(program().get_program(), &binary).unwrap();

    let address = free_address();
    let command = unit.one("ExecStart").replace("%S", place.path().to_str().unwrap());
    let command = command.replace("127.0.0.1:9779", &address.to_string());
    let arguments = command.strip_prefix("/usr/local/bin/prometheus-ecs-sd ").unwrap().split(' ');
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let (mut command, script) = shell(&unit, is_root);
    command.args(["-c", &script]).args([place.path(), &state, &targets]).arg(&binary).args(arguments);
    // As the head of the unit says.
    command.arg("--directory").arg(&targets).args(["--interval", "1s"]);
    // Of this machine's environment systemd passes nothing on; the rest would be in the environment file.
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", "/").env("STATE_DIRECTORY", &state).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_REGION", REGION).env("AWS_ENDPOINT_URL", aws.clone().serve_on_loopback().unwrap());
    command.env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY);
    let mut running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
    wait(|| {
        running.check();
        get(address, "/sd").map_err(|error| error.to_string())
    });
    let last = target_file(&targets, INTERVALS[3]);
    wait(|| if last.exists() { Ok(()) } else { Err("the target files".to_owned()) });
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    assert!(status.contains(&format!("Umask:\t{}\n", unit.one("UMask"))), "{status}");
    let is_readable = |path: &Path| {
        let mut command = Command::new("cat");
        if is_root {
            command = Command::new("setpriv");
            let user = [PROMETHEUS; 2].map(|id| id.to_string());
            command.args(["--reuid", &user[0], "--regid", &user[1], "--clear-groups", "cat"]);
        }
        command.arg(path).output().unwrap().status.success()
    };
    for interval in INTERVALS {
        let file = target_file(&targets, interval);
        assert_eq!(mode(&file), 0o644);
        assert!(is_readable(&file));
    }
    let file = state.join("state");
    assert_eq!(mode(&file), 0o600);
    assert!(!is_root || !is_readable(&file));
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let unit = fs::read_to_string(repository("examples/prometheus-ecs-sd.service")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("prometheus-ecs-sd.service");
    // A program that is there.
    let installed =
        unit.replace("/usr/local/bin/prometheus-ecs-sd", program().get_program().to_str().unwrap());
    assert_ne!(installed, unit);
    fs::write(&file, installed).unwrap();
    let verified = tool("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let faults = String::from_utf8(verified.stderr).unwrap();
    assert!(verified.status.success() && faults.is_empty(), "{faults}");
}
