//! The overall status in a sentence, and the most important numbers.

use std::borrow::Cow;

use ecs_discovery::snapshot::{Scope, ScopeStatus};
use ecs_discovery::text::{count, number};
use maud::{Markup, html};

use super::format::{ago, seconds};
use crate::clock::Reading;
use crate::published::{Published, SourceStatus};

/// The overall status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overall {
    /// Nothing is published yet, and nothing failed.
    UnderWay,
    /// Nothing is published, since these sources could not be read.
    Nothing { sources: usize },
    /// The published targets are those of the previous run.
    Restored,
    /// Some sources were not read yet, and nothing failed.
    Starting { unread: usize },
    /// Some sources or clusters could not be read.
    Incomplete { sources: usize, clusters: usize },
    /// All clusters are up to date except these, to which AWS denies access.
    Denied { clusters: usize },
    /// All sources were read, and there is no cluster.
    Empty,
    /// All clusters are up to date, but some of the containers that are not scraped should be.
    Unscraped { containers: usize, unexpected: usize },
    /// All clusters are up to date, and no container needs attention.
    Well,
}

impl Overall {
    pub(super) fn new(published: &Published, sources: &[SourceStatus]) -> Self {
        let scopes = &published.snapshot.scopes;
        let failed = sources.iter().filter(|source| source.problem.is_some()).count();
        let count = |denied| {
            scopes.values().filter(|scope| scope.problem().is_some() && scope.denied == denied).count()
        };
        let (unread_clusters, denied) = (count(false), count(true));
        let unread = sources.iter().filter(|source| source.refreshed.is_none()).count();
        let restored = scopes.values().any(|scope| scope.status == ScopeStatus::Restored);
        let unexpected = published.snapshot.findings().filter(|finding| finding.unexpected().is_some());
        match published.number {
            0 if failed > 0 => Self::Nothing { sources: failed },
            0 => Self::UnderWay,
            _ if failed + unread_clusters > 0 => {
                Self::Incomplete { sources: failed, clusters: unread_clusters }
            }
            _ if restored => Self::Restored,
            _ if unread > 0 => Self::Starting { unread },
            _ if scopes.is_empty() => Self::Empty,
            _ if denied > 0 => Self::Denied { clusters: denied },
            _ => match unexpected.count() {
                0 => Self::Well,
                unexpected => Self::Unscraped { containers: published.snapshot.not_scraped(), unexpected },
            },
        }
    }

    fn tone(self) -> &'static str {
        match self {
            Self::Well => "good",
            Self::UnderWay | Self::Starting { .. } | Self::Restored => "calm",
            Self::Empty | Self::Unscraped { .. } | Self::Incomplete { .. } | Self::Denied { .. } => "warn",
            Self::Nothing { .. } => "bad",
        }
    }

    /// The label of the time of the last refresh.
    fn refresh(self) -> &'static str {
        match self {
            Self::Nothing { .. } | Self::Incomplete { .. } => "tried",
            _ => "refreshed",
        }
    }

    /// The title of the window.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Well | Self::Unscraped { .. } => "up to date",
            Self::UnderWay | Self::Starting { .. } => "starting",
            Self::Restored => "restored",
            Self::Empty => "no clusters",
            Self::Incomplete { .. } | Self::Denied { .. } => "not up to date",
            Self::Nothing { .. } => "nothing published",
        }
    }

    fn headline(self) -> String {
        match self {
            Self::Well => "All is well".to_owned(),
            Self::UnderWay | Self::Starting { .. } => "The first refresh is running".to_owned(),
            Self::Nothing { .. } => "Nothing is published yet".to_owned(),
            Self::Restored => "The targets of the previous run are published".to_owned(),
            Self::Empty => "There is no cluster".to_owned(),
            Self::Incomplete { clusters: 0, sources } => {
                format!("{} could not be read completely", count(sources, "source"))
            }
            Self::Incomplete { clusters, .. } => format!("{} could not be read", count(clusters, "cluster")),
            Self::Denied { clusters } => format!("Access to {} is denied", count(clusters, "cluster")),
            Self::Unscraped { containers: 1, .. } => "1 container is not scraped".to_owned(),
            Self::Unscraped { containers, .. } => {
                format!("{} containers are not scraped", number(containers))
            }
        }
    }

    fn sentence(self) -> Cow<'static, str> {
        match self {
            Self::Well => "All clusters are up to date, and no container needs attention.".into(),
            Self::UnderWay => "Targets appear here when a source has been read.".into(),
            Self::Starting { unread } => {
                let have = if unread == 1 { "has" } else { "have" };
                let unread = count(unread, "source");
                format!("{unread} {have} not been read yet. The targets of the others are published.").into()
            }
            Self::Nothing { .. } => "The list of sources shows the problem. Discovery tries again.".into(),
            Self::Restored => "AWS has not answered yet. Until then, the saved targets are kept.".into(),
            Self::Empty => "All sources were read. Check --region and --cluster.".into(),
            Self::Incomplete { .. } => {
                "The known targets are kept, and discovery tries again. The list of sources shows the problem.".into()
            }
            Self::Denied { .. } => {
                "All other clusters are up to date. Allow the access, or select other clusters with --cluster."
                    .into()
            }
            Self::Unscraped { containers, unexpected } if containers == unexpected => {
                "All clusters are up to date. The reasons, and what to do about them, are listed below.".into()
            }
            Self::Unscraped { unexpected, .. } => format!(
                "{} of them {} attention. The reasons, and what to do about them, are listed below.",
                number(unexpected),
                if unexpected == 1 { "needs" } else { "need" }
            )
            .into(),
        }
    }
}

pub(super) fn section(
    overall: &Overall,
    published: &Published,
    sources: &[SourceStatus],
    now: Reading,
) -> Markup {
    let scopes = &published.snapshot.scopes;
    let up_to_date = scopes.values().filter(|scope: &&Scope| scope.status == ScopeStatus::Fresh).count();
    let refreshed = sources.iter().filter_map(|source| source.refreshed).max();
    html! {
        section #verdict class=(overall.tone()) aria-labelledby="verdict-heading" {
            div {
                h1 #verdict-heading { (overall.headline()) }
                p { (overall.sentence()) }
            }
            dl {
                div { dt { "targets" } dd #number-of-targets { (number(published.snapshot.target_count())) } }
                div { dt { "not scraped" } dd { (number(published.snapshot.not_scraped())) } }
                div { dt { "clusters up to date" } dd { (number(up_to_date)) small { " of " (number(scopes.len())) } } }
                div {
                    dt { (overall.refresh()) }
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
