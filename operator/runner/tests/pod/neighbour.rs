//! Somebody else on the node, who listens at sockets that are files of a volume.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Ends with the test's process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbour {
    datagrams: Arc<Mutex<Option<UnixDatagram>>>,
}

impl Neighbour {
    /// Listens at `stream.sock`, and at `datagram.sock`, where anyone may.
    pub(crate) fn listen(&self, folder: &Path) {
        let at = |name: &str| folder.join(name);
        let listener = UnixListener::bind(at("stream.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A caller that is gone already is none of its business.
                drop(stream.and_then(|mut stream| stream.write_all(b"hello from the neighbour")));
            }
        });
        *self.datagrams.lock().unwrap() = Some(UnixDatagram::bind(at("datagram.sock")).unwrap());
        for name in ["stream.sock", "datagram.sock"] {
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o777)).unwrap();
        }
    }
}
