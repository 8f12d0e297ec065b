//! Each attack on a trail, beside the trail that was not attacked.

use ccos_audit::event::Close;
use ccos_audit::line::START;
use ccos_audit::verify::{Kind, Scope};
use ccos_audit::{Chain, Event, Keys, Writer};
use ed25519_dalek::SigningKey;
use sha2::Digest as _;

use crate::given::{
    admitted, at, chain, data, encoded, end, finds, key, known, open, receipt_key, start, trail, verify, wait,
};

#[test]
fn a_trail_that_nobody_touched_is_clean() {
    let trail = trail(3);
    let report = trail.verify(&trail.lines);
    finds(&report, &[]);
    assert_eq!((report.lines, report.others, report.chains.len()), (12, 4, 2));
    assert_eq!(report.chains.iter().map(|chain| chain.closed).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_removed_line_is_found() {
    let trail = trail(3);
    let mut lines = trail.lines.clone();
    lines.remove(6);
    let report = trail.verify(&lines);
    finds(&report, &[Kind::Removed]);
    assert_eq!(
        report.findings[0].to_string(),
        "0.log:9: removed: number 3 of chain 02020202: number 2 before it is missing"
    );
}

#[test]
fn a_removed_beginning_is_found() {
    let trail = trail(3);
    finds(&trail.verify(&trail.lines[2..]), &[Kind::Removed]);
}

#[test]
fn a_changed_word_is_found_where_it_is() {
    let trail = trail(3);
    let mut lines = trail.lines.clone();
    lines[3] = lines[3].replace(r#""user":"ann""#, r#""user":"bob""#);
    let report = trail.verify(&lines);
    finds(&report, &[Kind::Changed]);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].place.as_ref().unwrap().line, 4);
}

#[test]
fn a_key_that_is_there_twice_is_found_though_the_value_is_the_same() {
    let trail = trail(1);
    let mut lines = trail.lines.clone();
    lines[3] = lines[3].replace(r#""user":"ann""#, r#""user":"bob","user":"ann""#);
    finds(&trail.verify(&lines), &[Kind::Changed]);
}

#[test]
fn two_lines_that_changed_places_are_found() {
    let trail = trail(3);
    let mut lines = trail.lines.clone();
    lines.swap(5, 6);
    finds(&trail.verify(&lines), &[Kind::Reordered]);
}

#[test]
fn a_line_that_is_there_twice_is_found() {
    let trail = trail(3);
    let mut lines = trail.lines.clone();
    lines.insert(6, lines[5].clone());
    finds(&trail.verify(&lines), &[Kind::Repeated]);
}

/// The twin of the one above: logs that overlap, such as those of two fetches, are no attack.
#[test]
fn the_same_lines_in_another_file_are_copies() {
    let trail = trail(3);
    let report = verify(&known(&trail.heads), Scope::default(), &[&trail.lines[..8], &trail.lines[4..]]);
    finds(&report, &[]);
    assert_eq!(report.copies, 3);
}

#[test]
fn a_cut_end_is_found_by_the_heads_in_the_cluster() {
    let trail = trail(3);
    let cut = &trail.lines[..trail.lines.len() - 2];
    let report = trail.verify(cut);
    finds(&report, &[Kind::Truncated]);
    assert_eq!(report.findings.len(), 2);
    // Without them it can't be.
    finds(&verify(&known(&[]), Scope::default(), &[cut]), &[]);
}

#[test]
fn a_chain_that_is_taken_away_is_missed_by_the_cluster() {
    let trail = trail(3);
    let lines: Vec<String> =
        trail.lines.iter().filter(|line| !line.contains(r#""writer":"controller""#)).cloned().collect();
    let report = trail.verify(&lines);
    finds(&report, &[Kind::Removed]);
    assert!(report.findings[0].message.contains("ConfigMap ccos-audit-controller knows 7 of them"), "{report:#?}");
}

#[test]
fn a_chain_that_is_taken_away_is_missed_by_the_next_one_of_its_volume() {
    let mut first = chain(Writer::Controller, 1);
    let one = vec![first.append(&open(Vec::new()), at(0)).unwrap(), first.append(&wait("a"), at(1)).unwrap()];
    let mut second = chain(Writer::Controller, 2);
    let two = vec![second.append(&open(vec![first.head().unwrap()]), at(2)).unwrap()];
    finds(&verify(&known(&[]), Scope::default(), &[&one, &two]), &[]);
    finds(&verify(&known(&[]), Scope::default(), &[&two]), &[Kind::Removed]);
    finds(&verify(&known(&[]), Scope::default(), &[&one[..1], &two]), &[Kind::Truncated]);
}

#[test]
fn a_line_of_another_key_is_foreign() {
    let trail = trail(1);
    let stranger = |writer, key: SigningKey| {
        let mut chain = Chain::new(writer, key, [9; 16]);
        chain.append(&open(Vec::new()), at(0)).unwrap()
    };
    for (line, message) in [
        (stranger(Writer::Webhook, SigningKey::from_bytes(&[66; 32])), "unknown key"),
        (
            stranger(Writer::Webhook, key(Writer::Controller)),
            "a key of the controller, and says that it is of the webhook",
        ),
        (stranger(Writer::Controller, receipt_key()), "signed by a receipt key"),
    ] {
        let mut lines = trail.lines.clone();
        lines.push(line);
        let report = trail.verify(&lines);
        finds(&report, &[Kind::Foreign]);
        assert!(report.findings[0].message.contains(message), "{}", report.findings[0]);
    }
}

/// An entry that is copied from one ConfigMap to the other has the wrong name there, and is left out: the name of a receipt
/// key is another digest of the key.
#[test]
fn a_receipt_key_in_the_wrong_config_map_is_no_audit_key() {
    let digest = sha2::Sha256::digest(receipt_key().verifying_key().as_bytes());
    let kid = digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let mut keys = Keys::default();
    keys.add(Writer::Webhook, &data([(format!("key.{kid}"), encoded(&receipt_key()))]));
    assert!(keys.is_empty());
    // The twin: under the name that its writer would give it, it is one.
    keys.add(Writer::Webhook, &data([ccos_audit::keys::entry(&receipt_key().verifying_key())]));
    assert!(!keys.is_empty());
}

#[test]
fn a_writer_that_signs_two_lines_of_one_number_is_found() {
    let mut honest = chain(Writer::Webhook, 1);
    let mut lines = vec![honest.append(&open(Vec::new()), at(0)).unwrap()];
    let mut other = honest.clone();
    lines.push(honest.append(&admitted("a"), at(1)).unwrap());
    lines.push(other.append(&admitted("b"), at(1)).unwrap());
    finds(&verify(&known(&[]), Scope::default(), &[&lines]), &[Kind::Forked]);
}

#[test]
fn what_a_collector_puts_in_front_of_a_line_is_no_part_of_it() {
    let trail = trail(1);
    let prefixed: Vec<String> =
        trail.lines.iter().map(|line| format!("2026-01-01T00:00:00.5Z stdout F {line}\r")).collect();
    finds(&trail.verify(&prefixed), &[]);
    let changed: Vec<String> = prefixed.iter().map(|line| line.replace("ann", "bob")).collect();
    finds(&trail.verify(&changed), &[Kind::Changed]);
}

#[test]
fn other_lines_are_counted_and_with_strict_they_are_findings() {
    let trail = trail(1);
    let strict = Scope { strict: true, ..Scope::default() };
    let report = verify(&known(&trail.heads), strict, &[&trail.lines]);
    finds(&report, &[Kind::Foreign]);
    assert_eq!((report.others, report.findings.len()), (2, 2));
    let own: Vec<String> = trail.lines.iter().filter(|line| line.starts_with(START)).cloned().collect();
    finds(&verify(&known(&trail.heads), strict, &[&own]), &[]);
}

#[test]
fn what_was_before_the_moment_in_question_is_not_missed() {
    let trail = trail(2);
    // The opening lines, of seconds 0 and 1, and the first admission, of second 5.
    let rest = &trail.lines[4..];
    let since = |seconds| Scope { since: Some(at(seconds)), ..Scope::default() };
    finds(&verify(&known(&trail.heads), since(6), &[rest]), &[]);
    finds(&verify(&known(&trail.heads), since(4), &[rest]), &[Kind::Removed]);
    // A whole chain that had ended by then.
    let controller: Vec<String> =
        trail.lines.iter().filter(|line| line.contains(r#""writer":"controller""#)).cloned().collect();
    finds(&verify(&known(&trail.heads), since(8), &[&controller]), &[]);
    finds(&verify(&known(&trail.heads), since(7), &[&controller]), &[Kind::Removed]);
}

#[test]
fn a_head_that_was_written_after_the_lines_were_collected_is_not_missed() {
    let trail = trail(2);
    let cut = &trail.lines[..trail.lines.len() - 1];
    let until = |seconds| Scope { until: Some(at(seconds)), ..Scope::default() };
    finds(&verify(&known(&trail.heads), until(7), &[cut]), &[]);
    finds(&verify(&known(&trail.heads), until(8), &[cut]), &[Kind::Truncated]);
}

#[test]
fn a_clock_that_is_set_back_does_not_go_back_within_a_chain() {
    let mut chain = chain(Writer::Controller, 1);
    let lines = [
        chain.append(&open(Vec::new()), at(9)).unwrap(),
        chain.append(&end("a"), at(3)).unwrap(),
        chain.append(&Event::Close(Close {}), at(10)).unwrap(),
    ];
    let report = verify(&known(&[]), Scope::default(), &[&lines]);
    finds(&report, &[]);
    assert!(lines[1].contains(r#""time":"2026-01-01T00:00:09Z""#), "{}", lines[1]);
}

/// Whoever has the controller's key, and not the webhook's, makes up what was admitted, in a chain of his own or in the
/// controller's.
#[test]
fn what_one_writer_decides_is_not_taken_from_the_other() {
    let trail = trail(2);
    for (writer, event) in [
        (Writer::Controller, admitted("made-up")),
        (Writer::Webhook, start("made-up")),
        (Writer::Webhook, end("made-up")),
        (Writer::Webhook, wait("made-up")),
    ] {
        let mut own = chain(writer, 9);
        let mut lines = trail.lines.clone();
        lines.push(own.append(&open(Vec::new()), at(9)).unwrap());
        finds(&trail.verify(&lines), &[]);
        lines.push(own.append(&event, at(10)).unwrap());
        let report = trail.verify(&lines);
        finds(&report, &[Kind::Foreign]);
        assert!(report.findings[0].message.contains("writes such a line"), "{report:#?}");
    }
}

#[test]
fn a_made_up_admission_stands_for_no_receipt() {
    let trail = trail(1);
    // The webhook's own line is gone, and the controller's key signs another in its place.
    let mut lines: Vec<String> = trail.lines.iter().filter(|line| !line.contains("\"Decision\"")).cloned().collect();
    let mut own = chain(Writer::Controller, 9);
    lines.push(own.append(&open(Vec::new()), at(9)).unwrap());
    lines.push(own.append(&admitted("e0"), at(10)).unwrap());
    finds(&trail.verify(&lines), &[Kind::Removed, Kind::Foreign]);
}

#[test]
fn a_chain_has_one_writer() {
    let trail = trail(1);
    let mut lines = trail.lines.clone();
    // The same id, and the other key.
    lines.insert(3, chain(Writer::Controller, 1).append(&open(Vec::new()), at(2)).unwrap());
    let report = trail.verify(&lines);
    assert!(report.findings.iter().any(|finding| finding.kind == Kind::Foreign), "{report:#?}");
}
