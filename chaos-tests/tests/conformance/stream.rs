//! The answers of a gRPC stream whose server says nothing, not even headers, before the first request.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Response, Status, Streaming};

/// How long an answer that must come may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Answers that nobody has asked for yet.
const ANSWERS_PENDING_MAX: usize = 64;

/// What a stream has answered, in order; a failed stream ends with its status.
pub(crate) struct Answers<T> {
    queue: mpsc::Receiver<Result<T, Status>>,
}

impl<T: Send + 'static> Answers<T> {
    /// Opens a stream in the background, so that requests can be sent meanwhile.
    pub(crate) fn of<F>(open: F) -> Answers<T>
    where
        F: Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
    {
        let (sink, queue) = mpsc::channel(ANSWERS_PENDING_MAX);
        tokio::spawn(async move {
            let ended = match open.await {
                Ok(response) => forward(response.into_inner(), &sink).await,
                Err(status) => Err(status),
            };
            if let Err(status) = ended {
                // A row that has seen enough no longer listens.
                sink.send(Err(status)).await.ok();
            }
        });
        Answers { queue }
    }

    /// The next answer; `None` at a regular end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Result<Option<T>, Status>> {
        Ok(timeout(ANSWER_WITHIN, self.queue.recv()).await.context("no answer")?.transpose())
    }

    /// The next answer if there is one within `within`.
    pub(crate) async fn next_within(&mut self, within: Duration) -> Option<Result<Option<T>, Status>> {
        timeout(within, self.queue.recv()).await.ok().map(Option::transpose)
    }
}

async fn forward<T>(mut stream: Streaming<T>, sink: &mpsc::Sender<Result<T, Status>>) -> Result<(), Status> {
    while let Some(answer) = stream.message().await? {
        if sink.send(Ok(answer)).await.is_err() {
            break;
        }
    }
    Ok(())
}
