//! Sorted values of which many versions exist: a changed version shares with the one before all parts that did not
//! change, so that both a change and the difference of two versions cost what was changed.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter;
use std::sync::Arc;

/// The maximum number of values in a part. A change copies the references of one part, and the list of parts: of 10,000
/// values that is 64 references and a list of 160. Smaller parts make that list longer, larger ones the copy.
const PART: usize = 64;

/// Parts are cut again when there are this many times as many as full ones would be.
const SPARSE: usize = 4;

/// Values in an order that the caller gives, the same for each call.
#[derive(Clone, Debug)]
pub struct Sorted<T> {
    /// None of them is empty.
    parts: Vec<Arc<[Arc<T>]>>,
    len: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }
}

impl<T: PartialEq + Eq> PartialEq for Sorted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for Sorted<T> {}

impl<T> Sorted<T> {
    /// Of values that are in order.
    pub(crate) fn new(values: &[Arc<T>]) -> Self {
        Self { parts: cut(values).collect(), len: values.len() }
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> + Clone {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether another version has the same parts, and so the same values.
    pub(crate) fn shares_all(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, twin)| Arc::ptr_eq(one, twin))
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values for which `place` is `Equal`. It says how a value compares to the requested ones.
    pub(crate) fn range(&self, place: impl Fn(&T) -> Ordering) -> impl Iterator<Item = &Arc<T>> {
        let first = self.parts.partition_point(|part| part.last().is_some_and(|last| place(last).is_lt()));
        let before =
            self.parts.get(first).map_or(0, |part| part.partition_point(|value| place(value).is_lt()));
        let values = self.parts[first..].iter().flat_map(|part| part.iter());
        values.skip(before).take_while(move |value| place(value).is_eq())
    }

    /// The same without the values `gone`, which must be in it, and with the values `new`; both are in order.
    pub(crate) fn with(&self, gone: &[Arc<T>], new: &[Arc<T>], order: impl Fn(&T, &T) -> Ordering) -> Self {
        let left: HashSet<_> = gone.iter().map(Arc::as_ptr).collect();
        let (mut gone, mut new) = (gone, new);
        let mut parts = Vec::with_capacity(self.parts.len() + 1);
        for (number, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(number + 1).map(|next| &*next[0]);
            let count = next.map_or(new.len(), |next| new.partition_point(|one| order(one, next).is_lt()));
            let own = new.split_off(..count).unwrap_or_default();
            // Of equal values some may be in one part and some in the next.
            let is_before = |end: &T| gone.partition_point(|one| order(one, end).is_lt());
            gone = &gone[is_before(&part[0])..];
            let loses = gone.first().zip(part.last()).is_some_and(|(one, last)| order(one, last).is_le());
            if own.is_empty() && !loses {
                parts.push(part.clone());
                continue;
            }
            let stays = part.iter().filter(|value| !left.contains(&Arc::as_ptr(value)));
            let mut values: Vec<_> = stays.chain(own).cloned().collect();
            values.sort_by(|one, other| order(one, other));
            parts.extend(cut(&values));
        }
        parts.extend(cut(new));
        let len = parts.iter().map(|part| part.len()).sum();
        if parts.len() > SPARSE * (1 + len / PART) {
            let values: Vec<_> = parts.iter().flat_map(|part| part.iter()).cloned().collect();
            return Self::new(&values);
        }
        Self { parts, len }
    }

    /// The values that another version does not share, in order.
    pub(crate) fn beyond<'a>(&'a self, other: &Self) -> impl Iterator<Item = &'a Arc<T>> {
        let parts = |sorted: &Self| sorted.parts.iter().map(|part| part.as_ptr()).collect::<HashSet<_>>();
        let (own, others) = (parts(self), parts(other));
        let unshared = other.parts.iter().filter(|part| !own.contains(&part.as_ptr()));
        let known: HashSet<_> = unshared.flat_map(|part| part.iter()).map(Arc::as_ptr).collect();
        let unshared = self.parts.iter().filter(move |part| !others.contains(&part.as_ptr()));
        unshared.flat_map(|part| part.iter()).filter(move |value| !known.contains(&Arc::as_ptr(value)))
    }
}

/// As few parts as possible, all of about the same size.
fn cut<T>(values: &[Arc<T>]) -> impl Iterator<Item = Arc<[Arc<T>]>> {
    let count = values.len().div_ceil(PART);
    let size = values.len().div_ceil(count.max(1)).max(1);
    values.chunks(size).map(Arc::from)
}

/// The values of two lists in order that are in only one of them.
pub(crate) fn unequal<T: PartialEq>(
    before: Vec<Arc<T>>,
    now: Vec<Arc<T>>,
    order: impl Fn(&T, &T) -> Ordering,
) -> (Vec<Arc<T>>, Vec<Arc<T>>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut now = now.into_iter().peekable();
    for value in before {
        new.extend(iter::from_fn(|| now.next_if(|now| order(now, &value).is_lt())));
        if now.next_if(|now| *now == value).is_none() {
            gone.push(value);
        }
    }
    new.extend(now);
    (gone, new)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A number with a name; the order is that of the numbers alone.
    type Value = (u16, usize);

    fn by_number(one: &Value, other: &Value) -> Ordering {
        one.0.cmp(&other.0)
    }

    fn number_of_parts(sorted: &Sorted<Value>) -> usize {
        sorted.parts.len()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_changed_version_has_what_a_sorted_list_would_have(
            changes in vec((vec(0_u16..500, 0..200), vec(any::<prop::sample::Index>(), 0..200)), 1..8),
        ) {
            let (mut sorted, mut list) = (Sorted::default(), Vec::<Arc<Value>>::new());
            for (step, (numbers, leaving)) in changes.into_iter().enumerate() {
                let mut new: Vec<_> = numbers.into_iter().map(|number| Arc::new((number, step))).collect();
                new.sort();
                let leaving = leaving.iter().filter(|_| !list.is_empty());
                let leaving: HashSet<_> = leaving.map(|at| Arc::as_ptr(at.get(&list))).collect();
                let (gone, stays) = list.into_iter().partition(|one| leaving.contains(&Arc::as_ptr(one)));
                let (gone, before): (Vec<_>, _) = (gone, sorted.clone());
                list = stays;
                list.extend(new.iter().cloned());
                list.sort_by(|one, other| by_number(one, other));
                sorted = sorted.with(&gone, &new, by_number);
                prop_assert!(sorted.iter().eq(&list));
                prop_assert_eq!(sorted.len(), list.len());
                prop_assert!(sorted.parts.iter().all(|part| (1..=PART).contains(&part.len())));
                prop_assert!(number_of_parts(&sorted) <= SPARSE * (1 + list.len() / PART));
                prop_assert!(sorted.beyond(&before).eq(&new));
                prop_assert_eq!(sorted.shares_all(&before), gone.is_empty() && new.is_empty());
                prop_assert!(before.beyond(&sorted).eq(&gone));
                for number in [0, 1, 250, 499] {
                    let expected: Vec<_> = list.iter().filter(|one| one.0 == number).collect();
                    prop_assert_eq!(sorted.range(|one| one.0.cmp(&number)).collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    #[test]
    fn one_change_copies_one_part() {
        let values: Vec<_> = (0..1000).map(|number| Arc::new((2 * number, 0))).collect();
        let before = Sorted::new(&values);
        let after = before.with(&values[500..501], &[Arc::new((1, 0))], by_number);
        let is_shared = |part: &&Arc<_>| before.parts.iter().any(|other| Arc::ptr_eq(other, part));
        assert_eq!(after.parts.iter().filter(|part| !is_shared(part)).count(), 2);
        assert_eq!(after.len(), 1000);
    }
}
