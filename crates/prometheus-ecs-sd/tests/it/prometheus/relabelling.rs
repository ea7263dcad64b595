//! The recipes of `generate relabel-config`: in a real Prometheus, a target has the labels that the other tool gave it.
//!
//! Each recipe has two jobs. One reads targets as the other tool wrote them (in `relabelling.json`, `there`); the other
//! reads them as this program writes them (`here`), with the rules of the recipe. Both must scrape the same, with the
//! same labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;
use serde_json::json;

use super::{Prometheus, succeeds};
use crate::tools::{program, tool, wait};

type Labels = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
struct Fixture {
    cases: Vec<Case>,
    /// Labels that targets have in common.
    #[serde(flatten)]
    shared: BTreeMap<String, Labels>,
}

#[derive(Debug, Deserialize)]
struct Case {
    recipe: String,
    there: Written,
    here: Written,
}

#[derive(Debug, Deserialize)]
struct Written {
    address: String,
    /// The shared labels that the target has; its own replace them.
    #[serde(default)]
    of: Vec<String>,
    labels: Labels,
}

impl Written {
    fn group(&self, shared: &BTreeMap<String, Labels>) -> serde_json::Value {
        let shared = self.of.iter().flat_map(|name| &shared[name]);
        let labels: BTreeMap<_, _> = shared.chain(&self.labels).collect();
        json!({"targets": [self.address], "labels": labels})
    }
}

fn rules(recipe: &str) -> String {
    succeeds(program().args(["generate", "relabel-config", "--like", recipe]))
}

/// The names that `--like` takes.
fn recipes() -> BTreeSet<String> {
    let help = succeeds(program().args(["generate", "--help"]));
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let option = help.split("--like <NAME>").nth(1).unwrap();
    let names = option.split("[possible values: ").nth(1).unwrap().split(']').next().unwrap();
    names.split(", ").map(str::to_owned).collect()
}

/// A rule by which the test sees those labels of the other tool that only rules see.
fn revealing<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let labels = cases.flat_map(|case| case.there.labels.keys());
    let hidden: BTreeSet<_> =
        labels.filter(|name| name.starts_with("__") && !name.ends_with("__")).map(|name| &**name).collect();
    let hidden = hidden.into_iter().collect::<Vec<_>>().join("|");
    format!("  - action: labelmap\n    regex: ({hidden})\n    replacement: seen$1\n")
}

#[test]
fn a_target_has_the_labels_that_the_other_tool_gave_it() {
    let Fixture { cases, shared } = serde_json::from_str(include_str!("relabelling.json")).unwrap();
    let recipes = recipes();
    assert_eq!(cases.iter().map(|case| case.recipe.clone()).collect::<BTreeSet<_>>(), recipes);

    let directory = tempfile::tempdir().unwrap();
    let mut configuration = "global:\n  scrape_interval: 1h\nscrape_configs:\n".to_owned();
    for recipe in &recipes {
        let of_recipe = || cases.iter().filter(|case| case.recipe == *recipe);
        let (there, here): (Vec<_>, Vec<_>) =
            of_recipe().map(|case| (case.there.group(&shared), case.here.group(&shared))).unzip();
        let pasted = rules(recipe).replace("relabel_configs: []", "relabel_configs:");
        let nothing = "relabel_configs:\n".to_owned();
        for (place, targets, rules) in [("there", there, nothing), ("here", here, pasted)] {
            let job = format!("{recipe}-{place}");
            let file = directory.path().join(format!("{job}.json"));
            fs::write(&file, json!(targets).to_string()).unwrap();
            configuration += &format!("  - job_name: {job}\n    file_sd_configs: [{{files: [{file:?}]}}]\n");
            let rules = rules + &revealing(of_recipe());
            configuration.extend(rules.lines().map(|line| format!("    {line}\n")));
        }
    }
    let path = directory.path().join("prometheus.yml");
    fs::write(&path, &configuration).unwrap();
    succeeds(tool("promtool").args(["check", "config"]).arg(&path));

    let mut prometheus = Prometheus::start(&path);
    let found = wait(|| {
        let found = prometheus.targets()?;
        if found.len() == 2 * cases.len() { Ok(found) } else { Err(format!("{:?}", found.keys())) }
    });
    let of_place = |place: &str| -> BTreeMap<(String, String), Labels> {
        let of_place = found.iter().filter_map(|(key, target)| {
            let recipe = key.pool.strip_suffix(place)?.to_owned();
            let mut labels = target.labels.clone();
            // The name of the scrape job: its own, or the default of `--job-name`.
            labels.retain(|name, value| name != "job" || ![&*key.pool, "ecs"].contains(&&**value));
            Some(((recipe, key.url.clone()), labels))
        });
        of_place.collect()
    };
    let (there, here) = (of_place("-there"), of_place("-here"));
    assert_eq!(there.len(), cases.len());
    for (target, labels) in &there {
        assert_eq!(here.get(target), Some(labels), "{target:?}");
    }
}

#[test]
fn the_name_of_the_job_is_any_text() {
    let generate = |recipe: &str, name: &str| {
        let arguments = ["generate", "relabel-config", "--like", recipe, "--job-name", name];
        let output = program().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, rules) = generate("ecs_observer", "it's $1: #1");
    assert_eq!(code, Some(0));
    let directory = tempfile::tempdir().unwrap();
    let targets = directory.path().join("targets.json");
    fs::write(&targets, json!([{"targets": ["127.0.0.1:9"], "labels": {}}]).to_string()).unwrap();
    let rules: String = rules.lines().map(|line| format!("    {line}\n")).collect();
    let path = directory.path().join("prometheus.yml");
    let job = format!("  - job_name: job\n    file_sd_configs: [{{files: [{targets:?}]}}]\n{rules}");
    fs::write(&path, format!("scrape_configs:\n{job}")).unwrap();
    let mut check = tool("promtool");
    check.args(["check", "service-discovery", "--timeout=1s"]).arg(&path).arg("job");
    let found: serde_json::Value = serde_json::from_str(&succeeds(&mut check)).unwrap();
    assert_eq!(found[0]["labels"]["job"], "it's $1: #1");

    for (recipe, name, error) in [
        ("teralytics", "web", "--job-name: the rules of teralytics do not set the name of the job"),
        ("apptality", " ", "--job-name: this is empty"),
        ("apptality", "a\nb", "--job-name: this has a control character"),
    ] {
        let (code, told) = generate(recipe, name);
        assert_eq!(code, Some(2));
        assert!(told.contains(error), "{told}");
    }
}

#[test]
fn an_unknown_recipe_is_told_the_known_ones() {
    let told = |arguments: &[&str]| {
        let output = program().args(["generate", "relabel-config"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let unknown = told(&["--like", "teralitics"]);
    assert!(unknown.contains("a similar value exists: 'teralytics'"), "{unknown}");
    assert!(recipes().iter().all(|recipe| unknown.contains(&**recipe)), "{unknown}");
    assert!(told(&[]).contains("--like <NAME>"));
    for (alias, recipe) in [("cozero", "teralytics"), ("supabase", "teralytics"), ("winglot", "litsea")] {
        assert_eq!(rules(alias), rules(recipe));
    }
}
