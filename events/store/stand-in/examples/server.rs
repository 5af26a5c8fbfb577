//! The stand-in as a process, until it is killed, for tests that are told of a server by `EVENTSTOREDB_URL` and
//! are to be tried where there is none. Its log is in memory. What it prints is the URL.

use std::{io, thread};

use eventstoredb_stand_in::{Setup, StandIn};

fn main() -> io::Result<()> {
    let server = StandIn::start(Setup::default())?;
    println!("{}", server.url());
    loop {
        thread::park();
    }
}
