//! What a URL's query asks for: any text is understood or refused, and equal wishes are equal filters.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::filter::Filter;
use ecs_discovery::interval::Intervals;

fuzz::target!(filter);

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

fn filter(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let intervals = Intervals::default();
    let Ok(filter) = Filter::parse(query, &intervals) else { return };
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let names = ["interval", "account", "region", "cluster"];
    assert!(
        pairs.iter().all(|(name, value)| names.contains(&&**name) && !value.trim().is_empty()),
        "{query:?}"
    );

    let mut backwards = form_urlencoded::Serializer::new(String::new());
    backwards.extend_pairs(pairs.iter().rev());
    // Saying it twice asks for nothing else, but no more than a hundred values are heard.
    if pairs.len() <= 50 {
        backwards.extend_pairs(&pairs);
    }
    assert_eq!(Filter::parse(&backwards.finish(), &intervals).as_ref(), Ok(&filter), "{query:?}");
    assert_eq!(pairs.is_empty(), filter == Filter::default(), "{query:?}");

    // An account that is not known yet could be any.
    assert!(filter.covers(None, REGION) || !filter.covers(Some(ACCOUNT), REGION), "{query:?}");
    let is_said = |name: &str| pairs.iter().any(|(own, _)| own == name);
    let by_arn = |(name, value): &(_, std::borrow::Cow<'_, str>)| {
        *name == "cluster" && value.trim().starts_with("arn:")
    };
    if !(is_said("account") || is_said("region") || pairs.iter().any(by_arn)) {
        assert!(filter.covers(Some(ACCOUNT), REGION), "{query:?}");
    }
}
