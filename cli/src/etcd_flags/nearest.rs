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

/// Levenshtein's distance in which two neighbours that changed places are one edit, a row at a time.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let left: Vec<char> = left.chars().collect();
    let (mut before, mut above) = (Vec::new(), (0..=right.len()).collect::<Vec<usize>>());
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(l != r);
            let mut least = replaced.min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        (before, above) = (above, row);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = || ["listen-client-urls", "listen-peer-urls", "name"].map(str::to_owned);
        assert_eq!(nearest("lisen-client-url", names()).as_deref(), Some("listen-client-urls"));
        assert_eq!(nearest("nmae", names()).as_deref(), Some("name"));
        assert_eq!(nearest("nam", names()).as_deref(), Some("name"));
        assert_eq!(nearest("frobnicate", names()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
