//! Links between replicas. Each replica connects to each other one, asks over that link, and is asked over the other's.
//!
//! No side closes a link while it has connections to lose: that a link ends is a sign that a process has.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{interval, sleep, timeout};
use tracing::{info, warn};

use super::words::{Answer, Ask, Ear, say};
use super::{Fleet, Given, Replicas};

/// For a connection, and for a line that is due.
const PATIENCE: Duration = Duration::from_secs(2);

/// Before a link is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// How often it is looked whether connections of what was given away have ended.
const LOOK: Duration = Duration::from_millis(50);

/// Who connects, before it is known who it is.
const STRANGERS: usize = 16;

/// Keeps a link to another replica for as long as there is one.
pub(super) async fn keep<R: Replicas>(fleet: Arc<Fleet<R>>, uid: String) {
    while let Some(address) = fleet.address(&uid) {
        let address = SocketAddr::new(address, fleet.ports.links);
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let ended = ask(&fleet, &uid, stream).await;
                fleet.broke(&uid, ended);
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => fleet.refused(&uid),
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// Asks over one link until it is no more. Whether the other side ended it.
async fn ask<R: Replicas>(fleet: &Arc<Fleet<R>>, uid: &str, mut stream: TcpStream) -> bool {
    let Ok(token) =
        fleet.replicas.token().inspect_err(|error| warn!(%error, "the token for other replicas can't be read"))
    else {
        return false;
    };
    if stream.set_nodelay(true).is_err() {
        return false;
    }
    let (from, mut to) = stream.split();
    let mut from = Ear::new(BufReader::new(from));
    let greeting = async {
        say(&mut to, &Ask::Hello { token }).await?;
        from.hear::<Answer>().await
    };
    // Who is there but does not say so has ended nothing.
    let Ok(Ok(Some(Answer::Welcome { incarnation }))) = timeout(3 * PATIENCE, greeting).await else { return false };
    let (claims, mut claimed) = mpsc::channel(256);
    fleet.linked(uid, &incarnation, claims);
    info!(replica = uid, incarnation, "linked");
    let mut beats = interval(fleet.times.beat);
    // `None`: the last one was answered.
    let (mut number, mut sent) = (0, None::<Instant>);
    let mut heard = Instant::now();
    loop {
        let told = tokio::select! {
            line = from.hear::<Answer>() => match line {
                Ok(Some(answer)) => {
                    heard = Instant::now();
                    match answer {
                        Answer::Beat { number: of, serves } if of == number => {
                            // Since it was asked, not since the answer came: that could have taken its time.
                            if let Some(sent) = sent.take() {
                                fleet.beat(uid, serves, sent);
                            }
                        }
                        Answer::Given { execution, number, open } => fleet.given(uid, &execution, Given { number, open }),
                        Answer::Left { execution, open } => fleet.left(uid, &execution, open),
                        Answer::Beat { .. } | Answer::Welcome { .. } => {}
                    }
                    continue;
                }
                Ok(None) => return true,
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            },
            _ = beats.tick() => {
                if heard.elapsed() > fleet.times.lease {
                    return false;
                }
                if sent.is_some_and(|sent| sent.elapsed() < PATIENCE) {
                    continue;
                }
                number += 1;
                sent = Some(Instant::now());
                Ask::Beat { number }
            }
            Some((execution, number)) = claimed.recv() => Ask::Claim { execution, number },
        };
        match timeout(PATIENCE, say(&mut to, &told)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            Err(_) => return false,
        }
    }
}

/// Answers other replicas, until the process ends.
pub async fn answer<R: Replicas>(listener: TcpListener, fleet: Arc<Fleet<R>>) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            sleep(AGAIN).await;
            continue;
        };
        let Ok(stranger) = Arc::clone(&strangers).try_acquire_owned() else { continue };
        let fleet = Arc::clone(&fleet);
        tokio::spawn(async move {
            let (from, stream) = (from.ip().to_canonical(), stream);
            if let Err(error) = answers(&fleet, stream, from, stranger).await {
                info!(%from, %error, "a link from another replica ended");
            }
        });
    }
}

async fn answers<R: Replicas>(
    fleet: &Fleet<R>,
    mut stream: TcpStream,
    address: IpAddr,
    stranger: tokio::sync::OwnedSemaphorePermit,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.split();
    let mut from = Ear::new(BufReader::new(from));
    let hello = timeout(PATIENCE, from.hear::<Ask>()).await??;
    let Some(Ask::Hello { token }) = hello else { return Err(std::io::ErrorKind::InvalidData.into()) };
    let Some(uid) = timeout(2 * PATIENCE, fleet.replicas.whose(&token)).await? else {
        warn!(%address, "who is no replica of this proxy asked for executions");
        return Err(std::io::ErrorKind::PermissionDenied.into());
    };
    drop(stranger);
    fleet.heard(&uid, address);
    say(&mut to, &Answer::Welcome { incarnation: fleet.incarnation.clone() }).await?;
    // What was given over this link, and how many connections of it were left when it was said last.
    let mut given: HashMap<String, u32> = HashMap::new();
    let mut look = interval(LOOK);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            line = from.hear::<Ask>() => {
                let Some(asked) = line? else { return Ok(()) };
                heard = Instant::now();
                let answer = match asked {
                    Ask::Beat { number } => {
                        if !fleet.promise(&uid) {
                            return Ok(());
                        }
                        Answer::Beat { number, serves: fleet.serves() }
                    }
                    Ask::Claim { execution, number } => {
                        let open = fleet.give(&execution);
                        given.insert(execution.clone(), open);
                        Answer::Given { execution, number, open }
                    }
                    Ask::Hello { .. } => return Err(std::io::ErrorKind::InvalidData.into()),
                };
                say(&mut to, &answer).await?;
            }
            _ = look.tick() => {
                if heard.elapsed() > 2 * fleet.times.lease {
                    return Err(std::io::ErrorKind::TimedOut.into());
                }
                let mut fewer = Vec::new();
                given.retain(|execution, said| {
                    let open = fleet.open(execution);
                    if open < *said {
                        *said = open;
                        fewer.push((execution.clone(), open));
                    }
                    *said > 0
                });
                for (execution, open) in fewer {
                    say(&mut to, &Answer::Left { execution, open }).await?;
                }
            }
        }
    }
}
