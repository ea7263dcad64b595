//! Pages of sorted listings. A token says after which id the next page begins, and of which listing it is; it is
//! opaque to callers and refused anywhere else.

use std::collections::BTreeMap;
use std::ops::Bound;

/// One page.
pub(crate) struct Page<'a, T> {
    pub(crate) items: Vec<&'a T>,
    /// For the next page; absent on the last.
    pub(crate) next_token: Option<String>,
}

/// The page of `sorted` that begins behind `token`: at most `size` of those that are `wanted`. `listing` names what is
/// listed. None when the token is not one of this listing.
pub(crate) fn page<'a, T>(
    sorted: &'a BTreeMap<String, T>,
    listing: &str,
    token: Option<&str>,
    size: usize,
    wanted: impl Fn(&T) -> bool,
) -> Option<Page<'a, T>> {
    let after = match token {
        Some(token) => Some(decode(token, listing)?),
        None => None,
    };
    let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = sorted.range::<str, _>((start, Bound::Unbounded)).filter(|(_, item)| wanted(item));
    let mut items = Vec::with_capacity(size);
    let mut last = "";
    for (id, item) in rest.by_ref().take(size) {
        items.push(item);
        last = id;
    }
    let next_token = rest.next().is_some().then(|| encode(listing, last));
    Some(Page { items, next_token })
}

fn encode(listing: &str, last: &str) -> String {
    format!("{listing}\n{last}").bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str, listing: &str) -> Option<String> {
    let digits = token.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let text = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    let (of, last) = text.split_once('\n')?;
    (of == listing).then(|| last.to_owned())
}
