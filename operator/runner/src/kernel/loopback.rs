//! Addresses of `lo`, by the one message of rtnetlink(7) that gives it one.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

use crate::relay::blocks::Address;

/// `lo` is the first interface of each network namespace.
const LO: u32 = 1;

/// An address, and the same as the interface's own: `IFA_LOCAL` and `IFA_ADDRESS`.
const ATTRIBUTES: [u16; 2] = [2, 1];

/// Gives it. The answer is waited for: what could not be given must not be missed later.
pub(super) fn add(address: Address) -> Result<(), Errno> {
    let socket = open()?;
    send(&socket, &message(address), SendFlags::empty())?;
    let mut answer = [0; 512];
    let (read, length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    acknowledged(answer.get(..read.min(length)).unwrap_or_default())
}

fn open() -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// What is asked for: `RTM_NEWADDR`, to be acknowledged, and refused where it is there.
const NEW_ADDRESS: u16 = 20;
const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;
const INET: u8 = 2;

/// A head of 16 bytes (`nlmsghdr`), 8 of what it is about (`ifaddrmsg`), and the address twice.
const LENGTH: u32 = 16 + 8 + 2 * 8;

fn message(Address { address, prefix }: Address) -> Vec<u8> {
    let mut message = LENGTH.to_ne_bytes().to_vec();
    message.extend(NEW_ADDRESS.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([INET, prefix, 0, 0]);
    message.extend(LO.to_ne_bytes());
    for attribute in ATTRIBUTES {
        message.extend(8_u16.to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(address.octets());
    }
    message
}

/// `NLMSG_ERROR` with 0 is an acknowledgement.
fn acknowledged(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind.map(i32::from), code) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(code @ -4095..0)) => Err(Errno::from_raw_os_error(-code)),
        _ => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_linux_has_it() {
        let message = message(Address { address: [10, 1, 2, 0].into(), prefix: 24 });
        assert_eq!(message.len(), 40);
        assert_eq!(message[..8], [40, 0, 0, 0, 20, 0, 5, 6]);
        assert_eq!(message[16..], [2, 24, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 1, 2, 0, 8, 0, 1, 0, 10, 1, 2, 0]);
    }

    #[test]
    fn only_an_acknowledgement_is_one() {
        let answer = |kind: u8, code: i32| {
            let mut answer = vec![20, 0, 0, 0, kind, 0];
            answer.resize(16, 0);
            answer.extend(code.to_ne_bytes());
            acknowledged(&answer)
        };
        assert_eq!(answer(2, 0), Ok(()));
        assert_eq!(answer(2, -17), Err(Errno::EXIST));
        assert_eq!((answer(2, i32::MIN), answer(2, 1)), (Err(Errno::BADMSG), Err(Errno::BADMSG)));
        assert_eq!(answer(3, 0), Err(Errno::BADMSG));
        assert_eq!(acknowledged(&[]), Err(Errno::BADMSG));
    }
}
