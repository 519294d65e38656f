//! Trouble on the way.
