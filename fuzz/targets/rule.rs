//! The texts of rules: ports, lists of labels and patterns. Any text is read or refused, and what was read is read the same
//! again from its full form.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::conventions::path::Path;
use ecs_discovery::conventions::rule::{Pattern, fuzzing};
use ecs_discovery::interval::Intervals;

fuzz::target!(rule);

/// The maximum bytes of a path, which a full form may exceed.
const LONGEST: usize = 4096;

fn rule(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let intervals = Intervals::default();
    for (port, path, interval) in fuzzing::ports(text, &intervals).into_iter().flatten() {
        assert_ne!(port, 0);
        let path_text = path.as_ref().map(written).unwrap_or_default();
        // A query's own commas are written in another way.
        if path_text.len() <= LONGEST && !path_text.contains(',') {
            let before = interval.as_ref().map(|interval| format!("{interval}:")).unwrap_or_default();
            let full = format!("{before}{port}{path_text}");
            assert_eq!(fuzzing::ports(&full, &intervals), [Ok((port, path, interval))], "{full:?}");
        }
    }
    let (labels, warnings) = fuzzing::pairs(text);
    assert!(labels.len() + warnings <= text.split(',').count());
    for (key, value) in &labels {
        assert!(
            !key.is_empty() && !key.starts_with("__") && !key.contains([',', '=']) && !value.contains(',')
        );
    }
    let full: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let full = full.join(",");
    assert_eq!(fuzzing::pairs(&full), (labels, 0));
    if let Ok(pattern) = Pattern::new(text) {
        assert_eq!(pattern.as_str(), text);
        pattern.matches(text);
    }
}

fn written(Path { path, parameters }: &Path) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    if query.is_empty() { path.to_string() } else { format!("{path}?{query}") }
}
