//! What a watch tells, and when.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use futures::FutureExt as _;
use kube::runtime::reflector;
use serde_json::json;

use super::*;

fn map(name: &str, uid: &str, text: &str) -> ConfigMap {
    let object = json!({"metadata": {"name": name, "namespace": "data", "uid": uid}, "data": {"text": text}});
    serde_json::from_value(object).unwrap()
}

/// What was told of each: name, UID, whether it exists, what the cache had, and what it has.
type Told = (String, String, bool, Option<String>, Option<String>);

fn text(object: &ConfigMap) -> String {
    object.data.as_ref().unwrap()["text"].clone()
}

struct Watching {
    cache: Cache<ConfigMap>,
    store: Store<ConfigMap>,
}

impl Watching {
    fn new() -> Self {
        let (store, writer) = reflector::store();
        Self { cache: Cache::of(writer, ()), store }
    }

    /// Sorted. `None`: nothing was told yet.
    fn event(&mut self, event: Event<ConfigMap>) -> Option<Vec<Told>> {
        let told = self.cache.apply(event)?.into_iter().map(|Touched { before, object, exists }| {
            let has = self.store.get(&ObjectRef::from_obj(&object)).map(|object| text(&object));
            let before = before.map(|before| text(&before));
            (object.metadata.name.unwrap(), object.metadata.uid.unwrap(), exists == Exists::Yes, before, has)
        });
        let mut told: Vec<Told> = told.collect();
        told.sort();
        Some(told)
    }

    fn list(&mut self, objects: Vec<ConfigMap>) -> Vec<Told> {
        assert_eq!(self.event(Event::Init), None);
        for object in objects {
            assert_eq!(self.event(Event::InitApply(object)), None, "the cache does not have it yet");
        }
        self.event(Event::InitDone).unwrap()
    }
}

fn told(name: &str, uid: &str, exists: bool, before: Option<&str>, has: Option<&str>) -> Told {
    (name.to_owned(), uid.to_owned(), exists, before.map(str::to_owned), has.map(str::to_owned))
}

#[test]
fn what_is_listed_is_told_once_the_cache_has_it() {
    let mut watch = Watching::new();
    let first = watch.list(vec![map("a", "1", "x"), map("b", "2", "x")]);
    assert_eq!(first, [told("a", "1", true, None, Some("x")), told("b", "2", true, None, Some("x"))]);
    let changed = watch.event(Event::Apply(map("a", "1", "y"))).unwrap();
    assert_eq!(changed, [told("a", "1", true, Some("x"), Some("y"))]);
    let gone = watch.event(Event::Delete(map("b", "2", "x"))).unwrap();
    assert_eq!(gone, [told("b", "2", false, Some("x"), None)]);
}

#[test]
fn what_was_deleted_while_nobody_watched_is_told_with_the_next_list() {
    let mut watch = Watching::new();
    watch.list(vec![map("a", "1", "x"), map("b", "2", "x"), map("c", "3", "x")]);
    let next = watch.list(vec![map("a", "1", "y"), map("c", "4", "x")]);
    let expected = [
        told("a", "1", true, Some("x"), Some("y")),
        told("b", "2", false, Some("x"), None),
        // Made anew under the old name: one is gone, and there is another.
        told("c", "3", false, Some("x"), Some("x")),
        told("c", "4", true, None, Some("x")),
    ];
    assert_eq!(next, expected);
    assert_eq!(watch.list(Vec::new()).iter().filter(|one| one.2).count(), 0);
}

#[test]
fn a_list_that_breaks_off_is_compared_with_what_there_was_before_it() {
    let mut watch = Watching::new();
    watch.list(vec![map("a", "1", "x"), map("b", "2", "x")]);
    assert_eq!(watch.event(Event::Init), None);
    assert_eq!(watch.event(Event::InitApply(map("b", "2", "x"))), None);
    let next = watch.list(vec![map("a", "1", "x")]);
    assert_eq!(next, [told("a", "1", true, Some("x"), Some("x")), told("b", "2", false, Some("x"), None)]);
}

#[tokio::test]
async fn one_watch_that_ends_is_noticed_while_others_live() {
    let (alive, mut ended) = Alive::new();
    alive.clone().spawn(futures::future::pending());
    tokio::task::yield_now().await;
    assert!(ended.next().now_or_never().is_none());
    alive.clone().spawn(async { panic!("a watch that fails") });
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), ended.next()).await, Ok(Some(())));
}
