//! How the status page and its time line write numbers.

/// `10,000`
pub(in crate::sinks) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 cluster`, `10,000 clusters`
pub(in crate::sinks) fn count(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 10_000, 1_234_567].map(number),
            ["0", "999", "1,000", "10,000", "1,234,567"]
        );
    }
}
