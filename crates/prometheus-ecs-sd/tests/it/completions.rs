//! Completions, as the shells themselves find them.

use std::process::Stdio;

use crate::tools::{program, tool};

/// What is typed up to the key, and what it is completed to; each of them alone begins with the last word.
const TYPED: [(&str, &str); 9] = [
    ("che", "check-config"),
    ("--log-fo", "--log-format"),
    ("--log-level w", "warn"),
    ("check-config --web", "--web-config-file"),
    ("check-config --once --log-format j", "json"),
    ("demo --ch", "--churn"),
    ("explain --task-", "--task-definition"),
    ("generate iam-r", "iam-role-policy"),
    ("generate completions po", "powershell"),
];

/// Each reads the completions in the file `$1`, and prints for every further argument the candidates in a line.
const BASH: &str = r#"
source "$1"
[[ $(complete -p prometheus-ecs-sd) =~ -F\ ([^ ]+) ]]
for typed in "${@:2}"; do
    read -ra COMP_WORDS <<<"$typed"
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    "${BASH_REMATCH[1]}" prometheus-ecs-sd "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
done
"#;

const FISH: &str = r#"
source $argv[1]
for typed in $argv[2..]
    string join -- ' ' (complete -C $typed | string split --fields 1 \t)
end
"#;

/// Zsh completes only where somebody types, so that there is a shell at a terminal within the shell.
const ZSH: &str = r#"
directory=${1:h}
cat >$directory/inner <<END
fpath=($directory \$fpath)
all_typed=(${(@qq)@[2,-1]})
found=$directory/found
END
cat >>$directory/inner <<'END'
autoload -U compinit
compinit -D -u
compadd() {
    # What only fills variables adds no candidate.
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a candidates
        builtin compadd -A candidates "$@"
        all_candidates+=($candidates)
    fi
    builtin compadd "$@"
}
complete-all() {
    for typed in $all_typed; do
        BUFFER=$typed CURSOR=$#typed all_candidates=()
        zle complete-word
        print -r -- $all_candidates >>$found
    done
    print
    print DONE
    exit
}
zle -N complete-all
zle-line-init() { zle complete-all }
zle -N zle-line-init
END
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "source $directory/inner"
zpty -r inner output '*DONE*'
cat $directory/found
"#;

fn check(shell: &str, file: &str, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join(file);
    let made = program().args(["generate", "completions", shell]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(&script, &made.stdout).unwrap();
    let mut command = tool(shell);
    command.args(arguments).arg(&script).args(TYPED.map(|(typed, _)| format!("prometheus-ecs-sd {typed}")));
    command.env("HOME", directory.path()).current_dir(&directory).stdin(Stdio::null());
    let output = command.output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let found: Vec<_> = TYPED.iter().map(|(typed, _)| *typed).zip(found.lines().map(str::trim)).collect();
    assert_eq!(found, TYPED, "{shell}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn bash_completes_commands_and_what_follows_them() {
    check("bash", "completions", &["--norc", "--posix", "-c", BASH, "bash"]);
}

#[test]
fn fish_completes_commands_and_what_follows_them() {
    check("fish", "completions", &["--no-config", "-c", FISH]);
}

#[test]
fn zsh_completes_commands_and_what_follows_them() {
    check("zsh", "_prometheus-ecs-sd", &["-f", "-c", ZSH, "zsh"]);
}
