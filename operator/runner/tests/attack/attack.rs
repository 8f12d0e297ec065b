//! A hostile workload: tries each thing that it is told and prints what came of it, as one JSON object.
//!
//! `attack open:/etc/shadow fork connect:10.96.0.1:443` prints
//! `{"open:/etc/shadow":"ENOENT","fork":"EPERM","connect:10.96.0.1:443":"ENETUNREACH"}`.
//!
//! With `--only-others` first, each is followed by ` = ` and an answer: only other answers are printed, and how many were
//! as expected, so that many attacks fit into one result. ` ; ` is between attacks of one argument. The answer `refused` is any error, and `succeeds` anything else. With
//! `--in-child` before that, a child of this program does all of it: process 1 is then another of the same user.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    reason = "a test"
)]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use serde_json::{Map, Value};

type Answer = io::Result<Value>;

fn main() {
    let mut answers = Map::new();
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "--in-child").is_some() {
        let done = std::process::Command::new("/app/attack").args(arguments).status().unwrap();
        std::process::exit(done.code().unwrap_or(1));
    }
    let only_others = arguments.next_if(|first| first == "--only-others").is_some();
    let mut as_expected = 0;
    // Some at a time, since a command has not many arguments.
    let arguments: Vec<String> =
        arguments.flat_map(|some| some.split(" ; ").map(str::to_owned).collect::<Vec<_>>()).collect();
    for argument in arguments {
        let (attack, expected) = match argument.split_once(" = ") {
            Some((attack, expected)) if only_others => (attack.to_owned(), Some(expected.to_owned())),
            _ => (argument, None),
        };
        let (verb, what) = attack.split_once(':').unwrap_or((&attack, ""));
        let (answer, failed) = match run(verb, what) {
            Ok(value) => (value, false),
            Err(error) => (Value::from(name(&error)), true),
        };
        let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        // What a child was told comes as its answer.
        let refused = failed || is_error(&text);
        let is_expected = |expected: String| match expected.as_str() {
            "refused" => refused,
            "succeeds" => !refused,
            expected => expected == text,
        };
        if expected.is_some_and(is_expected) {
            as_expected += 1;
        } else {
            answers.insert(attack, answer);
        }
    }
    if only_others {
        answers.insert("as expected".to_owned(), as_expected.into());
    }
    println!("{}", Value::Object(answers));
}

/// Whether it is as [`name`] has them.
fn is_error(text: &str) -> bool {
    let is_constant =
        text.starts_with('E') && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (is_constant && text.len() > 3) || text.contains("(os error ")
}

fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => "ENOENT".to_owned(),
        Some(libc::EPERM) => "EPERM".to_owned(),
        Some(libc::EACCES) => "EACCES".to_owned(),
        Some(libc::ESRCH) => "ESRCH".to_owned(),
        Some(libc::EROFS) => "EROFS".to_owned(),
        Some(libc::EBUSY) => "EBUSY".to_owned(),
        Some(libc::EXDEV) => "EXDEV".to_owned(),
        Some(libc::EAGAIN) => "EAGAIN".to_owned(),
        Some(libc::ENOSYS) => "ENOSYS".to_owned(),
        Some(libc::ENOSPC) => "ENOSPC".to_owned(),
        Some(libc::EMFILE) => "EMFILE".to_owned(),
        Some(libc::ENETUNREACH) => "ENETUNREACH".to_owned(),
        Some(libc::EAFNOSUPPORT) => "EAFNOSUPPORT".to_owned(),
        Some(libc::ECONNRESET) => "ECONNRESET".to_owned(),
        Some(libc::EADDRINUSE) => "EADDRINUSE".to_owned(),
        Some(libc::ECONNREFUSED) => "ECONNREFUSED".to_owned(),
        Some(libc::ENOTDIR) => "ENOTDIR".to_owned(),
        _ => error.to_string(),
    }
}

fn last(answer: i64) -> io::Result<i64> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

fn text(path: &str) -> CString {
    CString::new(path).unwrap()
}

fn run(verb: &str, what: &str) -> Answer {
    match verb {
        "open" => {
            let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(what)?;
            let mut head = [0; 16];
            let count = io::Read::read(&mut &file, &mut head).unwrap_or(0);
            Ok(String::from_utf8_lossy(&head[..count]).trim().into())
        }
        "list" => {
            let mut names: Vec<_> =
                fs::read_dir(what)?.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            Ok(names.into())
        }
        "link" => Ok(fs::read_link(what)?.to_str().unwrap().into()),
        "write" => {
            fs::write(what, "written by the workload")?;
            Ok("ok".into())
        }
        "mkdir" => fs::create_dir(what).map(|()| "ok".into()),
        "rename" => {
            let (from, to) = what.split_once('>').unwrap();
            fs::rename(from, to).map(|()| "ok".into())
        }
        "symlink" => {
            let (at, to) = what.split_once('>').unwrap();
            std::os::unix::fs::symlink(to, at).map(|()| "ok".into())
        }
        "fifo" => last(unsafe { libc::mkfifo(text(what).as_ptr(), 0o600) }.into()).map(|_| "ok".into()),
        "hardlink" => {
            let (at, to) = what.split_once('>').unwrap();
            fs::hard_link(to, at).map(|()| "ok".into())
        }
        "truncate" => last(unsafe { libc::truncate(text(what).as_ptr(), 0) }.into()).map(|_| "ok".into()),
        "touch" => last(unsafe { libc::utimes(text(what).as_ptr(), std::ptr::null()) }.into()).map(|_| "ok".into()),
        "open-write" => OpenOptions::new().write(true).open(what).map(|_| "ok".into()),
        "chmod" => fs::set_permissions(what, fs::Permissions::from_mode(0o777)).map(|()| "ok".into()),
        "remove" => fs::remove_dir_all(what).map(|()| "ok".into()),
        // A copy of this program, which says "ok" when it is started.
        "copy" => fs::copy("/proc/self/exe", what).map(|_| "ok".into()),
        "exec" => Err(execute(what)),
        "started" => Ok("ok".into()),
        "loader" => {
            let arguments = [text("/lib64/ld-linux-x86-64.so.2"), text(what)];
            Err(exec(arguments[0].clone(), &arguments))
        }
        "memfd" => {
            let fd = last(unsafe { libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0) })?;
            let mut file = unsafe { File::from_raw_fd(fd as i32) };
            io::copy(&mut File::open("/proc/self/exe")?, &mut file)?;
            Err(execute(&format!("/proc/self/fd/{}", file.as_raw_fd())))
        }
        "fork" => fork().map(|()| "ok".into()),
        "vfork" => {
            let child = last(unsafe { libc::syscall(libc::SYS_vfork) })?;
            if child == 0 {
                unsafe { libc::_exit(0) };
            }
            Ok("ok".into())
        }
        "spawn" => std::process::Command::new(what)
            .arg("started")
            .stdout(std::process::Stdio::null())
            .status()
            .map(|status| status.to_string().into()),
        "clone3" => last(unsafe { libc::syscall(libc::SYS_clone3, 0, 0) }).map(Value::from),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(|handle| {
            handle.join().unwrap();
            "ok".into()
        }),
        "threads" => {
            let mut handles = Vec::new();
            let error = loop {
                match std::thread::Builder::new()
                    .stack_size(64 * 1024)
                    .spawn(|| std::thread::sleep(Duration::from_secs(1)))
                {
                    Ok(handle) => handles.push(handle),
                    Err(error) => break error,
                }
            };
            Ok(format!("{} then {}", handles.len(), name(&error)).into())
        }
        "bomb" => {
            // Every child forks too, until nobody can.
            let mut children = 0;
            loop {
                match unsafe { libc::fork() } {
                    -1 => break,
                    0 => loop {
                        if unsafe { libc::fork() } < 0 {
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    },
                    _ => children += 1,
                }
            }
            Ok(Value::from(children))
        }
        "files" => {
            let mut open = Vec::new();
            let error = loop {
                match File::open("/dev/null") {
                    Ok(file) => open.push(file),
                    Err(error) => break error,
                }
            };
            Ok(format!("{} then {}", open.last().unwrap().as_raw_fd(), name(&error)).into())
        }
        "fill" => {
            let mut written = 0;
            for folder in what.split(',') {
                for number in 0.. {
                    let mut file = File::create(format!("{folder}/fill{number}"))?;
                    let Ok(()) = (0..16).try_for_each(|_| file.write_all(&[1; 4096]).map(|()| written += 4096)) else {
                        break;
                    };
                }
            }
            Ok(Value::from(written))
        }
        "eat" => {
            let mut eaten = vec![0_u8; what.parse::<usize>().unwrap() << 20];
            eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            Ok(eaten.len().into())
        }
        "huge" => {
            let mut file = File::create(what)?;
            loop {
                file.write_all(&[0; 65536])?;
                file.set_len(0)?;
                io::Seek::seek(&mut file, io::SeekFrom::Current(1 << 20))?;
            }
        }
        "connect" => {
            let address = what.to_socket_addrs()?.next().unwrap();
            TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(|_| "ok".into())
        }
        "fetch" => {
            let mut stream = TcpStream::connect(what)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut all = String::new();
            io::Read::read_to_string(&mut stream, &mut all)?;
            Ok(all.into())
        }
        // Sends and ends, and waits for nothing.
        "fire" => {
            TcpStream::connect(what)?.write_all(b"fire and forget")?;
            std::process::exit(0)
        }
        "resolve" => {
            let mut all: Vec<String> = (what, 1).to_socket_addrs()?.map(|address| address.ip().to_string()).collect();
            all.dedup();
            Ok(all.into())
        }
        "ask" => ask(what, &mut |question| {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.send_to(question, "127.0.0.53:53")?;
            let mut answer = vec![0; 4096];
            let length = socket.recv(&mut answer)?;
            answer.truncate(length);
            Ok(answer)
        }),
        "ask-tcp" => ask(what, &mut |question| {
            let mut stream = TcpStream::connect("127.0.0.53:53")?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], question].concat())?;
            let mut length = [0; 2];
            io::Read::read_exact(&mut stream, &mut length)?;
            let mut answer = vec![0; u16::from_be_bytes(length).into()];
            io::Read::read_exact(&mut stream, &mut answer)?;
            Ok(answer)
        }),
        // Answers one caller, and says who it was.
        "serve" => {
            let (mut stream, from) = std::net::TcpListener::bind(what)?.accept()?;
            let mut line = [0; 6];
            io::Read::read_exact(&mut stream, &mut line)?;
            stream.write_all(b"welcome")?;
            Ok(format!("{} said {}", from.ip(), String::from_utf8_lossy(&line).trim_end()).into())
        }
        // Descriptors of the parent, which leads out.
        "steal" => {
            let of_parent = last(unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getppid(), 0) })?;
            let stolen =
                (0..32).filter(|number| unsafe { libc::syscall(libc::SYS_pidfd_getfd, of_parent, *number, 0) } >= 0);
            Ok(stolen.collect::<Vec<i32>>().into())
        }
        "bind" => UdpSocket::bind(what).map(|_| "ok".into()),
        "listen" => std::net::TcpListener::bind(what).map(|_| "ok".into()),
        // What comes of it, and whether that took less than 100 ms.
        "quick" => {
            let (verb, rest) = what.split_once(':').unwrap_or((what, ""));
            let started = std::time::Instant::now();
            let answer = run(verb, rest).unwrap_or_else(|error| Value::from(name(&error)));
            Ok(vec![answer, Value::from(started.elapsed() < Duration::from_millis(100))].into())
        }
        // Opens a connection by what is sent, and not by connect(2).
        "fast" => {
            let (socket, address, length) = (tcp()?, address(what.parse().unwrap()), size_of::<libc::sockaddr_in>());
            let at = (&raw const address).cast();
            let text = c"fast".as_ptr().cast();
            last(unsafe { libc::sendto(socket, text, 4, libc::MSG_FASTOPEN, at, length as u32) } as i64)
                .map(|_| "ok".into())
        }
        // A port of the loopback for TCP, at which nobody listens yet.
        "port" => {
            let (socket, address) = (tcp()?, address(format!("127.0.0.1:{what}").parse().unwrap()));
            let at = (&raw const address).cast();
            last(unsafe { libc::bind(socket, at, size_of::<libc::sockaddr_in>() as u32) }.into()).map(|_| "ok".into())
        }
        // At whatever port the kernel chooses.
        "listen-anywhere" => {
            let socket = tcp()?;
            last(unsafe { libc::listen(socket, 1) }.into()).map(|_| "ok".into())
        }
        // Makes of a TCP socket one of another kind, of this name.
        "convert" => {
            let socket = tcp()?;
            let (name, length) = (text(what), what.len() as u32);
            last(unsafe { libc::setsockopt(socket, libc::IPPROTO_TCP, 31, name.as_ptr().cast(), length) }.into())
                .map(|_| "ok".into())
        }
        "send" => UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", what).map(|_| "ok".into()),
        "socket" => {
            let numbers: Vec<i32> = what.split(',').map(|number| number.parse().unwrap()).collect();
            last(unsafe { libc::socket(numbers[0], numbers[1], numbers[2]) }.into()).map(|_| "ok".into())
        }
        "socketpair" => {
            let (mut pair, kind) = ([0; 2], what.parse().unwrap());
            last(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) }.into()).map(|_| "ok".into())
        }
        // A socket of the machine's that has a name, but no file.
        "abstract" => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(what)?;
            std::os::unix::net::UnixStream::connect_addr(&address).map(|_| "ok".into())
        }
        // A socket that is a file: somebody's, or its own, at which it calls itself.
        "connect-path" => {
            let mut stream = std::os::unix::net::UnixStream::connect(what)?;
            let mut all = String::new();
            io::Read::read_to_string(&mut stream, &mut all)?;
            Ok(all.into())
        }
        "serve-path" => {
            let listener = std::os::unix::net::UnixListener::bind(what)?;
            let caller = std::os::unix::net::UnixStream::connect(what)?;
            listener.accept()?.0.write_all(b"from myself")?;
            let mut all = String::new();
            io::Read::read_to_string(&mut &caller, &mut all)?;
            Ok(all.into())
        }
        "send-path" => std::os::unix::net::UnixDatagram::unbound()?.send_to(b"x", what).map(|_| "ok".into()),
        "serve-abstract" => {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(what)?;
            let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
            let _caller = std::os::unix::net::UnixStream::connect_addr(&address)?;
            listener.accept().map(|_| "ok".into())
        }
        "init" => {
            // What kill(2), prlimit(2) and others say of the parent, which counts the time.
            let parent = unsafe { libc::getppid() };
            let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
            let answer: i64 = match what {
                "kill" => unsafe { libc::kill(parent, libc::SIGKILL) }.into(),
                "limit" => unsafe { libc::prlimit(parent, libc::RLIMIT_CPU, std::ptr::null(), &raw mut limit) }.into(),
                "nice" => unsafe { libc::setpriority(libc::PRIO_PROCESS, parent.unsigned_abs(), 19) }.into(),
                "trace" => unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent, 0, 0) },
                "environ" => return run("open", &format!("/proc/{parent}/environ")),
                "fd" => return run("list", &format!("/proc/{parent}/fd")),
                "root" => return run("list", &format!("/proc/{parent}/root")),
                other => panic!("no {other}"),
            };
            last(answer).map(|_| "ok".into())
        }
        "attribute" => {
            let size = 1;
            let name = c"user.ccos".as_ptr();
            last(unsafe { libc::setxattr(text(what).as_ptr(), name, c"x".as_ptr().cast(), size, 0) }.into())
                .map(|_| "ok".into())
        }
        "loopback" => {
            let server = std::net::TcpListener::bind("127.0.7.1:443")?;
            TcpStream::connect(server.local_addr()?).map(|_| "ok".into())
        }
        "syscall" => {
            let numbers: Vec<i64> = what.split(',').map(|number| number.parse().unwrap()).collect();
            let at = |index| numbers.get(index).copied().unwrap_or(0);
            last(unsafe { libc::syscall(at(0), at(1), at(2), at(3), at(4), at(5)) }).map(Value::from)
        }
        "kill" => {
            let (pid, signal) = what.split_once(',').unwrap();
            last(unsafe { libc::kill(pid.parse().unwrap(), signal.parse().unwrap()) }.into()).map(|_| "ok".into())
        }
        "descriptors" => {
            let open: Vec<i32> = (0..64).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect();
            Ok(open.into())
        }
        "variable" => std::env::var(what).map(Value::from).map_err(|_| io::Error::from_raw_os_error(libc::ENOENT)),
        "child" => {
            let output = std::process::Command::new("/app/attack").arg(what).output()?;
            let answers: Value = serde_json::from_slice(&output.stdout)?;
            Ok(answers[what].clone())
        }
        "in-thread" => {
            let (verb, rest) = what.split_once(':').unwrap_or((what, ""));
            std::thread::scope(|scope| scope.spawn(|| run(verb, rest)).join().unwrap())
        }
        "environment" => {
            let mut names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            Ok(names.into())
        }
        "spin" => {
            let until = std::time::Instant::now() + Duration::from_millis(what.parse().unwrap());
            while std::time::Instant::now() < until {}
            Ok("ok".into())
        }
        // What the kernel counts for the whole node.
        "watches" => {
            let mut open = Vec::new();
            let wanted: usize = what.parse().unwrap();
            while open.len() < wanted {
                open.push(last(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) }.into())?);
            }
            Ok(open.len().into())
        }
        // Names of a folder that may not be listed, whenever somebody does something with them.
        "watch" => {
            let watch = last(unsafe { libc::inotify_init1(libc::IN_CLOEXEC) }.into())?;
            let mask = libc::IN_ALL_EVENTS;
            last(unsafe { libc::inotify_add_watch(watch as i32, text(what).as_ptr(), mask) }.into())
                .map(|_| "ok".into())
        }
        // With 0, a node's handler of cores is given one all the same.
        "core" => {
            let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
            last(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) }.into())?;
            Ok(vec![limit.rlim_cur, limit.rlim_max].into())
        }
        "requests" => {
            let mut ring: libc::c_ulong = 0;
            let count: i64 = what.parse().unwrap();
            last(unsafe { libc::syscall(libc::SYS_io_setup, count, &raw mut ring) }).map(|_| "ok".into())
        }
        // A name that is no text, which everybody reads who looks at this process.
        "rename-itself" => {
            last(unsafe { libc::prctl(libc::PR_SET_NAME, c"\xff)\n(\xfe".as_ptr()) }.into()).map(|_| "ok".into())
        }
        // Work for so many short children, and none for itself.
        "orphans" => {
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            for _ in 0..what.parse().unwrap() {
                if last(unsafe { libc::fork() }.into())? == 0 {
                    run("spin", "100")?;
                    unsafe { libc::_exit(0) };
                }
                run("sleep", "150")?;
            }
            Ok("ok".into())
        }
        "spin-orphans" => {
            // Short children that nobody waits for: their time is in nobody's usage.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            loop {
                if unsafe { libc::fork() } == 0 {
                    run("spin", what)?;
                    unsafe { libc::_exit(0) };
                }
                run("spin", what)?;
            }
        }
        "sleep" => {
            std::thread::sleep(Duration::from_millis(what.parse().unwrap()));
            Ok("ok".into())
        }
        "ignore" => {
            unsafe { libc::signal(what.parse().unwrap(), libc::SIG_IGN) };
            Ok("ok".into())
        }
        "daemon" => {
            // Ignores SIGTERM, forks twice into a session of its own, keeps the outputs open and lives on.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            if last(unsafe { libc::fork() }.into())? == 0 {
                unsafe { libc::setsid() };
                if unsafe { libc::fork() } == 0 {
                    loop {
                        std::thread::sleep(Duration::from_secs(60));
                    }
                }
                unsafe { libc::_exit(0) };
            }
            Ok("ok".into())
        }
        "flood" => loop {
            io::stdout().write_all(&[b'x'; 65536])?;
        },
        "print" => {
            print!("{what}");
            io::stdout().flush()?;
            std::process::exit(0)
        }
        "deep" => {
            print!("{}", "[".repeat(what.parse().unwrap()));
            io::stdout().flush()?;
            std::process::exit(0)
        }
        "raw" => {
            io::stdout().write_all(b"\x1b[31m\xff\xfe not JSON")?;
            std::process::exit(0)
        }
        "result" => {
            fs::write(std::env::var("CCOS_RESULT_FILE").unwrap(), what)?;
            std::process::exit(0)
        }
        "stdin" => {
            let mut all = String::new();
            io::Read::read_to_string(&mut io::stdin(), &mut all)?;
            Ok(all.into())
        }
        "exit" => std::process::exit(what.parse().unwrap()),
        "abort" => std::process::abort(),
        _ => panic!("no attack {verb:?}"),
    }
}

fn tcp() -> io::Result<i32> {
    last(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) }.into()).map(|socket| socket as i32)
}

fn address(of: std::net::SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: of.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*of.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// `NAME,TYPE`: the code of the answer, and the addresses in it.
fn ask(what: &str, send: &mut dyn FnMut(&[u8]) -> io::Result<Vec<u8>>) -> Answer {
    let (name, kind) = what.split_once(',').unwrap_or((what, "1"));
    let mut question = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, kind.parse().unwrap(), 0, 1]);
    let answer = send(&question)?;
    // The one record that there may be repeats no name but by its place.
    let count = answer[7];
    let address = answer[answer.len() - 4..].iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
    Ok(if count == 0 { format!("code {}", answer[3] & 15) } else { address }.into())
}

fn fork() -> io::Result<()> {
    match last(unsafe { libc::fork() }.into())? {
        0 => unsafe { libc::_exit(0) },
        child => last(unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) }.into()).map(drop),
    }
}

fn execute(program: &str) -> io::Error {
    exec(text(program), &[text(program), text("started")])
}

fn exec(program: CString, arguments: &[CString]) -> io::Error {
    let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    unsafe { libc::execv(program.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}
