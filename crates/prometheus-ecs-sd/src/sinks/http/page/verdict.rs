//! Whether all is well, in a sentence, and the numbers that one looks at first.

use ecs_discovery::snapshot::{Scope, Standing};
use maud::{Markup, html};

use super::words::{ago, count, number, seconds};
use crate::board::{Published, SourceStanding};
use crate::clock::Reading;

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is published, and nothing went wrong.
    UnderWay,
    /// Nothing is published, since this much could not be read.
    Nothing { sources: usize },
    /// What is published is of the run before.
    Restored,
    /// Some sources or clusters could not be heard.
    Incomplete { sources: usize, clusters: usize },
    /// All clusters are up to date except these, to which AWS denies access.
    Denied { clusters: usize },
    /// All was heard, and there is no cluster.
    Empty,
    /// All was heard, but some containers are not scraped that should be.
    Unscraped { containers: usize },
    /// All was heard.
    Well,
}

impl Verdict {
    pub(super) fn new(published: &Published, sources: &[SourceStanding]) -> Self {
        let scopes = &published.snapshot.scopes;
        let troubled = sources.iter().filter(|source| source.problem.is_some()).count();
        let count = |denied| {
            scopes.values().filter(|scope| scope.problem().is_some() && scope.denied == denied).count()
        };
        let (in_trouble, denied) = (count(false), count(true));
        let restored = scopes.values().any(|scope| scope.standing == Standing::Restored);
        let unexpected = published.snapshot.findings().filter(|finding| finding.unexpected().is_some());
        match published.number {
            0 if troubled > 0 => Self::Nothing { sources: troubled },
            0 => Self::UnderWay,
            _ if troubled + in_trouble > 0 => Self::Incomplete { sources: troubled, clusters: in_trouble },
            _ if restored => Self::Restored,
            _ if scopes.is_empty() => Self::Empty,
            _ if denied > 0 => Self::Denied { clusters: denied },
            _ => match unexpected.count() {
                0 => Self::Well,
                containers => Self::Unscraped { containers },
            },
        }
    }

    fn tone(self) -> &'static str {
        match self {
            Self::Well => "good",
            Self::UnderWay | Self::Restored => "calm",
            Self::Empty | Self::Unscraped { .. } | Self::Incomplete { .. } | Self::Denied { .. } => "warn",
            Self::Nothing { .. } => "bad",
        }
    }

    /// For the window.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Well | Self::Unscraped { .. } => "all heard",
            Self::UnderWay => "under way",
            Self::Restored => "restored",
            Self::Empty => "no clusters",
            Self::Incomplete { .. } | Self::Denied { .. } => "not all heard",
            Self::Nothing { .. } => "nothing published",
        }
    }

    fn headline(self) -> String {
        match self {
            Self::Well => "All is well".to_owned(),
            Self::UnderWay => "Discovery is under way".to_owned(),
            Self::Nothing { .. } => "Nothing is published yet".to_owned(),
            Self::Restored => "Targets of the run before are published".to_owned(),
            Self::Empty => "There is no cluster".to_owned(),
            Self::Incomplete { clusters: 0, sources } => {
                format!("{} could not be heard in full", count(sources, "source"))
            }
            Self::Incomplete { clusters, .. } => format!("{} could not be heard", count(clusters, "cluster")),
            Self::Denied { clusters } => format!("Access to {} is denied", count(clusters, "cluster")),
            Self::Unscraped { containers: 1 } => "1 container is not scraped".to_owned(),
            Self::Unscraped { containers } => format!("{} containers are not scraped", number(containers)),
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Well => "Every cluster was heard, and every container that asks to be scraped is a target.",
            Self::UnderWay => "Targets appear here once every source has been heard for the first time.",
            Self::Nothing { .. } => "The problem is below, and discovery goes on trying.",
            Self::Restored => "AWS has not answered yet. Until it does, targets stay as they were saved.",
            Self::Empty => "Everything was heard. See that --region and --cluster name what you mean.",
            Self::Incomplete { .. } => {
                "What was known stays as it was, and discovery goes on trying. The problem is below."
            }
            Self::Denied { .. } => {
                "All other clusters are up to date. Allow the access, or select other clusters with --cluster."
            }
            Self::Unscraped { .. } => {
                "Every cluster was heard. What is not scraped, why, and what to do about it is below."
            }
        }
    }
}

pub(super) fn section(
    verdict: &Verdict,
    published: &Published,
    sources: &[SourceStanding],
    now: Reading,
) -> Markup {
    let scopes = &published.snapshot.scopes;
    let heard = scopes.values().filter(|scope: &&Scope| scope.standing == Standing::Heard).count();
    let refreshed = sources.iter().filter_map(|source| source.refreshed).max();
    html! {
        section #verdict class=(verdict.tone()) aria-labelledby="verdict-heading" {
            div {
                h1 #verdict-heading { (verdict.headline()) }
                p { (verdict.sentence()) }
            }
            dl {
                div { dt { "targets" } dd #number-of-targets { (number(published.snapshot.target_count())) } }
                div { dt { "not scraped" } dd { (number(published.snapshot.not_scraped())) } }
                div { dt { "clusters heard" } dd { (number(heard)) small { " of " (number(scopes.len())) } } }
                div {
                    dt { "refreshed" }
                    dd {
                        @match refreshed {
                            Some(at) => { (ago(at, now)) small { " in " (seconds(published.took)) } }
                            None => "not yet",
                        }
                    }
                }
            }
        }
    }
}
