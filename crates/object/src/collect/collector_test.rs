//! Histories against a checker of its own.
