//! The command as a user runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod databases;
mod main_job;
