//! Apply: the single writer. Commands in log order go in; answers and events come out.

mod command;
mod outcome;

pub use command::{BatchId, Command, Error as CommandError, HEADER_BYTES, VERSION, decode_header, encode_header};
pub use outcome::{Applied, Outcome, Refusal};
