//! Which clusters of a source are looked at.

use wildmatch::WildMatch;

use crate::arn::ClusterArn;

/// The clusters to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClusterSelection {
    /// Every one.
    #[default]
    All,
    /// Those that a pattern names; none where there is no pattern.
    Matching(Vec<ClusterPattern>),
}

/// One way to name clusters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterPattern {
    /// This one.
    Arn(ClusterArn),
    /// Those of this name, in every source.
    Name(Box<str>),
    /// Those whose name matches, with `*` for any characters and `?` for one.
    Glob(Box<str>),
}

impl ClusterPattern {
    /// Reads an ARN, a glob, or a name; an ARN of something else, or an empty text, is refused in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a cluster's name is empty".to_owned());
        }
        if text.starts_with("arn:") {
            return ClusterArn::parse(text).map(Self::Arn).map_err(|error| error.to_string());
        }
        Ok(if text.contains(['*', '?']) { Self::Glob(text.into()) } else { Self::Name(text.into()) })
    }

    /// Whether it names that cluster.
    pub fn matches(&self, cluster: &ClusterArn) -> bool {
        match self {
            Self::Arn(arn) => arn == cluster,
            Self::Name(name) => **name == *cluster.last_part(),
            Self::Glob(glob) => WildMatch::new(glob).matches(cluster.last_part()),
        }
    }

    /// The name of the one cluster in a source that it can match; none of a glob.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => Some(arn.last_part()),
            Self::Name(name) => Some(name),
            Self::Glob(_) => None,
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Arn(arn) => arn.as_str(),
            Self::Name(text) | Self::Glob(text) => text,
        }
    }
}

impl ClusterSelection {
    /// Those that a pattern names; every cluster when there is no pattern at all.
    pub fn new(patterns: Vec<ClusterPattern>) -> Self {
        if patterns.is_empty() { Self::All } else { Self::Matching(patterns) }
    }

    /// The patterns.
    pub fn patterns(&self) -> &[ClusterPattern] {
        match self {
            Self::All => &[],
            Self::Matching(patterns) => patterns,
        }
    }

    /// Whether the cluster is selected.
    pub fn selects(&self, cluster: &ClusterArn) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| pattern.matches(cluster)),
        }
    }

    /// Whether a pattern matches only this cluster, so that it was explicitly asked for.
    pub fn names(&self, cluster: &ClusterArn) -> bool {
        self.patterns().iter().any(|pattern| pattern.name().is_some() && pattern.matches(cluster))
    }

    /// Whether clusters must be listed to know which are selected.
    pub fn needs_listing(&self) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| pattern.name().is_none()),
        }
    }

    /// What is left for one source: an ARN is asked for only where it can be.
    pub fn within(&self, account: Option<&str>, region: &str) -> Self {
        let mut selection = self.clone();
        if let Self::Matching(patterns) = &mut selection {
            patterns.retain(|pattern| match pattern {
                ClusterPattern::Arn(arn) => {
                    arn.region() == region && account.is_none_or(|account| account == arn.account())
                }
                _ => true,
            });
        }
        selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(patterns: &[&str], cluster: &str) -> bool {
        let patterns = patterns.iter().map(|text| ClusterPattern::parse(text).expect("a pattern")).collect();
        let arn = format!("arn:aws:ecs:eu-west-1:123456789012:cluster/{cluster}");
        ClusterSelection::new(patterns).selects(&ClusterArn::parse(&arn).expect("an ARN"))
    }

    #[test]
    fn names_globs_and_arns_select() {
        assert!(selects(&[], "prod"));
        assert!(selects(&["prod"], "prod") && !selects(&["prod"], "prod-2"));
        assert!(selects(&["prod-*", "x"], "prod-2") && !selects(&["prod-*"], "prod"));
        assert!(selects(&["pro?"], "prod"));
        assert!(selects(&["arn:aws:ecs:eu-west-1:123456789012:cluster/prod"], "prod"));
        assert!(!selects(&["arn:aws:ecs:us-east-1:123456789012:cluster/prod"], "prod"));
    }

    #[test]
    fn what_is_no_cluster_is_refused() {
        assert_eq!(
            ClusterPattern::parse("arn:aws:ecs:r:1:service/x"),
            Err(r#""arn:aws:ecs:r:1:service/x" is not the ARN of a cluster"#.to_owned())
        );
        assert!(ClusterPattern::parse(" ").is_err());
    }
}
