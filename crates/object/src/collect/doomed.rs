//! Doomed objects: deleted, then forgotten.
//!
//! Invariant: forgotten only after the object store said that they are gone.

use super::{collector::Round, delete::BATCH_OBJECTS_MAX, lap::Lap};
use crate::Error;

impl Round<'_> {
    pub(super) async fn delete_doomed(&mut self) -> Result<(), Error> {
        let mut lap = Lap::from(self.state.doomed_after);
        while !lap.is_over() {
            if self.is_over() {
                self.report.more = true;
                break;
            }
            let (after, limit) = (lap.after(), BATCH_OBJECTS_MAX.min(self.objects_left));
            let mut doomed = self
                .inner
                .ask(move |ledger| ledger.doomed(after, limit))
                .await?;
            lap.note(&mut doomed, limit);
            let gone = self.delete(&doomed).await;
            self.inner
                .ask(move |ledger| ledger.forget_doomed(&gone))
                .await?;
            self.state.doomed_after = lap.place();
        }
        self.state.doomed_after = lap.place();
        Ok(())
    }
}
