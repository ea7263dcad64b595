//! What a URL's query asks for: any text is understood or refused, and equal wishes are equal filters.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::filter::Filter;
use ecs_discovery::interval::Intervals;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::snapshot::{Scope, Snapshot};

fuzz::target!(filter);

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

fn filter(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let intervals = Intervals::default();
    let Ok(filter) = Filter::parse(query, &intervals) else { return };
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let names = ["interval", "convention", "account", "region", "cluster"];
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

    // Patterns that are compiled together match like each one separately.
    if pairs.iter().all(|(name, _)| name == "cluster") {
        let cluster = |name: &&str| {
            let arn = format!("arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}");
            ClusterArn::parse(&arn).expect("an ARN")
        };
        let clusters: Vec<_> = ["a", "ab", "prod", "prod-2", "shop-prod"].iter().map(cluster).collect();
        let scopes = clusters.iter().map(|cluster| (cluster.clone(), Scope::never_read(cluster.to_string())));
        let snapshot = Snapshot { scopes: scopes.collect() };
        let patterns = pairs.iter().filter_map(|(_, value)| ClusterPattern::parse(value).ok());
        let patterns = ClusterSelection::new(patterns.collect());
        let selected = clusters.iter().filter(|cluster| patterns.selects(cluster)).map(ToString::to_string);
        let scopes = filter.scopes(&snapshot).map(|scope| scope.problem().unwrap_or_default().to_owned());
        assert!(scopes.eq(selected), "{query:?}");
    }
}
