//! An explanation for people, in a terminal; [`json`] is the same for tools.
//!
//! All text that is not ours is [`printable`]. Lines are not wrapped: a value that is copied is whole.

pub mod json;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::conventions::environment::readings::VariableReading;
use crate::conventions::list::Dialect;
use crate::explain::conventions::{ExplainedConvention, SourceReading};
use crate::explain::report::{Group, Report, Subject};
use crate::explain::{ContainerVerdict, ExplainedContainer, ExplainedEndpoint, ExplainedTarget, Explanation};
use crate::finding::Problem;
use crate::model::LaunchType;
use crate::text::{count, printable};

/// Whether a terminal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Yes.
    On,
    /// No: there is nothing but text.
    Off,
}

/// A report as text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a Report, pub Colours);

/// So many groups of alike tasks are told in full, and no more.
const GROUPS: usize = 10;

/// A column is not made wider for one long value.
const WIDEST: usize = 60;

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report, colours) = self;
        if let Subject::Service { name, cluster } = &report.subject {
            let tasks = match report.tasks {
                0 => "no task is to run".to_owned(),
                tasks => count(tasks, "task"),
            };
            writeln!(f, "Service {} in cluster {}: {tasks}", printable(name), printable(cluster))?;
            let looked_at = report.explanations().count();
            if looked_at < report.tasks {
                writeln!(f, "The first {looked_at} of them were looked at.")?;
            }
            writeln!(f)?;
        }
        for group in report.groups.iter().take(GROUPS) {
            colours.group(f, group)?;
        }
        let left_out: usize = report.groups.iter().skip(GROUPS).map(|group| 1 + group.alike.len()).sum();
        if left_out > 0 {
            writeln!(
                f,
                "{} that come to something else again are left out here.\n",
                count(left_out, "task")
            )?;
        }
        self.summary(f)
    }
}

impl Text<'_> {
    fn summary(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report, colours) = self;
        let containers = || report.explanations().flat_map(|explanation| explanation.containers());
        let not_asked =
            containers().filter(|one| matches!(one.verdict, ContainerVerdict::NotAsked(_))).count();
        let not_scraped = containers().filter(|one| one.problem().is_some()).count();
        let targets = count(report.targets(), "target");
        let targets = match report.targets() {
            0 => colours.red("Nothing would be scraped"),
            _ => colours.green(&targets),
        };
        write!(f, "{targets}")?;
        if not_scraped > 0 {
            write!(f, ", {} not scraped", count(not_scraped, "container"))?;
        }
        if not_asked > 0 {
            write!(f, ", {} not opted in", count(not_asked, "container"))?;
        }
        writeln!(f)?;
        if let Some(hint) = report.hint() {
            writeln!(f, "{} {hint}", colours.yellow("hint:"))?;
        }
        if report.explanations().any(Explanation::is_draft) && report.targets() > 0 {
            writeln!(f, "{}", colours.dim(STAND_INS))?;
        }
        Ok(())
    }
}

const STAND_INS: &str =
    "What only a running task has stands in <…>; one on a container instance has labels of its host too.";

impl Colours {
    fn group(self, f: &mut Formatter<'_>, Group { explanation, alike }: &Group) -> fmt::Result {
        self.heading(f, explanation)?;
        match &explanation.containers {
            Ok(containers) if containers.is_empty() => writeln!(f, "It has no containers.\n")?,
            Ok(containers) => containers.iter().try_for_each(|one| self.container(f, explanation, one))?,
            Err(problem) => {
                writeln!(f, "{}", self.red(&format!("not scraped: {}", problem.reason)))?;
                self.problem(f, explanation, problem, "  ")?;
                writeln!(f)?;
            }
        }
        if !alike.is_empty() {
            let ids = alike.iter().map(|one| one.task.arn.last_part()).take(GROUPS).collect::<Vec<_>>();
            let more = if ids.len() < alike.len() { ", …" } else { "" };
            let ids = printable(&ids.join(", ")).into_owned();
            writeln!(f, "The same holds for {}: {ids}{more}\n", count(alike.len(), "more task"))?;
        }
        Ok(())
    }

    fn heading(self, f: &mut Formatter<'_>, explanation: &Explanation) -> fmt::Result {
        let Explanation { task, cluster, network_mode, instance, .. } = explanation;
        let definition = &task.definition;
        let mode = network_mode.as_ref().map(|mode| format!(", network mode {}", mode.as_str()));
        let mode = mode.unwrap_or_default();
        let assumed = match explanation.network_mode_is_assumed {
            true => ", which is assumed: --network-mode names another",
            false => "",
        };
        let line = if explanation.is_draft() {
            format!("Task definition {}{mode}{assumed}", definition.family())
        } else {
            let launch_type = task.launch_type.as_ref().map(LaunchType::as_str);
            let launch_type = launch_type.map(|kind| format!(", {kind}")).unwrap_or_default();
            let instance = instance.as_ref().map(|id| format!(" on {id}")).unwrap_or_default();
            let (id, definition, cluster) =
                (task.arn.last_part(), definition.last_part(), cluster.arn.last_part());
            format!("Task {id} of {definition} in cluster {cluster}{mode}{launch_type}{instance}")
        };
        writeln!(f, "{}\n", self.bold(&printable(&line)))
    }

    fn container(
        self,
        f: &mut Formatter<'_>,
        explanation: &Explanation,
        container: &ExplainedContainer,
    ) -> fmt::Result {
        let name = printable(&container.name);
        let verdict = match (&container.verdict, container.problem()) {
            (ContainerVerdict::NotAsked(why), _) => self.dim(&format!("not opted in, {why}")),
            (_, Some(problem)) if problem.reason.is_expected() => {
                self.yellow(&format!("not scraped, {}", problem.reason))
            }
            (_, Some(problem)) => self.red(&format!("not scraped, {}", problem.reason)),
            (_, None) => self.green(&count(container.targets().count(), "target")),
        };
        writeln!(f, "{}: {verdict}", self.bold(&name))?;
        if container.conventions.is_empty() {
            self.rows(f, "  ", container.variables.iter().map(Row::of_a_variable).collect())?;
        }
        for convention in &container.conventions {
            self.convention(f, container, convention)?;
        }
        for warning in &container.warnings {
            writeln!(f, "  {} {}", self.yellow("warning:"), printable(warning))?;
        }
        for hint in &container.hints {
            writeln!(f, "  {} {}", self.yellow("hint:"), printable(hint))?;
        }
        match &container.verdict {
            ContainerVerdict::NotAsked(_) => {}
            ContainerVerdict::NotScraped(problem) => self.problem(f, explanation, problem, "  ")?,
            ContainerVerdict::Endpoints(endpoints) => match &endpoints[..] {
                [ExplainedEndpoint { outcome: Err(problem), .. }] => {
                    self.problem(f, explanation, problem, "  ")?;
                }
                endpoints => {
                    self.endpoints(f, explanation, endpoints, container.conventions.is_empty())?;
                }
            },
        }
        writeln!(f)
    }

    fn convention(
        self,
        f: &mut Formatter<'_>,
        container: &ExplainedContainer,
        convention: &ExplainedConvention,
    ) -> fmt::Result {
        let ExplainedConvention { name, place, asked, why, seen } = convention;
        let place = place.as_deref().map(|place| format!(" ({place})")).unwrap_or_default();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let line = format!("  {name}{}{}", printable(&place), printable(&why));
        writeln!(f, "{}", if *asked { line } else { self.dim(&line) })?;
        if !asked {
            return Ok(());
        }
        let rows = match &**name == Dialect::Environment.name() {
            true => container.variables.iter().map(Row::of_a_variable).collect(),
            false => seen.iter().map(Row::of_a_source).collect(),
        };
        self.rows(f, "    ", rows)
    }

    fn rows(self, f: &mut Formatter<'_>, indent: &str, rows: Vec<Row<'_>>) -> fmt::Result {
        let widths = rows.iter().map(|row| row.text.chars().count()).filter(|width| *width <= WIDEST);
        let widest = widths.max().unwrap_or_default();
        let places = rows.iter().map(|row| row.place.len()).max().unwrap_or_default();
        for Row { text, place, meaning, counts } in rows {
            let line = format!("{indent}{text:widest$}  {place:places$}  {}", printable(meaning));
            writeln!(f, "{}", if counts { line } else { self.dim(&line) })?;
        }
        Ok(())
    }

    fn endpoints(
        self,
        f: &mut Formatter<'_>,
        explanation: &Explanation,
        endpoints: &[ExplainedEndpoint],
        is_alone: bool,
    ) -> fmt::Result {
        let mut told = BTreeMap::new();
        for ExplainedEndpoint { convention, written, outcome } in endpoints {
            match outcome {
                Ok(explained) => self.target(f, explanation, explained, is_alone, &mut told)?,
                Err(problem) => {
                    let reason = self.red(&format!("not scraped, {}", problem.reason));
                    let of = if is_alone { String::new() } else { format!(" of {convention}") };
                    writeln!(f, "\n  endpoint {}{of}: {reason}", printable(written))?;
                    self.problem(f, explanation, problem, "    ")?;
                }
            }
        }
        Ok(())
    }

    fn problem(
        self,
        f: &mut Formatter<'_>,
        explanation: &Explanation,
        problem: &Problem,
        indent: &str,
    ) -> fmt::Result {
        writeln!(f, "{indent}why         {}", printable(&explanation.detail(problem)))?;
        writeln!(f, "{indent}what to do  {}", problem.reason.advice())
    }

    /// Labels that are dropped after relabelling are many: what was `told` of the first endpoint is not told again.
    fn target(
        self,
        f: &mut Formatter<'_>,
        explanation: &Explanation,
        explained: &ExplainedTarget,
        is_alone: bool,
        told: &mut BTreeMap<String, String>,
    ) -> fmt::Result {
        let ExplainedTarget { target, interval, address, port } = explained;
        let url = explanation.url(target);
        let every = if target.asked.interval { format!(" every {}", target.interval) } else { String::new() };
        writeln!(f, "\n  {}{every}", self.green(&printable(&url)))?;
        let width = match is_alone {
            true => "interval".len(),
            false => "convention".len(),
        };
        let convention = (!is_alone).then_some(("convention", target.convention()));
        let facts = [("interval", interval.as_str()), ("address", address), ("port", port)];
        for (name, text) in convention.into_iter().chain(facts) {
            writeln!(f, "    {name:width$}  {}", printable(text))?;
        }
        let labels = explanation.labels(target);
        let (passing, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            labels.into_iter().partition(|(name, _)| name.starts_with("__"));
        let none = if kept.is_empty() { ": none, since Prometheus sets job and instance" } else { "" };
        writeln!(f, "    labels{none}")?;
        for (name, value) in &kept {
            writeln!(f, "      {name}=\"{}\"", quoted(value))?;
        }
        let as_above = if told.is_empty() { "" } else { ", as above but for" };
        writeln!(f, "    {}", self.dim(&format!("labels until relabelling{as_above}")))?;
        for (name, value) in passing.iter().filter(|(name, value)| told.get(*name) != Some(value)) {
            writeln!(f, "      {}", self.dim(&format!("{name}=\"{}\"", quoted(value))))?;
        }
        for name in told.keys().filter(|name| !passing.contains_key(*name)) {
            writeln!(f, "      {}", self.dim(&format!("{name}, which it lacks")))?;
        }
        if told.is_empty() {
            *told = passing;
        }
        Ok(())
    }

    fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.styled("2", text)
    }

    fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.styled("33", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// A line about a text that was read.
struct Row<'a> {
    text: String,
    place: &'static str,
    meaning: &'a str,
    counts: bool,
}

impl<'a> Row<'a> {
    fn of_a_variable(seen: &'a VariableReading) -> Self {
        let value = seen.value.as_deref().map(printable);
        let text = format!("{}={}", seen.variable.name(), value.as_deref().unwrap_or("<secret>"));
        Self { text, place: seen.place.as_str(), meaning: &seen.meaning, counts: seen.counts }
    }

    fn of_a_source(seen: &'a SourceReading) -> Self {
        let text = format!("{}={}", printable(&seen.name), printable(&seen.value));
        Self { text, place: seen.place, meaning: &seen.meaning, counts: true }
    }
}

/// A label's value as PromQL writes it.
fn quoted(value: &str) -> String {
    printable(&value.replace('\\', "\\\\").replace('"', "\\\"")).into_owned()
}
