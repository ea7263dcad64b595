//! A simulated fleet to try the program on: AWS's side of it, and containers that answer real scrapes.
//!
//! The program itself runs as it always does; only the connector below its AWS client is another one.

pub mod containers;
pub mod fleet;
pub mod ports;
