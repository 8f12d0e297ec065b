//! Lines that are acknowledged are there; those that are refused are nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in what tests share"
)]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ccos_audit::event::{Object, Open, Stop};
use ccos_audit::verify::Scope;
use ccos_audit::{Chain, Event, Head, Keys, Report, Verifier, Writer, keys};
use ccos_trail::sink::{Sinks, Volume, heads};
use ccos_trail::{Failed, Trail};
use ed25519_dalek::SigningKey;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn chain(id: u8) -> Chain {
    Chain::new(Writer::Controller, key(), [id; 16])
}

fn open(after: Vec<Head>) -> Event {
    Event::Open(Open { instance: "here".to_owned(), version: "0".to_owned(), after })
}

fn stop(name: &str) -> Event {
    Event::Stop(Stop { object: Object { name: name.to_owned(), ..Object::default() }, reason: "Cancelled".to_owned() })
}

/// Standard output.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Out {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A pipe whose reader is gone.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ccos-trail-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Lines of all files, each with a file of its own.
    fn verify(&self) -> Report {
        let mut known = Keys::default();
        known.add(Writer::Controller, &BTreeMap::from([keys::entry(&key().verifying_key())]));
        let mut verifier = Verifier::new(&known, Scope { strict: true, ..Scope::default() });
        for file in self.files() {
            verifier.file(&file.display().to_string());
            std::fs::read_to_string(file).unwrap().lines().for_each(|line| verifier.line(line));
        }
        verifier.finish()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn volume(&self, chain: &Chain) -> Volume {
        Volume::new(&self.0, Writer::Controller, chain.id()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

async fn run(folder: &Folder, id: u8, names: &[&str]) -> Out {
    let (chain, out) = (chain(id), Out::default());
    let volume = Some(folder.volume(&chain));
    let trail = Trail::start(chain, Sinks { volume, out: Box::new(out.clone()) }).unwrap();
    trail.write(open(heads(&folder.0).unwrap())).await.unwrap();
    for name in names {
        trail.write(stop(name)).await.unwrap();
    }
    trail.close().await;
    out
}

#[tokio::test]
async fn what_is_acknowledged_is_on_the_volume_and_on_standard_output() {
    let folder = Folder::new("both");
    let out = run(&folder, 1, &["a", "b"]).await;
    assert_eq!(std::fs::read_to_string(&folder.files()[0]).unwrap(), out.text());
    let report = folder.verify();
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.chains.iter().map(|chain| (chain.lines, chain.closed)).collect::<Vec<_>>(), [(4, true)]);
}

#[tokio::test]
async fn a_restart_names_the_chain_before_so_that_its_removal_is_missed() {
    let folder = Folder::new("restart");
    run(&folder, 1, &["a"]).await;
    run(&folder, 2, &["b"]).await;
    assert!(folder.verify().clean);
    std::fs::remove_file(&folder.files()[0]).unwrap();
    let report = folder.verify();
    assert!(!report.clean && report.findings[0].message.contains("no line of it is here"), "{report:#?}");
}

#[tokio::test]
async fn many_at_once_are_one_chain() {
    let folder = Folder::new("many");
    let chain = chain(1);
    let volume = Some(folder.volume(&chain).with_limit(4096));
    let trail = Trail::start(chain, Sinks { volume, out: Box::new(Out::default()) }).unwrap();
    trail.write(open(Vec::new())).await.unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let trail = trail.clone();
            tokio::spawn(async move { trail.write(stop(&number.to_string())).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    trail.close().await;
    let report = folder.verify();
    assert!(report.clean, "{report:#?}");
    assert_eq!(report.lines, 302);
    assert!(folder.files().len() > 1, "{:?}", folder.files());
}

/// The way of a full disk: `/dev/full` takes nothing.
#[tokio::test]
async fn a_full_disk_refuses_and_nothing_is_on_standard_output_either() {
    let folder = Folder::new("full");
    let (chain, out) = (chain(1), Out::default());
    let file = folder.0.join(format!("controller-{}-000000000000.jsonl", chain.id()));
    std::os::unix::fs::symlink("/dev/full", file).unwrap();
    let volume = Some(folder.volume(&chain));
    let trail = Trail::start(chain, Sinks { volume, out: Box::new(out.clone()) }).unwrap();
    let failed = trail.write(stop("a")).await.unwrap_err();
    assert!(matches!(&failed, Failed::Volume(why) if !why.is_empty()), "{failed:?}");
    assert_eq!((out.text(), trail.head()), (String::new(), None));
    // Nothing is left of it, and the next line is the first one.
    assert_eq!(folder.files(), Vec::<PathBuf>::new());
    trail.write(open(Vec::new())).await.unwrap();
    assert!(folder.verify().clean);
}

#[tokio::test]
async fn a_volume_that_comes_back_goes_on_without_a_gap() {
    let folder = Folder::new("back");
    let (chain, out) = (chain(1), Out::default());
    // A file for each line, so that the next line needs the folder.
    let volume = Some(folder.volume(&chain).with_limit(1));
    let trail = Trail::start(chain, Sinks { volume, out: Box::new(out.clone()) }).unwrap();
    trail.write(open(Vec::new())).await.unwrap();
    let away = PathBuf::from(format!("{}.away", folder.0.display()));
    std::fs::rename(&folder.0, &away).unwrap();
    assert!(matches!(trail.write(stop("lost")).await, Err(Failed::Volume(_))));
    std::fs::rename(&away, &folder.0).unwrap();
    trail.write(stop("kept")).await.unwrap();
    let report = folder.verify();
    assert!(report.clean, "{report:#?}");
    assert_eq!((report.lines, out.text().lines().count()), (2, 2));
    assert!(out.text().contains(r#""name":"kept""#) && !out.text().contains("lost"), "{}", out.text());
}

#[tokio::test]
async fn without_standard_output_nothing_is_acknowledged_any_more() {
    let trail = Trail::start(chain(1), Sinks { volume: None, out: Box::new(Broken) }).unwrap();
    assert!(matches!(trail.write(stop("a")).await, Err(Failed::Out(_))));
    trail.ended().await;
    assert_eq!(trail.write(stop("b")).await, Err(Failed::Ended));
}

#[tokio::test]
async fn a_line_that_another_process_is_just_writing_is_no_head() {
    let folder = Folder::new("torn");
    run(&folder, 1, &["a"]).await;
    let before = heads(&folder.0).unwrap();
    let file = &folder.files()[0];
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("{text}{{\"audit\":\"ccos/1\",")).unwrap();
    assert_eq!(heads(&folder.0).unwrap(), before);
    assert_eq!(before.len(), 1);
    assert!(heads(Path::new("/nowhere")).is_err());
}
