use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::WORLD;

#[test]
fn the_exit_code_says_what_came_of_it() {
    let allowed = WORLD.split("---\n").take(4).collect::<Vec<_>>().join("---\n");
    for (stdin, code) in [(allowed.as_str(), 0), (WORLD, 1), ("", 2), ("a: [", 2)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ccos"))
            .args(["check", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(output.stdout.is_empty(), code == 2, "{output:?}");
    }
}
