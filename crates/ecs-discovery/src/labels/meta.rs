//! Which meta labels are published: the operator's patterns, matched with the labels' names.
//!
//! The name of each label is matched once, when the patterns are read. Names that end in a key (of a tag or a docker label)
//! are matched for each target only if the patterns select some names of their family and not others. The patterns
//! affect no other labels.

use std::collections::BTreeSet;
use std::fmt;

use wildmatch::WildMatch;

use super::{ALL, Label, sanitized};

/// The beginning of the names of all meta labels.
pub const PREFIX: &str = "__meta_ecs_";

/// The maximum number of bytes of a pattern, as of a text that a sentence quotes. Keys of tags have at most 128 characters.
const PATTERN_BYTES: usize = 256;

/// How similar a name must be to one that was meant, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// A glob of names of meta labels without their prefix: `*` stands for any characters, and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetaPattern(Box<str>);

/// The meta labels that are published; by default all of them.
#[derive(Clone, Debug)]
pub struct MetaLabels {
    patterns: BTreeSet<MetaPattern>,
    globs: Vec<WildMatch>,
    /// The labels of [`ALL`], by their position.
    published: [Published; ALL.len()],
}

/// Whether a label is published, or which labels of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    Never,
    Always,
    /// Those of a family whose name is [selected](MetaLabels::selects).
    ByName,
}

impl MetaPattern {
    /// Matches every label.
    const ANY: &str = "*";

    /// Reads a pattern; one that no label can match is refused in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("the name of a label is empty".to_owned());
        }
        if text.len() > PATTERN_BYTES {
            return Err(format!("a pattern is longer than {PATTERN_BYTES} bytes"));
        }
        if let Some(name) = text.strip_prefix(PREFIX) {
            let name = if name.is_empty() { Self::ANY } else { name };
            return Err(format!("{text:?} begins with {PREFIX}; leave the prefix out, and write {name}"));
        }
        let is_of_pattern = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '?');
        if let Some(other) = text.chars().find(|c| !is_of_pattern(*c)) {
            let written: String = text.chars().map(|c| if is_of_pattern(c) { c } else { '_' }).collect();
            return Err(format!("{text:?} has {other:?}, which no label's name has; write {written}"));
        }
        let pattern = Self(text.into());
        if ALL.iter().any(|label| family(label).is_some_and(|family| family == text)) {
            return Err(format!("{text:?} is only the beginning of names; write {text}*"));
        }
        if ALL.iter().all(|label| !pattern.can_match(label)) {
            let advice = pattern.similar().map_or_else(
                || format!("write what follows {PREFIX} in its name, such as cluster or task_*"),
                |name| format!("did you mean {name}?"),
            );
            return Err(format!("{text:?} matches no meta label; {advice}"));
        }
        Ok(pattern)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, name: &str) -> bool {
        WildMatch::new(&self.0).matches(name)
    }

    /// Whether it matches a label, or can match one of a family: a beginning of the pattern matches that of the names.
    fn can_match(&self, label: &Label) -> bool {
        match (name(label), family(label)) {
            (_, Some(family)) => (0..=self.0.len()).any(|end| WildMatch::new(&self.0[..end]).matches(family)),
            (Some(name), None) => self.matches(name),
            (None, None) => false,
        }
    }

    /// Whether it matches every name that begins like this.
    fn matches_all(&self, family: &str) -> bool {
        self.0.ends_with('*') && self.matches(family)
    }

    /// The name or family that is probably meant.
    fn similar(&self) -> Option<String> {
        let written = |label: &Label| match family(label) {
            Some(family) => Some(format!("{family}*")),
            None => name(label).map(str::to_owned),
        };
        let names = ALL.iter().filter_map(written);
        let similar = names.map(|name| (strsim::jaro_winkler(&name, &self.0), name));
        let (similarity, name) = similar.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        (similarity >= SIMILAR).then_some(name)
    }
}

/// The name of a meta label without the prefix.
fn name(label: &Label) -> Option<&'static str> {
    label.name.strip_prefix(PREFIX)
}

/// The same, of a family: the beginning of the names.
fn family(label: &Label) -> Option<&'static str> {
    name(label).filter(|name| name.ends_with('_'))
}

impl MetaLabels {
    /// The maximum number of patterns: each is tried on the keys of some targets.
    pub const PATTERNS: usize = 100;

    /// Those that a pattern matches; none without patterns.
    pub fn new(patterns: impl IntoIterator<Item = MetaPattern>) -> Self {
        let patterns: BTreeSet<_> = patterns.into_iter().collect();
        let any = |matches: &dyn Fn(&MetaPattern) -> bool| patterns.iter().any(matches);
        let published = |label: &Label| match (name(label), family(label)) {
            (None, _) => Published::Always,
            (_, Some(family)) if any(&|pattern| pattern.matches_all(family)) => Published::Always,
            _ if !any(&|pattern| pattern.can_match(label)) => Published::Never,
            (_, Some(_)) => Published::ByName,
            (_, None) => Published::Always,
        };
        let published = std::array::from_fn(|position| published(&ALL[position]));
        let globs = patterns.iter().map(|pattern| WildMatch::new(&pattern.0)).collect();
        Self { patterns, globs, published }
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether it is published, or of a family some label can be.
    pub(crate) fn includes(&self, label: Label) -> bool {
        self.of(label) != Published::Never
    }

    pub(super) fn of(&self, label: Label) -> Published {
        self.published[label.position]
    }

    /// The name of a family's label with this key, if it is published.
    pub(super) fn named(&self, label: Label, key: &str) -> Option<String> {
        let name = || [label.name, &sanitized(key)].concat();
        match self.of(label) {
            Published::Never => None,
            Published::Always => Some(name()),
            Published::ByName => Some(name()).filter(|name| self.selects(&name[PREFIX.len()..])),
        }
    }

    fn selects(&self, name: &str) -> bool {
        self.globs.iter().any(|glob| glob.matches(name))
    }
}

impl Default for MetaLabels {
    fn default() -> Self {
        Self::new([MetaPattern(MetaPattern::ANY.into())])
    }
}

impl PartialEq for MetaLabels {
    /// Everything else follows from the patterns.
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for MetaLabels {}

impl fmt::Display for MetaLabels {
    /// The patterns in their order, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        let patterns: Vec<_> = self.patterns.iter().map(MetaPattern::as_str).collect();
        f.write_str(&patterns.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::{META_CONTAINER_LABEL, META_TAG, META_TAG_TASK};
    use super::*;

    fn selected(patterns: &str) -> MetaLabels {
        MetaLabels::new(patterns.split(' ').map(|text| MetaPattern::parse(text).expect("a pattern")))
    }

    #[test]
    fn a_family_is_matched_by_name_only_if_patterns_divide_it() {
        let check = |patterns: &str| {
            [META_CONTAINER_LABEL, META_TAG, META_TAG_TASK].map(|family| selected(patterns).of(family))
        };
        use Published::{Always, ByName, Never};
        assert_eq!(check("*"), [Always, Always, Always]);
        assert_eq!(check("cluster"), [Never, Never, Never]);
        assert_eq!(check("tag_*"), [Never, Always, Always]);
        assert_eq!(check("tag_task_*"), [Never, ByName, Always]);
        assert_eq!(check("tag_ta*"), [Never, ByName, Always]);
        assert_eq!(check("t*_*"), [Never, Always, Always]);
        assert_eq!(check("c*"), [Always, Never, Never]);
        assert_eq!(check("container_label_team_*"), [ByName, Never, Never]);
        assert_eq!(check("container_label_team_* cont*"), [Always, Never, Never]);
        assert_eq!(check("tag_??"), [Never, ByName, Never]);
        assert_eq!(check("*team"), [ByName, ByName, ByName]);
    }

    #[test]
    fn what_no_label_matches_is_refused_in_words() {
        let check = |text: &str| MetaPattern::parse(text).unwrap_err();
        assert_snapshot!(check(" "), @"the name of a label is empty");
        assert_snapshot!(check("__meta_ecs_cluster"), @r#""__meta_ecs_cluster" begins with __meta_ecs_; leave the prefix out, and write cluster"#);
        assert_snapshot!(check("__meta_ecs_"), @r#""__meta_ecs_" begins with __meta_ecs_; leave the prefix out, and write *"#);
        assert_snapshot!(check("tag_task_cost-center"), @r#""tag_task_cost-center" has '-', which no label's name has; write tag_task_cost_center"#);
        assert_snapshot!(check("{cluster,service}"), @r#""{cluster,service}" has '{', which no label's name has; write _cluster_service_"#);
        assert_snapshot!(check("servce"), @r#""servce" matches no meta label; did you mean service?"#);
        assert_snapshot!(check("container_label"), @r#""container_label" matches no meta label; did you mean container_label_*?"#);
        assert_snapshot!(check("tag_task_"), @r#""tag_task_" is only the beginning of names; write tag_task_*"#);
        assert_snapshot!(check("instance"), @r#""instance" matches no meta label; write what follows __meta_ecs_ in its name, such as cluster or task_*"#);
        assert_snapshot!(check(&"x".repeat(257)), @"a pattern is longer than 256 bytes");
    }
}
