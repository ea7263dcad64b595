//! Reads all pages of an answer, with a limit, and detects repeated tokens.

use ecs_discovery::failure::Failure;

use super::failure::unreadable;

/// The largest question fits into four pages of the smallest size AWS documents for full pages; AWS may
/// give shorter ones, but not so short.
const MAX_PAGES: usize = 20;

/// The position in one listing.
#[derive(Debug)]
pub(super) struct Pages {
    operation: &'static str,
    tokens: Vec<String>,
}

impl Pages {
    /// Before the first page.
    pub(super) fn new(operation: &'static str) -> Self {
        Self { operation, tokens: Vec::new() }
    }

    /// The token of the next page; `None` for the first.
    pub(super) fn token(&self) -> Option<&str> {
        self.tokens.last().map(String::as_str)
    }

    /// Records the token at the end of a page; returns it unless that page was the last.
    pub(super) fn next(&mut self, next: Option<String>) -> Result<Option<&str>, Failure> {
        let Some(next) = next.filter(|token| !token.is_empty()) else { return Ok(None) };
        if self.tokens.contains(&next) {
            return Err(unreadable(self.operation, "it repeats a page token"));
        }
        if self.tokens.len() + 1 >= MAX_PAGES {
            return Err(unreadable(self.operation, &format!("it has more than {MAX_PAGES} pages")));
        }
        self.tokens.push(next);
        Ok(self.token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_or_empty_token_ends_the_listing() {
        let mut pages = Pages::new("DescribeInstances");
        assert_eq!(pages.token(), None);
        assert_eq!(pages.next(Some("a".into())), Ok(Some("a")));
        assert_eq!(pages.token(), Some("a"));
        assert_eq!(pages.next(Some(String::new())), Ok(None));
        assert_eq!(pages.next(None), Ok(None));
    }

    #[test]
    fn a_circle_and_an_endless_listing_are_failures() {
        let mut pages = Pages::new("DescribeInstances");
        pages.next(Some("a".into())).expect("a second page");
        pages.next(Some("b".into())).expect("a third page");
        let failure = pages.next(Some("a".into())).expect_err("a circle");
        assert_eq!(failure.message, "DescribeInstances: the answer cannot be used: it repeats a page token");
        let mut pages = Pages::new("DescribeInstances");
        let read = (0..).take_while(|page| pages.next(Some(page.to_string())).is_ok()).count();
        assert_eq!(read + 1, MAX_PAGES);
    }
}
