//! Leadership as `lease::expiry` needs it: the term that this member leads, and a proof of it.

use tokio::sync::watch;

use super::consensus::Unserved;
use super::node::Handle;
use crate::apply::{Applied, Command};
use crate::lease::Leadership;
use crate::raft::Consensus;

#[tonic::async_trait]
impl Leadership for Handle {
    fn leads(&self) -> watch::Receiver<Option<u64>> {
        self.leading()
    }

    async fn confirm(&self, term: u64) -> bool {
        let leads = self.leading();
        let confirmed = *leads.borrow() == Some(term) && self.lead_barrier().await;
        confirmed && *leads.borrow() == Some(term)
    }

    async fn propose(&self, command: Command) -> Result<Applied, Unserved> {
        Consensus::propose(self, command).await
    }
}
