//! The client against real services: in process, over a Unix socket, over TCP.

mod calls;
mod connections;
mod handles;
mod live;
mod objects;
mod pieces;
mod publish;
mod store;
mod trees;
