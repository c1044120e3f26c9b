//! The nearest known name to a misspelt one.

/// The name with the fewest edits, if that is at most a third of the word.
pub(super) fn nearest(word: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let edits_max = (word.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (edits(word, &name), name))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Levenshtein's distance, one row at a time.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = || ["listen-client-urls", "listen-peer-urls", "name"].map(str::to_owned);
        assert_eq!(nearest("lisen-client-url", names()).as_deref(), Some("listen-client-urls"));
        assert_eq!(nearest("nmae", names()), None);
        assert_eq!(nearest("nam", names()).as_deref(), Some("name"));
        assert_eq!(nearest("frobnicate", names()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
