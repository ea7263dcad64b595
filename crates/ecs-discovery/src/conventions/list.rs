//! The conventions that are turned on, in their order of precedence.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::rule::{Rule, Source};
use crate::model::Names;
use crate::variable::Variable;

/// The conventions that are turned on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conventions {
    list: Arc<[Convention]>,
    names: Names,
}

/// A convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Convention {
    /// A dialect of the `PROMETHEUS_*` variables.
    Variables(Dialect),
    /// Rules of one name.
    Rules(Arc<str>, Vec<Rule>),
}

/// Who reads the `PROMETHEUS_*` variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `discoverecs.py`
    Environment,
    /// PromED
    Promed,
}

impl Dialect {
    /// The name of the convention.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Promed => "promed",
        }
    }

    /// The same, shared.
    pub(crate) fn shared_name(self) -> Arc<str> {
        static NAMES: LazyLock<[Arc<str>; 2]> =
            LazyLock::new(|| [Dialect::Environment, Dialect::Promed].map(|dialect| dialect.name().into()));
        NAMES[self as usize].clone()
    }

    /// The variables that it reads.
    pub(crate) fn names(self) -> Names {
        static PROMED: LazyLock<Names> = LazyLock::new(|| {
            let own = [PROMED_TARGET.to_owned(), format!("{PROMED_LABEL}*")];
            Names::new(Variable::ALL.map(|variable| variable.name().to_owned()).into_iter().chain(own))
        });
        match self {
            Self::Environment => Names::default(),
            Self::Promed => PROMED.clone(),
        }
    }

    /// The variable that opts in.
    pub(crate) fn opt_in(self) -> &'static str {
        match self {
            Self::Environment => Variable::Prometheus.name(),
            Self::Promed => PROMED_TARGET,
        }
    }
}

/// The variable that opts in for PromED.
pub(crate) const PROMED_TARGET: &str = "PROMETHEUS_TARGET";
/// The beginning of PromED's variables for custom labels.
pub(crate) const PROMED_LABEL: &str = "PROMETHEUS_LABEL_";

impl Convention {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Variables(dialect) => dialect.name(),
            Self::Rules(name, _) => name,
        }
    }
}

/// An element of the list as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A dialect of the variables.
    Variables(Dialect),
    /// A rule.
    Rule(Box<Rule>),
}

impl Entry {
    /// A rule.
    pub fn rule(rule: Rule) -> Self {
        Self::Rule(Box::new(rule))
    }
}

impl Conventions {
    /// In the order of precedence. Rules of one name are one convention, which has the place of the first.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut list: Vec<Convention> = Vec::new();
        for entry in entries {
            match entry {
                Entry::Variables(dialect) => list.push(Convention::Variables(dialect)),
                Entry::Rule(rule) => {
                    let same = list.iter_mut().find_map(|convention| match convention {
                        Convention::Rules(name, rules) if *name == rule.name => Some(rules),
                        _ => None,
                    });
                    match same {
                        Some(rules) => rules.push(*rule),
                        None => list.push(Convention::Rules(rule.name.clone(), vec![*rule])),
                    }
                }
            }
        }
        let names = names(&list);
        Self { list: list.into(), names }
    }

    /// In the order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = &Convention> {
        self.list.iter()
    }

    /// The environment variables whose values they need.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whether only the variables of `discoverecs.py` are read.
    pub fn is_environment_alone(&self) -> bool {
        matches!(*self.list, [Convention::Variables(Dialect::Environment)])
    }

    /// Every rule.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.list.iter().flat_map(|convention| match convention {
            Convention::Variables(_) => &[][..],
            Convention::Rules(_, rules) => rules,
        })
    }

    /// Whether a rule reads tags.
    pub fn read_tags(&self) -> bool {
        self.rules().flat_map(Rule::sources).any(|source| matches!(source, Source::Tag(_)))
    }
}

/// The variables of `discoverecs.py` are always among them: `explain` shows them.
fn names(list: &[Convention]) -> Names {
    let mut names: BTreeSet<Box<str>> = Names::default().iter().map(Into::into).collect();
    for convention in list {
        match convention {
            Convention::Variables(dialect) => names.extend(dialect.names().iter().map(Into::into)),
            Convention::Rules(_, rules) => {
                names.extend(rules.iter().flat_map(Rule::sources).filter_map(|source| match source {
                    Source::Environment(name) => Some((**name).into()),
                    _ => None,
                }));
            }
        }
    }
    if names.len() == Variable::ALL.len() { Names::default() } else { Names::new(names) }
}

/// The variables of `discoverecs.py` alone.
impl Default for Conventions {
    fn default() -> Self {
        Self::new([Entry::Variables(Dialect::Environment)])
    }
}
