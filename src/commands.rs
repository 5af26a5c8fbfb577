//! What each command of the executable does with the library.

mod bench;
mod check_config;
mod demo;
mod healthy;
mod import;
mod projections;
mod relay;
mod sandbox;
mod serve;
mod status;
mod tap;
mod verify;

pub(crate) use bench::bench;
pub(crate) use check_config::check_config;
pub(crate) use demo::demo;
pub(crate) use healthy::healthy;
pub(crate) use import::import_retail;
pub(crate) use projections::projections;
pub(crate) use relay::rewind;
pub(crate) use sandbox::sandbox;
pub(crate) use serve::serve;
pub(crate) use status::status;
pub(crate) use tap::tap;
pub(crate) use verify::verify;
