//! Who is it that answers where NATS should be? A NATS server speaks first, one line that begins with `INFO`.
//! Whoever waits to be spoken to, as an HTTP server does, is given a line that only NATS understands.

use std::time::Duration;

use async_nats::ServerAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(1);
const SHOWN_CHARS_MAX: usize = 60;

/// What a stranger said that a NATS server would not say; `None` for a NATS server, and when nobody answers.
pub(crate) async fn what_a_stranger_says(server: &ServerAddr) -> Option<String> {
    let connecting = TcpStream::connect((server.host(), server.port()));
    let mut stream = timeout(PATIENCE, connecting).await.ok()?.ok()?;
    if let Some(greeting) = hear(&mut stream).await {
        // Whoever hangs up at once may be a proxy with nobody behind it.
        return (!greeting.is_empty() && !greeting.starts_with(b"INFO ")).then(|| shown(&greeting));
    }
    timeout(PATIENCE, stream.write_all(b"PING\r\n\r\n")).await.ok()?.ok()?;
    let answer = hear(&mut stream).await?;
    Some(if answer.is_empty() { "it hangs up when it is greeted".to_owned() } else { shown(&answer) })
}

/// The first that comes, empty when it is the end; `None` when nothing comes.
async fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut heard = vec![0; 512];
    let length = timeout(PATIENCE, stream.read(&mut heard)).await.ok()?.unwrap_or(0);
    heard.truncate(length);
    Some(heard)
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    format!("it says {line:?}")
}
