//! Prints relabelling rules that give targets the labels that another tool gave them.
//!
//! Each tool is a [`Recipe`], a table of rules. A user pastes the rules before their own, which then find the labels that
//! they were written for. This file knows the forms of the rules; the tables are in `relabelling/`.

mod recipes;

use std::fmt;

use super::scalar::{comment, quoted, scalar};
use recipes::RECIPES;

/// The job's name where a tool leaves it to the scrape job, unless the user gives another.
const JOB_NAME: &str = "ecs";

/// The rules that give the labels of one tool.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    /// The names of other tools with the same labels.
    pub(crate) aliases: &'static [&'static str],
    /// The tool, for the comment at the head.
    tool: &'static str,
    /// What else a user must know, in sentences.
    remarks: &'static [&'static str],
    rules: &'static [Rule],
}

/// A label that a rule reads.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A meta label, without its prefix.
    Meta(&'static str),
    /// Any other label, with its whole name.
    Label(&'static str),
}

/// A relabelling rule.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Copies a label to another name, if it is set.
    Copy { to: &'static str, from: Source },
    /// Copies a family of meta labels, whose prefix `to` replaces.
    CopyEach { to: &'static str, family: &'static str },
    /// Copies those docker labels whose names match the pattern, to labels of these names.
    CopyDockerLabels(&'static str),
    /// Sets a label if the sources, joined with `;`, match the pattern.
    Set { to: &'static str, from: &'static [Source], pattern: &'static str, value: &'static str },
    /// Removes the labels whose names match the pattern.
    Drop(&'static str),
    /// Sets `job` to the name that the user gives.
    SetJob,
    /// A comment on the next rule.
    Remark(&'static str),
}

/// All recipes, in the order in which they are listed.
pub(crate) fn recipes() -> &'static [Recipe] {
    RECIPES
}

/// The rules of the recipe of this name; or why there are none.
pub(crate) fn relabel_config(name: &str, job_name: Option<&str>) -> Result<String, String> {
    let is_named = |recipe: &&Recipe| recipe.name == name || recipe.aliases.contains(&name);
    let recipe =
        RECIPES.iter().find(is_named).ok_or_else(|| format!("--like: there is no recipe {name:?}"))?;
    let sets_job = recipe.rules.iter().any(|rule| matches!(rule, Rule::SetJob));
    match job_name {
        Some(_) if !sets_job => Err(format!(
            "--job-name: the rules of {} do not set the name of the job; remove the option",
            recipe.name
        )),
        Some(job_name) if job_name.trim().is_empty() => Err("--job-name: this is empty".to_owned()),
        Some(job_name) if job_name.chars().any(char::is_control) => {
            Err("--job-name: this has a control character".to_owned())
        }
        _ => Ok(Printed { recipe, job_name: job_name.unwrap_or(JOB_NAME) }.to_string()),
    }
}

/// A recipe as YAML.
struct Printed<'a> {
    recipe: &'static Recipe,
    job_name: &'a str,
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recipe { tool, remarks, rules, .. } = self.recipe;
        let use_of_rules = match rules.is_empty() {
            true => "There are no rules for the labels of",
            false => {
                "Paste these rules before the others of a scrape job: they give its targets the labels of"
            }
        };
        let head = format!("{use_of_rules} {tool}.");
        let head: Vec<_> = std::iter::once(&*head).chain(remarks.iter().copied()).collect();
        f.write_str(&comment("", &head.join(" ")))?;
        match rules.is_empty() {
            true => writeln!(f, "relabel_configs: []"),
            false => writeln!(f, "relabel_configs:"),
        }?;
        rules.iter().try_for_each(|rule| self.rule(f, rule))
    }
}

impl Printed<'_> {
    fn rule(&self, f: &mut fmt::Formatter<'_>, rule: &Rule) -> fmt::Result {
        match *rule {
            Rule::Copy { to, from } => replace(f, &[from], "(.+)", to, None),
            Rule::Set { to, from, pattern, value } => replace(f, from, pattern, to, Some(value)),
            Rule::CopyEach { to, family } => {
                let pattern = format!("{}_(.+)", Source::Meta(family));
                let renamed = (!to.is_empty()).then(|| format!("{to}$1"));
                labelmap(f, &pattern, renamed.as_deref())
            }
            Rule::CopyDockerLabels(names) => {
                labelmap(f, &format!("{}_({names})", Source::Meta("container_label")), None)
            }
            Rule::Drop(pattern) => {
                writeln!(f, "  - action: labeldrop")?;
                writeln!(f, "    regex: {}", scalar(pattern))
            }
            Rule::SetJob => {
                writeln!(f, "  - target_label: job")?;
                // A `$` begins a reference to a group of the pattern.
                writeln!(f, "    replacement: {}", quoted(&self.job_name.replace('$', "$$")))
            }
            Rule::Remark(remark) => f.write_str(&comment("  ", remark)),
        }
    }
}

/// Without a value, the label gets the text of the pattern's group.
fn replace(
    f: &mut fmt::Formatter<'_>,
    from: &[Source],
    pattern: &str,
    to: &str,
    value: Option<&str>,
) -> fmt::Result {
    let from: Vec<_> = from.iter().map(ToString::to_string).collect();
    writeln!(f, "  - source_labels: [{}]", from.join(", "))?;
    writeln!(f, "    regex: {}", scalar(pattern))?;
    writeln!(f, "    target_label: {to}")?;
    value.map_or(Ok(()), |value| writeln!(f, "    replacement: {}", scalar(value)))
}

/// Without a name, each label gets the text of the pattern's group as its name.
fn labelmap(f: &mut fmt::Formatter<'_>, pattern: &str, name: Option<&str>) -> fmt::Result {
    writeln!(f, "  - action: labelmap")?;
    writeln!(f, "    regex: {}", scalar(pattern))?;
    name.map_or(Ok(()), |name| writeln!(f, "    replacement: {}", scalar(name)))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta(name) => write!(f, "__meta_ecs_{name}"),
            Self::Label(name) => f.write_str(name),
        }
    }
}
