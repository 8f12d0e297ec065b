use super::*;

fn ended(status: Status) -> Ended {
    Ended { status, cpu_time_exceeded: false, disk_full: false, usage: Usage::default(), result: ResultFile::Absent }
}

fn seen(ended: Option<Ended>) -> Seen {
    let limits = Granted { cpu_time: Duration::from_secs(1), wall_time: Duration::from_secs(2), disk_bytes: 3 };
    Seen {
        proven: Vec::new(),
        stop: None,
        ended,
        result_file: Vec::new(),
        output: Vec::new(),
        output_cut: false,
        error_tail: b"bad\n".to_vec(),
        wall_time: Duration::ZERO,
        fallback: Usage::default(),
        limits,
    }
}

fn with_cpu(status: Status, millis: u64) -> Ended {
    Ended { usage: Usage { cpu_time_millis: millis, ..Usage::default() }, ..ended(status) }
}

#[test]
fn the_reason_of_an_end() {
    use End::{CPUTimeExceeded, Completed, DiskExceeded, InternalError, NonZeroExit, Signaled};
    let full = |status| Ended { disk_full: true, ..ended(status) };
    let exceeded = Ended { cpu_time_exceeded: true, ..ended(Status::Exited(0)) };
    for (ended, end, message) in [
        (Some(ended(Status::Exited(0))), Completed, ""),
        (Some(ended(Status::Exited(3))), NonZeroExit, "exit status 3; standard error ends with \"bad\""),
        (Some(ended(Status::Signaled(9))), Signaled, "ended by signal 9; standard error ends with \"bad\""),
        (Some(ended(Status::Signaled(24))), CPUTimeExceeded, "stopped after 1s of CPU time"),
        (Some(with_cpu(Status::Signaled(9), 1000)), CPUTimeExceeded, "stopped after 1s of CPU time"),
        (Some(with_cpu(Status::Exited(1), 1000)), CPUTimeExceeded, "stopped after 1s of CPU time"),
        (Some(with_cpu(Status::Exited(0), 1000)), Completed, ""),
        (Some(exceeded), CPUTimeExceeded, "stopped after 1s of CPU time"),
        (Some(ended(Status::Signaled(25))), DiskExceeded, "expected files of at most 3 bytes, but found a larger one"),
        (
            Some(full(Status::Exited(1))),
            DiskExceeded,
            "failed with its 3 bytes of scratch space full; standard error ends with \"bad\"",
        ),
        (Some(full(Status::Exited(0))), Completed, ""),
        (None, InternalError, "the init of the workload ended without a word"),
    ] {
        let Delivery { report, .. } = delivery(seen(ended.clone()));
        assert_eq!((report.end, report.message.as_str()), (end, message), "{ended:?}");
    }
}

#[test]
fn what_the_runner_did_comes_before_the_status() {
    for (stop, end) in [
        (Stop::WallTime, End::WallTimeExceeded),
        (Stop::Output(8), End::OutputTooLarge),
        (Stop::Cancelled, End::Cancelled),
        (Stop::Broken("poll".to_owned()), End::InternalError),
    ] {
        for status in [Status::Exited(0), Status::Exited(1), Status::Signaled(9)] {
            let seen = Seen { stop: Some(stop.clone()), output: b"1".to_vec(), ..seen(Some(ended(status))) };
            let Delivery { report, .. } = delivery(seen);
            assert_eq!((report.end, report.result), (end, None));
        }
    }
}

#[test]
fn the_result_of_a_completed_workload() {
    let long = format!("\"{}\"", "x".repeat(INLINE_RESULT_LIMIT - 2));
    let longer = format!("\"{}\"", "x".repeat(INLINE_RESULT_LIMIT - 1));
    let largest = format!("\"{}\"", "x".repeat(RESULT_LIMIT - 2));
    let larger = format!("\"{}\"", "x".repeat(RESULT_LIMIT - 1));
    let deep = "[".repeat(100_000);
    let deeper = format!("{deep}{}", "]".repeat(100_000));
    let unclosed = format!("[{largest}").replacen("xx", "", 1);
    for (output, file, end, result) in [
        ("", ResultFile::Absent, End::Completed, None),
        (" \n", ResultFile::Absent, End::Completed, None),
        ("{\"a\": 1}\n", ResultFile::Absent, End::Completed, Some("{\"a\":1}")),
        ("null", ResultFile::Absent, End::Completed, Some("null")),
        ("noise", ResultFile::Present, End::Completed, Some("2")),
        ("noise", ResultFile::Absent, End::InvalidResult, None),
        ("1 2", ResultFile::Absent, End::InvalidResult, None),
        (&deep, ResultFile::Absent, End::InvalidResult, None),
        ("1", ResultFile::Unreadable("a link".to_owned()), End::InvalidResult, None),
        ("1", ResultFile::TooLarge, End::ResultTooLarge, None),
        (&long, ResultFile::Absent, End::Completed, Some(&long)),
        (&longer, ResultFile::Absent, End::Completed, Some(&longer)),
        (&largest, ResultFile::Absent, End::Completed, Some(&largest)),
        (&larger, ResultFile::Absent, End::ResultTooLarge, None),
        (&deeper, ResultFile::Absent, End::InvalidResult, None),
        (&unclosed, ResultFile::Absent, End::InvalidResult, None),
    ] {
        let ended = Ended { result: file, ..ended(Status::Exited(0)) };
        let Delivery { report, result: large } =
            delivery(Seen { output: output.into(), result_file: b"2".to_vec(), ..seen(Some(ended)) });
        let shown = report.result.map(|value| value.to_string()).or(large.clone());
        assert_eq!(report.result_digest, large.map(|text| digest(text.as_bytes())));
        assert_eq!((report.end, shown.as_deref()), (end, result), "{}", report.message);
    }
}
