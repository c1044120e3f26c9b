//! Quantities: amounts with a suffix, as in `100m` and `2Gi`.
//!
//! Promises: what upstream takes and refuses, its texts, its canonical form (including that text which is canonical enough
//! is kept as it was written), its order. Precision ends at the ninth decimal, rounded away from zero.
//! Source: apimachinery `pkg/api/resource/quantity.go`, `suffix.go`, `amount.go`.

mod decimal;

use std::cmp::Ordering;
use std::fmt;

use decimal::Decimal;
use thiserror::Error;

/// Digits that surely fit 64 bits.
const SMALL_DIGITS_MAX: i32 = 18;
/// The last decimal that counts.
const NANO: i32 = -9;

const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Text that is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadQuantity {
    /// It has another form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// Its number is none.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// Its suffix is none.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Which family of suffixes a quantity is printed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `1e3`.
    DecimalExponent,
    /// `1Ki`.
    BinarySi,
    /// `1k`.
    DecimalSi,
}

#[derive(Clone, Debug)]
enum Amount {
    Small { value: i64, scale: i32 },
    Large(Decimal),
}

/// A quantity.
#[derive(Clone, Debug)]
pub struct Quantity {
    amount: Amount,
    format: Format,
    /// The text it came as, where upstream keeps that.
    text: Option<Box<str>>,
}

/// The parts of a quantity's text.
struct Parts<'a> {
    positive: bool,
    value: &'a str,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, BadQuantity> {
    let positive = !text.starts_with('-');
    let start = usize::from(text.starts_with(['-', '+']));
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let zeros = start + text[start..].bytes().take_while(|byte| *byte == b'0').count();
    if zeros == text.len() {
        return Ok(Parts { positive, value: "0", whole: "0", fraction: "", suffix: "" });
    }
    let mut at = zeros + digits(zeros);
    let whole = if at > zeros { &text[zeros..at] } else { "0" };
    let mut fraction = "";
    if text[at..].starts_with('.') {
        let end = at + 1 + digits(at + 1);
        fraction = &text[at + 1..end];
        at = end;
    }
    let (value, suffix) = text.split_at(at);
    let letters = suffix.bytes().take_while(|byte| b"eEinumkKMGTP".contains(byte)).count();
    let power = suffix[letters..].strip_prefix(['-', '+']).unwrap_or(&suffix[letters..]);
    match power.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(Parts { positive, value, whole, fraction, suffix }),
        false => Err(BadQuantity::Form),
    }
}

enum Power {
    Ten(i32, Format),
    Two(u32),
}

fn interpret(suffix: &str) -> Option<Power> {
    if let Some((_, power)) = DECIMAL.iter().find(|(each, _)| *each == suffix) {
        return Some(Power::Ten(*power, Format::DecimalSi));
    }
    if let Some((_, power)) = BINARY.iter().find(|(each, _)| *each == suffix) {
        return Some(Power::Two(*power));
    }
    let power = suffix.strip_prefix(['e', 'E']).filter(|power| !power.is_empty())?;
    // Go cuts the 64 bits it has parsed to 32.
    power.parse::<i64>().ok().map(|power| Power::Ten(power as i32, Format::DecimalExponent))
}

impl Quantity {
    /// Of text.
    ///
    /// # Errors
    /// When upstream refuses it, with its text.
    pub fn parse(text: &str) -> Result<Quantity, BadQuantity> {
        if text.is_empty() {
            return Err(BadQuantity::Form);
        }
        if text == "0" {
            return Ok(Quantity::from_parts(0, 0, Format::DecimalSi, Some(text)));
        }
        let parts = split(text)?;
        let power = interpret(parts.suffix).ok_or(BadQuantity::Suffix)?;
        match Quantity::parse_small(text, &parts, &power)? {
            Some(small) => Ok(small),
            None => Quantity::parse_large(&parts, &power),
        }
    }

    fn from_parts(value: i64, scale: i32, format: Format, text: Option<&str>) -> Quantity {
        Quantity { amount: Amount::Small { value, scale }, format, text: text.map(Box::from) }
    }

    /// Of an integer.
    pub fn from_i64(value: i64, format: Format) -> Quantity {
        Quantity::from_parts(value, 0, format, None)
    }

    /// Of thousandths.
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity::from_parts(value, -3, format, None)
    }

    /// `None`: it may not fit 64 bits.
    fn parse_small(text: &str, parts: &Parts<'_>, power: &Power) -> Result<Option<Quantity>, BadQuantity> {
        let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX / 4);
        let (whole, fraction) = (length(parts.whole), length(parts.fraction));
        let (scale, precision, factor, format) = match power {
            Power::Ten(power, format) => (*power, SMALL_DIGITS_MAX - whole - fraction, 1, *format),
            Power::Two(power) if parts.fraction.is_empty() => {
                (0, 15 - whole - (*power as i32 * 3 / 10) - 1, 1i64 << power, Format::BinarySi)
            }
            Power::Two(_) => return Ok(None),
        };
        let scale = scale.wrapping_sub(fraction);
        if precision < 0 || scale < NANO {
            return Ok(None);
        }
        let digits = format!("{}{}", parts.whole, parts.fraction);
        let value: i64 = digits.parse().map_err(|_| BadQuantity::Number)?;
        let Some(result) = value.checked_mul(factor) else { return Ok(None) };
        let result = if parts.positive { result } else { -result };
        let canonical = match power {
            Power::Two(power) => power % 10 == 0 && value & 7 != 0,
            Power::Ten(..) => scale % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0'),
        };
        Ok(Some(Quantity::from_parts(result, scale, format, canonical.then_some(text))))
    }

    fn parse_large(parts: &Parts<'_>, power: &Power) -> Result<Quantity, BadQuantity> {
        let amount = Decimal::parse(parts.value).ok_or(BadQuantity::Number)?;
        let (mut amount, mut format) = match power {
            Power::Ten(power, format) => (amount.scaled(i64::from(*power)), *format),
            Power::Two(power) => (amount.shifted(*power), Format::BinarySi),
        };
        let negative = amount.sign() < 0;
        if negative {
            amount = amount.negated();
        }
        amount = amount.rounded_up(i64::from(NANO)).0;
        if format == Format::BinarySi {
            let most = Decimal::new(i64::MAX, 0);
            if amount.cmp(&most).is_gt() {
                amount = most;
            }
            if amount.sign() > 0 && amount.cmp(&Decimal::new(1, 0)).is_lt() {
                format = Format::DecimalSi;
            }
        }
        if negative {
            amount = amount.negated();
        }
        Ok(Quantity { amount: Amount::Large(amount), format, text: None })
    }

    fn decimal(&self) -> Decimal {
        match &self.amount {
            Amount::Small { value, scale } => Decimal::new(*value, i64::from(*scale)),
            Amount::Large(amount) => amount.clone(),
        }
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match &self.amount {
            Amount::Small { value, .. } => value.signum() as i32,
            Amount::Large(amount) => amount.sign(),
        }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.sign() == 0
    }

    /// The family of suffixes it is printed with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// As an integer, rounded away from zero; the nearest one of 64 bits if it is beyond.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// As thousandths, rounded away from zero; the nearest of 64 bits if it is beyond.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    fn scaled_value(&self, scale: i64) -> i64 {
        let scaled = self.decimal().rounded_up(scale).0.scaled(-scale);
        let beyond = if scaled.sign() < 0 { i64::MIN } else { i64::MAX };
        scaled.to_i128().and_then(|value| i64::try_from(value).ok()).unwrap_or(beyond)
    }

    /// The sum; in this one's family of suffixes, or the other's where this is zero.
    #[must_use]
    pub fn plus(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        if let (Amount::Small { value, scale }, Amount::Small { value: more, scale: same }) =
            (&self.amount, &other.amount)
            && scale == same
            && let Some(sum) = value.checked_add(*more)
        {
            return Quantity::from_parts(sum, *scale, format, None);
        }
        Quantity { amount: Amount::Large(self.decimal().plus(&other.decimal())), format, text: None }
    }

    /// The difference; in this one's family of suffixes, or the other's where this is zero.
    #[must_use]
    pub fn minus(&self, other: &Quantity) -> Quantity {
        let negated = Quantity { amount: Amount::Large(other.decimal().negated()), format: other.format, text: None };
        self.plus(&negated)
    }

    fn canonical(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let amount = self.decimal();
        if self.format == Format::BinarySi {
            let small = amount.cmp(&Decimal::new(-1024, 0)).is_gt() && amount.cmp(&Decimal::new(1024, 0)).is_lt();
            let (_, whole) = amount.rounded_up(0);
            if let (false, true, Some(mut value)) = (small, whole, amount.to_i128()) {
                let mut times = 0;
                while value % 1024 == 0 {
                    value /= 1024;
                    times += 1;
                }
                let suffix = BINARY.iter().find(|(_, power)| *power == times * 10).map_or("", |(suffix, _)| suffix);
                return format!("{value}{suffix}");
            }
        }
        let (digits, exponent) = amount.canonical();
        match self.format {
            Format::DecimalExponent if exponent != 0 => format!("{digits}e{exponent}"),
            // Beyond the last suffix upstream prints none.
            _ => {
                let suffix = DECIMAL.iter().find(|(_, power)| i64::from(*power) == exponent);
                format!("{digits}{}", suffix.map_or("", |(suffix, _)| suffix))
            }
        }
    }
}

/// The canonical form.
impl fmt::Display for Quantity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => to.write_str(text),
            None => to.write_str(&self.canonical()),
        }
    }
}

/// By amount, whatever the suffix.
impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        match (&self.amount, &other.amount) {
            (Amount::Small { value, scale }, Amount::Small { value: other, scale: same }) if scale == same => {
                value.cmp(other)
            }
            _ => self.decimal().cmp(&other.decimal()),
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quantity {}

#[cfg(test)]
mod quantity_test;
