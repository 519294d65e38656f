//! Doomed objects: deleted, then forgotten.
//!
//! Invariant: forgotten only after the object store said that they are gone.

use super::{collector::Round, delete::BATCH_OBJECTS_MAX};
use crate::Error;
use nokv_types::BlockId;
use std::collections::HashSet;

impl Round<'_> {
    pub(super) async fn delete_doomed(&mut self) -> Result<(), Error> {
        let mut kept: HashSet<BlockId> = HashSet::new();
        // Ends: each turn uses up some of the objects that the round may try.
        while !self.is_over() {
            let limit = BATCH_OBJECTS_MAX + self.state.objects.len().max(kept.len());
            let mut doomed = self.inner.ask(move |ledger| ledger.doomed(limit)).await?;
            doomed.retain(|block| !kept.contains(block));
            if doomed.is_empty() {
                return Ok(());
            }
            self.state.objects.sort(&mut doomed);
            doomed.truncate(BATCH_OBJECTS_MAX);
            let gone = self.delete(&doomed).await;
            if gone.len() < doomed.len() {
                kept.extend(doomed);
                gone.iter().for_each(|block| {
                    kept.remove(block);
                });
            }
            self.inner
                .ask(move |ledger| ledger.forget_doomed(&gone))
                .await?;
        }
        self.report.more = true;
        Ok(())
    }
}
