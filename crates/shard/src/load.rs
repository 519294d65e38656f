//! How busy each shard was lately, for whoever places something new.
//!
//! A command counts one for each shard that it wrote to; what is counted halves every
//! [`HALF_MS`]. Where that says nothing, the shard that has applied the fewest commands ever is the
//! least loaded: that is known after a restart too.

use crate::group::LogTail;
use nokv_types::ShardId;

/// Time in which the past loses half of its weight.
const HALF_MS: u64 = 60_000;
/// What one command counts: several bits, so that little does not vanish at once.
const COMMAND_WEIGHT: u64 = 1 << 8;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Load {
    since_millis: u64,
    /// Commands of each shard when it was counted last, and its weight.
    shards: Vec<(u64, u64)>,
}

impl Load {
    /// Counts what the logs got since the last call.
    pub(crate) fn count(&mut self, logs: &[LogTail], now_millis: u64) {
        let halvings = now_millis.saturating_sub(self.since_millis) / HALF_MS;
        if halvings > 0 {
            self.since_millis = now_millis;
            let shift = u32::try_from(halvings).unwrap_or(u32::MAX);
            for (_, weight) in &mut self.shards {
                *weight = weight.checked_shr(shift).unwrap_or(0);
            }
        }
        for (index, log) in logs.iter().enumerate() {
            let commands = log.totals.commands;
            match self.shards.get_mut(index) {
                None => self.shards.push((commands, 0)),
                Some((seen, weight)) => {
                    let more = commands
                        .saturating_sub(*seen)
                        .saturating_mul(COMMAND_WEIGHT);
                    *weight = weight.saturating_add(more);
                    *seen = commands;
                }
            }
        }
    }

    /// The shard that did least.
    pub(crate) fn least(&self) -> ShardId {
        let least = self
            .shards
            .iter()
            .enumerate()
            .min_by_key(|(_, (commands, weight))| (*weight, *commands));
        let index = least.map_or(0, |(index, _)| index);
        ShardId::new(u16::try_from(index).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Totals;

    fn logs(commands: &[u64]) -> Vec<LogTail> {
        let log = |commands: &u64| LogTail {
            totals: Totals {
                commands: *commands,
                ..Totals::default()
            },
            ..LogTail::default()
        };
        commands.iter().map(log).collect()
    }

    #[test]
    fn what_was_done_lately_counts_more_than_what_was_done_ever() {
        let mut load = Load::default();
        load.count(&logs(&[100, 20, 30]), 0);
        assert_eq!(load.least(), ShardId::new(1), "ever");
        load.count(&logs(&[100, 25, 30]), 10);
        assert_eq!(load.least(), ShardId::new(2), "lately");
        load.count(&logs(&[100, 25, 31]), 20);
        assert_eq!(load.least(), ShardId::new(0));
        load.count(&logs(&[100, 25, 31]), 100 * HALF_MS);
        assert_eq!(load.least(), ShardId::new(1), "all is forgotten");
    }
}
