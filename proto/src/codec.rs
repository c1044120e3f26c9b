//! The server's codec: prost's, that asks for the room of a whole message before it is encoded.
//!
//! Without that a list of 11 MB is copied at each doubling of the buffer, through twice its size of fresh pages.
//! On the wire nothing differs.

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// The codec of all services in [`served`](crate::served).
#[derive(Debug)]
pub struct RoomyCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for RoomyCodec<T, U> {
    fn default() -> Self {
        RoomyCodec(ProstCodec::new())
    }
}

impl<T, U> Codec for RoomyCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = RoomyEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> RoomyEncoder<T> {
        RoomyEncoder(self.0.encoder())
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        self.0.decoder()
    }
}

/// Encodes a message into a buffer that has room for all of it.
#[derive(Debug)]
pub struct RoomyEncoder<T>(ProstEncoder<T>);

impl<T: Message> Encoder for RoomyEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        self.0.encode(item, buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
