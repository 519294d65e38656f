//! The simulation's own tests: seeds that pass, runs that repeat, planted bugs that are found, and
//! scripts of bugs that were.

mod planted;
mod regressions;
mod seeds;
