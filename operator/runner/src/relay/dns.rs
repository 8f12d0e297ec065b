//! The workload's name server: answers for the required names, and for no other. It asks nobody.
//!
//! "No such name" (NXDOMAIN) is the one refusal at which every resolver gives up at once: at REFUSED, glibc asks again
//! and musl waits until its time is up.

use std::net::{Ipv4Addr, SocketAddr};

use ccos_policy::HostName;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::names::{Lookup, Names};

/// Where the workload finds it.
pub const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);

/// A question is a name of 255 bytes and an option or two.
pub const MOST_QUESTION_BYTES: usize = 1232;

/// An address stays a name's for the whole attempt; some programs ask again and again at 0.
const TTL_SECONDS: u32 = 60;

/// What comes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What is sent back; nothing to what is no question.
    pub reply: Option<Vec<u8>>,
    /// The name that was refused, if one was.
    pub refused: Option<String>,
}

/// Answers one message.
pub fn answer(message: &[u8], names: &mut Names) -> Answer {
    let silent = Answer { reply: None, refused: None };
    let question = match Message::from_vec(message) {
        // An answer to an answer could go on for ever.
        Ok(message) if message.metadata.message_type != MessageType::Query => return silent,
        Ok(message) => message,
        Err(_) => return Answer { reply: malformed(message), refused: None },
    };
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    // As it was asked, in its letters: resolvers that mix them look whether they come back.
    reply.queries.clone_from(&question.queries);
    if let Some(asked) = &question.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232).set_version(0);
        if asked.version() > 0 {
            reply.metadata.response_code = ResponseCode::BADVERS;
        }
        reply.edns = Some(edns);
    }
    let mut refused = None;
    if reply.metadata.response_code == ResponseCode::NoError {
        let (code, address);
        (code, address, refused) = look_up(&question, names);
        reply.metadata.response_code = code;
        if let (Some(address), Some(query)) = (address, question.queries.first()) {
            reply.add_answer(Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::A(A(address))));
        }
    }
    Answer { reply: reply.to_vec().ok(), refused }
}

fn look_up(question: &Message, names: &mut Names) -> (ResponseCode, Option<Ipv4Addr>, Option<String>) {
    if question.metadata.op_code != OpCode::Query {
        return (ResponseCode::NotImp, None, None);
    }
    let [query] = question.queries.as_slice() else { return (ResponseCode::FormErr, None, None) };
    if query.query_class() != DNSClass::IN {
        return (ResponseCode::NotImp, None, None);
    }
    // What is no host name (`_service`, bytes that are no letters) is no required name either.
    let text = query.name().to_ascii();
    match text.parse::<HostName>().map_or(Lookup::NotRequired, |name| names.look_up(&name)) {
        // Of other kinds the name has nothing. It has no IPv6 address: programs take the other one.
        Lookup::At(address) => (ResponseCode::NoError, (query.query_type() == RecordType::A).then_some(address), None),
        Lookup::NotRequired => (ResponseCode::NXDomain, None, Some(text)),
        Lookup::Full => (ResponseCode::ServFail, None, Some(text)),
    }
}

/// To what can't be read but has the head of a question (RFC 1035, section 4.1.1).
fn malformed(message: &[u8]) -> Option<Vec<u8>> {
    let head: [u8; 12] = *message.first_chunk()?;
    let [high, low, flags, ..] = head;
    let is_question = flags & 0x80 == 0;
    let reply = Message::error_msg(u16::from_be_bytes([high, low]), OpCode::Query, ResponseCode::FormErr);
    is_question.then(|| reply.to_vec().ok()).flatten()
}

/// A question for a name's address.
#[must_use]
pub fn question(name: &HostName) -> Option<Vec<u8>> {
    let mut message = Message::new(0xcc05, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).ok()?, RecordType::A));
    message.to_vec().ok()
}

/// The address in an answer.
#[must_use]
pub fn address(message: &[u8]) -> Option<Ipv4Addr> {
    let message = Message::from_vec(message).ok()?;
    message.answers.iter().find_map(|record| if let RData::A(A(address)) = record.data { Some(address) } else { None })
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::rules;
    use super::*;

    fn names() -> Names {
        Names::new(&rules(&[("a.test", &[(443, 443)]), ("*.b.test", &[(443, 443)])], &["secret.b.test"])).unwrap()
    }

    fn ask(message: &Message) -> (Message, Option<String>) {
        let Answer { reply, refused } = answer(&message.to_vec().unwrap(), &mut names());
        (Message::from_vec(&reply.unwrap()).unwrap(), refused)
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    #[test]
    fn a_required_name_has_its_address_and_no_other_kind_of_record() {
        let (reply, refused) = ask(&query("a.test.", RecordType::A));
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (7, ResponseCode::NoError));
        assert!(reply.metadata.recursion_available && reply.metadata.recursion_desired);
        assert_eq!(address(&reply.to_vec().unwrap()), Some(Ipv4Addr::new(127, 192, 0, 1)));
        assert_eq!(refused, None);
        for kind in
            [RecordType::AAAA, RecordType::TXT, RecordType::MX, RecordType::HTTPS, RecordType::NS, RecordType::ANY]
        {
            let (reply, refused) = ask(&query("a.test.", kind));
            assert_eq!(
                (reply.metadata.response_code, reply.answers.len(), refused),
                (ResponseCode::NoError, 0, None),
                "{kind}"
            );
        }
    }

    #[test]
    fn any_other_name_does_not_exist() {
        for name in ["c.test.", "x.a.test.", "secret.b.test.", "test.", ".", "_x.b.test.", "1.0.0.127.in-addr.arpa."] {
            for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
                let (reply, refused) = ask(&query(name, kind));
                assert_eq!(
                    (reply.metadata.response_code, reply.answers.len()),
                    (ResponseCode::NXDomain, 0),
                    "{name} {kind}"
                );
                assert!(refused.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_label_with_a_dot_or_with_no_letters_is_no_required_name() {
        for labels in [&[&b"a.test"[..]][..], &[b"x.b", b"test"], &[b"\xff", b"b", b"test"], &[b"\0", b"b", b"test"]] {
            let mut message = Message::new(7, MessageType::Query, OpCode::Query);
            message.add_query(Query::query(Name::from_labels(labels.iter().copied()).unwrap(), RecordType::A));
            let (reply, refused) = ask(&message);
            assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{labels:?}");
            assert!(refused.unwrap().is_ascii());
        }
    }

    #[test]
    fn the_letters_of_the_question_come_back() {
        let (reply, _) = ask(&query("X.b.TeST.", RecordType::A));
        assert_eq!(reply.queries.first().unwrap().name().to_ascii(), "X.b.TeST.");
        assert_eq!(reply.answers.first().unwrap().name.to_ascii(), "X.b.TeST.");
    }

    #[test]
    fn options_are_answered_where_they_were_given() {
        assert!(ask(&query("a.test.", RecordType::A)).0.edns.is_none());
        let mut message = query("a.test.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_dnssec_ok(true);
        message.edns = Some(edns.clone());
        let (reply, _) = ask(&message);
        assert_eq!((reply.edns.as_ref().unwrap().max_payload(), reply.answers.len()), (1232, 1));
        edns.set_version(1);
        message.edns = Some(edns);
        // BADSIG has the same number, in another kind of record.
        assert_eq!(u16::from(ask(&message).0.metadata.response_code), u16::from(ResponseCode::BADVERS));
    }

    #[test]
    fn what_is_no_plain_question_is_refused() {
        let mut two = query("a.test.", RecordType::A);
        two.add_query(Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A));
        assert_eq!(ask(&two).0.metadata.response_code, ResponseCode::FormErr);
        let none = Message::new(7, MessageType::Query, OpCode::Query);
        assert_eq!(ask(&none).0.metadata.response_code, ResponseCode::FormErr);
        let update = Message::new(7, MessageType::Query, OpCode::Update);
        assert_eq!(ask(&update).0.metadata.response_code, ResponseCode::NotImp);
        let mut chaos = query("a.test.", RecordType::TXT);
        chaos.queries.first_mut().unwrap().set_query_class(DNSClass::CH);
        assert_eq!(ask(&chaos).0.metadata.response_code, ResponseCode::NotImp);
    }

    #[test]
    fn nothing_is_said_to_what_is_no_question() {
        let answered = query("a.test.", RecordType::A).into_response().to_vec().unwrap();
        let nothing = Answer { reply: None, refused: None };
        for message in [&b""[..], b"short", &[0xff; 64], &answered] {
            assert_eq!(answer(message, &mut names()), nothing, "{message:?}");
        }
        let torn = query("a.test.", RecordType::A).to_vec().unwrap();
        let reply = answer(&torn[..20], &mut names()).reply.unwrap();
        assert_eq!(Message::from_vec(&reply).unwrap().metadata.response_code, ResponseCode::FormErr);
    }

    #[test]
    fn the_proof_asks_as_programs_do() {
        let question = question(&"a.test".parse().unwrap()).unwrap();
        assert_eq!(address(&answer(&question, &mut names()).reply.unwrap()), Some(Ipv4Addr::new(127, 192, 0, 1)));
        assert_eq!(address(b"nothing"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_message_breaks_it(message in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = answer(&message, &mut names());
        }
    }
}
