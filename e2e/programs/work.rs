//! Honest work: files of a granted tree, threads, JSON, a timer, a program where processes are allowed, a result.

use std::io::Read as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = String::new();
    io::stdin().read_to_string(&mut given)?;
    let given: String = given.split_whitespace().collect();
    let name = given.split("\"name\":\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or("no name")?;
    let text = fs::read_to_string("/data/numbers.json")?;
    let numbers = text.trim().trim_matches(['[', ']']).split(',').map(|one| one.trim().parse::<u64>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let sum: u64 = thread::scope(|scope| {
        let parts: Vec<_> = numbers.chunks(25).map(|part| scope.spawn(|| part.iter().sum::<u64>())).collect();
        parts.into_iter().map(|part| part.join().unwrap_or(0)).sum()
    });

    let (sender, receiver) = mpsc::channel::<()>();
    let started = Instant::now();
    let timed_out = receiver.recv_timeout(Duration::from_millis(20)) == Err(mpsc::RecvTimeoutError::Timeout);
    let timer = timed_out && started.elapsed() >= Duration::from_millis(20);
    drop(sender);

    let mut files = Vec::new();
    for entry in fs::read_dir("/data")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.push(format!("{name:?}"));
        }
    }
    files.sort();
    let mut result = format!(r#"{{"name":"{name}","sum":{sum},"files":[{}],"timer":{timer}"#, files.join(","));
    if given.contains("\"writes\":true") {
        fs::write("/work/out.txt", "written")?;
        fs::rename("/work/out.txt", "/work/kept.txt")?;
        result += &format!(",\"file\":{:?}", fs::read_to_string("/work/kept.txt")?);
    }
    if given.contains("\"starts\":true") {
        let child = process::Command::new("/bin/busybox").args(["echo", "hello"]).output()?;
        result += &format!(",\"child\":{:?}", String::from_utf8(child.stdout)?.trim());
    }
    println!("{result}}}");
    Ok(())
}
