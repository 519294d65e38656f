//! Dumps come back as they were written, or are refused with the place of the damage.

mod corpus;
mod forms;
mod items;
