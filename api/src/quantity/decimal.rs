//! Decimal numbers of any length, for the quantities that 64 bits do not hold.
//!
//! Promises: exact; no operation takes time or memory beyond the digits that were written, whatever the exponent (upstream's
//! comparison of `1e2000000000` builds that number). Does not: divide.
//! Source: `gopkg.in/inf.v0`, as far as `resource.Quantity` uses it.

use std::cmp::Ordering;

/// Digits by which two numbers are aligned at most before the smaller one no longer counts.
const ALIGN_DIGITS_MAX: i64 = 4_096;

/// `±digits × 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Most significant first, values 0 to 9, no zeros in front; empty is zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    pub(super) fn new(value: i64, exponent: i64) -> Decimal {
        let digits = value.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        Decimal { negative: value < 0, digits, exponent }.without_leading_zeros()
    }

    /// From digits with at most one point among them, and a sign in front.
    pub(super) fn parse(text: &str) -> Option<Decimal> {
        let negative = text.starts_with('-');
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits: Option<Vec<u8>> =
            whole.bytes().chain(fraction.bytes()).map(|byte| byte.is_ascii_digit().then(|| byte - b'0')).collect();
        let digits = digits.filter(|digits| !digits.is_empty())?;
        let exponent = -i64::try_from(fraction.len()).ok()?;
        Some(Decimal { negative, digits, exponent }.without_leading_zeros())
    }

    fn without_leading_zeros(mut self) -> Decimal {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.negative &= !self.digits.is_empty();
        self
    }

    pub(super) fn sign(&self) -> i32 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    pub(super) fn negated(mut self) -> Decimal {
        self.negative = !self.negative && !self.digits.is_empty();
        self
    }

    pub(super) fn scaled(mut self, by: i64) -> Decimal {
        self.exponent += by;
        self
    }

    /// Times `2^power`.
    pub(super) fn shifted(mut self, power: u32) -> Decimal {
        debug_assert!(power <= 60, "the largest suffix is Ei");
        let mut carry = 0u128;
        for digit in self.digits.iter_mut().rev() {
            carry += u128::from(*digit) << power;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        let mut front = Vec::new();
        while carry > 0 {
            front.push((carry % 10) as u8);
            carry /= 10;
        }
        front.reverse();
        self.digits.splice(0..0, front);
        self
    }

    /// With no digits below `10^exponent`, away from zero; and whether nothing was lost.
    pub(super) fn rounded_up(&self, exponent: i64) -> (Decimal, bool) {
        if self.exponent >= exponent || self.digits.is_empty() {
            return (self.clone(), true);
        }
        let dropped = usize::try_from(exponent - self.exponent).unwrap_or(usize::MAX);
        let kept = self.digits.len().saturating_sub(dropped);
        let exact = self.digits[kept..].iter().all(|digit| *digit == 0);
        let mut digits = self.digits[..kept].to_vec();
        if !exact {
            let nines = digits.iter().rev().take_while(|digit| **digit == 9).count();
            let from = digits.len() - nines;
            digits[from..].fill(0);
            match from.checked_sub(1) {
                Some(at) => digits[at] += 1,
                None => digits.insert(0, 1),
            }
        }
        (Decimal { negative: self.negative, digits, exponent }.without_leading_zeros(), exact)
    }

    /// Digits and exponent with no zeros at the end, the exponent a multiple of three.
    pub(super) fn canonical(&self) -> (String, i64) {
        let zeros = self.digits.iter().rev().take_while(|digit| **digit == 0).count();
        let mut digits = self.digits[..self.digits.len() - zeros].to_vec();
        let mut exponent = self.exponent + zeros as i64;
        while exponent % 3 != 0 {
            digits.push(0);
            exponent -= 1;
        }
        let sign = if self.negative { "-" } else { "" };
        let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        (format!("{sign}{digits}"), exponent)
    }

    /// As an integer, if it is one and fits.
    pub(super) fn to_i128(&self) -> Option<i128> {
        let (digits, exponent) = self.canonical();
        if self.digits.is_empty() {
            return Some(0);
        }
        let power = u32::try_from(exponent).ok().filter(|power| *power < 40)?;
        digits.parse::<i128>().ok()?.checked_mul(10i128.checked_pow(power)?)
    }

    fn magnitude_cmp(&self, other: &Decimal) -> Ordering {
        let top = |of: &Decimal| of.digits.len() as i64 + of.exponent;
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        top(self).cmp(&top(other)).then_with(|| {
            let longest = self.digits.len().max(other.digits.len());
            let padded = |of: &Decimal, at: usize| of.digits.get(at).copied().unwrap_or(0);
            (0..longest)
                .map(|at| padded(self, at).cmp(&padded(other, at)))
                .find(|each| each.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    }

    pub(super) fn cmp(&self, other: &Decimal) -> Ordering {
        self.sign().cmp(&other.sign()).then_with(|| match self.negative {
            false => self.magnitude_cmp(other),
            true => other.magnitude_cmp(self),
        })
    }

    pub(super) fn plus(&self, other: &Decimal) -> Decimal {
        let (small, large) = if self.magnitude_cmp(other).is_lt() { (self, other) } else { (other, self) };
        let exponent = small.exponent.min(large.exponent);
        if small.digits.is_empty() || small.exponent.max(large.exponent) - exponent > ALIGN_DIGITS_MAX {
            return large.clone();
        }
        // The larger one's sign is the sum's.
        let subtract = small.negative != large.negative;
        let digit_of = |of: &Decimal, place: i64| {
            let at = of.digits.len() as i64 - 1 - (place + exponent - of.exponent);
            usize::try_from(at).ok().and_then(|at| of.digits.get(at)).copied().map_or(0, i32::from)
        };
        let places = large.digits.len() as i64 + large.exponent - exponent;
        let (mut digits, mut carry) = (Vec::new(), 0i32);
        for place in 0..places {
            let other = digit_of(small, place);
            let sum = digit_of(large, place) + carry + if subtract { -other } else { other };
            digits.push(sum.rem_euclid(10) as u8);
            carry = sum.div_euclid(10);
        }
        if carry > 0 {
            digits.push(carry as u8);
        }
        digits.reverse();
        Decimal { negative: large.negative, digits, exponent }.without_leading_zeros()
    }
}
