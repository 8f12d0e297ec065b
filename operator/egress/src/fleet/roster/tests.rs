use super::*;

const T: Times = Times {
    lease: Duration::from_secs(10),
    margin: Duration::from_secs(3),
    beat: Duration::from_secs(1),
    claim: Duration::from_secs(8),
};

fn seen(uid: &str, last: u8) -> Seen {
    Seen {
        uid: uid.to_owned(),
        address: Some(IpAddr::from([10, 0, 0, last])),
        ready: true,
        ends_within: None,
        runs: true,
    }
}

fn roster(now: Instant) -> Roster {
    let mut roster = Roster::default();
    roster.listed(&[seen("b", 2), seen("c", 3)], now);
    roster
}

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[test]
fn one_that_is_listed_is_asked_whether_it_answers_or_not() {
    let now = Instant::now();
    let mut roster = roster(now);
    roster.linked("b", "1", now);
    roster.broke("b", false);
    roster.refused("c");
    assert_eq!(roster.to_ask(after(now, 3600), &T), ["b", "c"]);
}

#[test]
fn a_process_that_ended_its_link_and_listens_no_more_is_out_at_once() {
    let now = Instant::now();
    let mut roster = roster(now);
    roster.linked("b", "1", now);
    roster.refused("b");
    assert_eq!(roster.to_ask(now, &T), ["b", "c"], "a refusal alone proves nothing");
    roster.broke("b", true);
    assert_eq!(
        roster.to_ask(now, &T),
        ["b", "c"],
        "nor does an end alone: something between could have been restarted"
    );
    roster.refused("b");
    assert_eq!(roster.sweep(now, &T), ["b"]);
    roster.heard("b", IpAddr::from([10, 0, 0, 2]), now);
    assert_eq!(roster.to_ask(now, &T), ["b", "c"], "its next process is asked again");
}

#[test]
fn another_process_of_the_pod_proves_the_end_of_the_one_before() {
    let now = Instant::now();
    let mut roster = roster(now);
    assert!(!roster.linked("b", "1", now));
    roster.broke("b", false);
    assert!(!roster.linked("b", "1", now));
    roster.broke("b", true);
    assert!(roster.linked("b", "2", now));
}

#[test]
fn what_the_kubelet_saw_end_is_out() {
    let now = Instant::now();
    let mut roster = roster(now);
    roster.listed(&[Seen { runs: false, ..seen("b", 2) }, seen("c", 3)], now);
    assert_eq!(roster.to_ask(now, &T), ["c"]);
}

#[test]
fn a_pod_that_vanished_is_out_after_its_lease_and_the_last_promise() {
    let now = Instant::now();
    let mut roster = roster(now);
    roster.listed(&[seen("c", 3)], now);
    assert!(roster.promise("b", after(now, 5), &T));
    assert_eq!(roster.to_ask(after(now, 18), &T), ["b", "c"]);
    assert_eq!(roster.sweep(after(now, 19), &T), ["b"]);
    assert!(!roster.promise("b", after(now, 19), &T), "who is out is told so");
}

#[test]
fn one_that_is_told_to_end_has_that_time_besides() {
    let now = Instant::now();
    let mut roster = roster(now);
    let ends = Seen { ready: false, ends_within: Some(Duration::from_secs(35)), ..seen("b", 2) };
    roster.listed(&[ends, seen("c", 3)], now);
    assert_eq!(roster.to_ask(after(now, 47), &T), ["b", "c"]);
    assert_eq!(roster.to_ask(after(now, 49), &T), ["c"]);
}

#[test]
fn the_others_confirm_only_all_together() {
    let now = Instant::now();
    assert_eq!(Roster::default().confirmed(now, &T), None);
    let mut roster = roster(now);
    roster.linked("b", "1", now);
    roster.beat("b", true, after(now, 2));
    assert_eq!(roster.confirmed(now, &T), None);
    roster.linked("c", "1", now);
    roster.beat("c", true, after(now, 1));
    assert_eq!(roster.confirmed(now, &T), Some(after(now, 1)));
}

#[test]
fn one_less_moves_only_its_own_executions() {
    let now = Instant::now();
    let mut roster = roster(now);
    for uid in ["b", "c"] {
        roster.linked(uid, "1", now);
        roster.beat(uid, true, now);
    }
    let all: Vec<_> = (0..300).map(|number| roster.owner(&format!("e{number}"), Some("a"))).collect();
    let c = Some(Some(IpAddr::from([10, 0, 0, 3])));
    let of_c = all.iter().filter(|owner| **owner == c).count();
    assert!((60..140).contains(&of_c), "{of_c} of 300");
    roster.broke("c", true);
    for (number, before) in all.into_iter().enumerate() {
        let now = roster.owner(&format!("e{number}"), Some("a"));
        assert!(if before == c { now != c } else { now == before }, "e{number} moved");
    }
    assert_eq!(roster.owner("e", None), Some(Some(IpAddr::from([10, 0, 0, 2]))));
    roster.beat("b", false, now);
    assert_eq!(roster.owner("e", None), None);
}
