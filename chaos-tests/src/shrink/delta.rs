//! Delta debugging over a list: which of its things can be left out, asked one question at a time.
//!
//! First all of them, then halves, then smaller chunks down to single things, until a whole round of single things changes
//! nothing: what is left is 1-minimal, as far as the answers can be trusted. Pure.

/// A search over the places of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// What is still in.
    kept: Vec<usize>,
    /// How many are left out at a time.
    chunk: usize,
    /// Where the chunk begins that the next question leaves out.
    at: usize,
    /// Whether this round has left something out.
    changed: bool,
}

impl Delta {
    /// A search over `length` things, all of them in.
    #[must_use]
    pub fn new(length: usize) -> Delta {
        Delta { kept: (0..length).collect(), chunk: length, at: 0, changed: false }
    }

    /// The places that are in so far, ascending.
    #[must_use]
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// The places to try with; `None` when the search is over.
    #[must_use]
    pub fn question(&self) -> Option<Vec<usize>> {
        if self.at >= self.kept.len() {
            return None;
        }
        let to = (self.at + self.chunk).min(self.kept.len());
        Some([&self.kept[..self.at], &self.kept[to..]].concat())
    }

    /// Whether the question's places were enough.
    pub fn answer(&mut self, enough: bool) {
        let to = (self.at + self.chunk).min(self.kept.len());
        if enough {
            self.kept.drain(self.at..to);
            self.changed = true;
        } else {
            self.at = to;
        }
        if self.at < self.kept.len() {
            return;
        }
        let again = self.chunk == 1 && self.changed;
        if self.chunk > 1 || again {
            self.chunk = self.chunk.div_ceil(2).min(self.kept.len().div_ceil(2)).max(1);
            (self.at, self.changed) = (0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random::Random;

    /// What is left, and the questions that it took.
    fn search(length: usize, enough: impl Fn(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let (mut delta, mut questions) = (Delta::new(length), 0);
        while let Some(places) = delta.question() {
            questions += 1;
            assert!(questions < 10_000, "it does not end");
            delta.answer(enough(&places));
        }
        (delta.kept().to_vec(), questions)
    }

    #[test]
    fn the_needed_things_are_left_and_no_others_whatever_they_are() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let length = random.below(60) as usize;
            let needed: Vec<usize> = (0..length).filter(|_| random.below(8) == 0).collect();
            let (left, questions) = search(length, |places| needed.iter().all(|it| places.contains(it)));
            assert_eq!(left, needed, "seed {seed}");
            assert!(questions <= 2 * length + 8 * (needed.len() + 1) * 8, "seed {seed}: {questions} questions");
        }
    }

    #[test]
    fn nothing_is_tried_first_and_one_needed_thing_of_many_is_found_in_few_questions() {
        assert_eq!(search(1_000, |_| true), (Vec::new(), 1));
        let (left, questions) = search(1_024, |places| places.contains(&700));
        assert_eq!(left, [700]);
        assert!(questions <= 32, "{questions}");
    }

    #[test]
    fn what_is_left_is_minimal_even_where_things_hang_together() {
        // Either of two pairs is enough: one whole pair is left, and it is enough by itself.
        let pair = |places: &[usize]| [[3, 17], [8, 9]].iter().any(|pair| pair.iter().all(|it| places.contains(it)));
        let (left, _) = search(20, pair);
        assert_eq!(left.len(), 2);
        assert!(pair(&left));
        // An even number of things: no single one can be left out, and the search says so instead of going on.
        assert_eq!(search(5, |places| places.len() == 5).0.len(), 5);
        assert_eq!(search(0, |_| true).0, Vec::<usize>::new());
    }
}
