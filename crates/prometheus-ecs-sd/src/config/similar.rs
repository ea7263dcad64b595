//! Finds the name that a mistyped name probably means.

/// How similar a name must be to one that was meant, from 0 to 1.
const LEAST: f64 = 0.8;

/// The most similar of the names that exist, if it is similar enough.
pub(crate) fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = known.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    let (similarity, nearest) = similarity.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (similarity >= LEAST).then_some(nearest)
}
