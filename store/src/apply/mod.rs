//! Apply: the single writer. Commands in log order go in; answers and events come out.

mod applier;
mod command;
pub(crate) mod meta;
mod outcome;

pub use applier::{Answers, Applier, Applying, Error, Published, Tables};
pub use command::{BatchId, Command, Error as CommandError, HEADER_BYTES, VERSION, decode_header, encode_header};
pub use outcome::{Applied, Outcome, Refusal};
