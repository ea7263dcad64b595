//! A search: the text, the filters and the page, as in the query of the address.

use form_urlencoded::Serializer;

/// Longer texts find nothing that shorter ones do not.
const LONGEST: usize = 200;

/// The search; by default all fields are empty, and the pages are the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// The text as typed.
    pub(super) text: String,
    pub(super) interval: String,
    pub(super) convention: String,
    /// A cluster's name.
    pub(super) cluster: String,
    pub(super) job: String,
    /// The status of the cluster.
    pub(super) state: String,
    /// The page of the targets, from 1.
    pub(super) page: usize,
    /// The page of the containers that are not scraped, from 1.
    pub(super) skipped: usize,
}

impl Search {
    pub(super) fn parse(query: &str) -> Self {
        let mut search = Self { page: 1, skipped: 1, ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let position = || value.parse().unwrap_or(1).max(1);
            match &*name {
                "q" => search.text = value.trim().chars().take(LONGEST).collect(),
                "interval" => search.interval = value.into_owned(),
                "convention" => search.convention = value.into_owned(),
                "cluster" => search.cluster = value.into_owned(),
                "job" => search.job = value.into_owned(),
                "state" => search.state = value.into_owned(),
                "page" => search.page = position(),
                "skipped" => search.skipped = position(),
                _ => {}
            }
        }
        search
    }

    /// The words that must all occur. Of an ARN only the last part is searched, since other ARNs share the rest.
    pub(super) fn words(&self) -> Vec<String> {
        let last_part = |word: &str| match word.starts_with("arn:") {
            true => word.rsplit('/').next().unwrap_or_default().to_lowercase(),
            false => word.to_lowercase(),
        };
        self.text.split_whitespace().map(last_part).collect()
    }

    /// Whether anything is filtered out.
    pub(super) fn is_narrow(&self) -> bool {
        let filters = [&self.interval, &self.convention, &self.cluster, &self.job, &self.state];
        !self.text.is_empty() || filters.into_iter().any(|filter| !filter.is_empty())
    }

    /// The link to another page of the same search.
    pub(super) fn link(&self, page: usize, skipped: usize, section: &str) -> String {
        let mut query = Serializer::for_suffix("./?".to_owned(), "./?".len());
        let texts = [
            ("q", &self.text),
            ("interval", &self.interval),
            ("convention", &self.convention),
            ("cluster", &self.cluster),
            ("job", &self.job),
            ("state", &self.state),
        ];
        query.extend_pairs(texts.into_iter().filter(|(_, value)| !value.is_empty()));
        let pages = [("page", page), ("skipped", skipped)];
        let pages = pages.into_iter().filter(|(_, page)| *page > 1);
        query.extend_pairs(pages.map(|(name, page)| (name, page.to_string())));
        format!("{}#{section}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_parses_to_the_search_it_was_made_from() {
        let search = Search::parse("q=a+%26b&job=%22x%22&page=0&skipped=zwei&other=1");
        assert_eq!((&*search.text, &*search.job, search.page, search.skipped), ("a &b", "\"x\"", 1, 1));
        let link = search.link(3, 1, "targets");
        assert_eq!(link, "./?q=a+%26b&job=%22x%22&page=3#targets");
        let query = link.trim_start_matches("./?").trim_end_matches("#targets");
        assert_eq!(Search::parse(query), Search { page: 3, ..search });
    }

    #[test]
    fn the_last_part_of_an_arn_is_searched() {
        let words = Search::parse("q=Web+arn:aws:ecs:eu-west-1:1:task/prod/0AF7").words();
        assert_eq!(words, ["web", "0af7"]);
    }
}
