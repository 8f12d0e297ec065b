use proptest::prelude::*;

use super::*;

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 443)
}

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn grants(outbound: &[&str], blocked: &[&str]) -> Grants {
    let outbound: Vec<_> = outbound
        .iter()
        .map(|cidr| serde_json::json!({"cidr": cidr, "ports": [{"port": 443, "endPort": 443}]}))
        .collect();
    let blocked: Vec<_> = blocked.iter().map(|cidr| serde_json::json!({"cidr": cidr})).collect();
    Grants::parse(&serde_json::json!({"outbound": outbound, "blocked": blocked}).to_string()).unwrap()
}

/// Just inside and just outside of each range.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_range_begins_and_ends_where_the_registry_says() {
    let embedded = |a, b, c, d| Scope::Embedded(std::net::Ipv4Addr::new(a, b, c, d));
    for (address, expected) in [
        ("0.0.0.0", Scope::Unspecified),
        ("0.255.255.255", Scope::Unspecified),
        ("1.0.0.0", Scope::Public),
        ("9.255.255.255", Scope::Public),
        ("10.0.0.0", Scope::Private),
        ("10.255.255.255", Scope::Private),
        ("11.0.0.0", Scope::Public),
        ("100.63.255.255", Scope::Public),
        ("100.64.0.0", Scope::Shared),
        ("100.127.255.255", Scope::Shared),
        ("100.128.0.0", Scope::Public),
        ("100.100.100.200", Scope::Metadata),
        ("100.100.100.201", Scope::Shared),
        ("126.255.255.255", Scope::Public),
        ("127.0.0.0", Scope::Loopback),
        ("127.255.255.255", Scope::Loopback),
        ("128.0.0.0", Scope::Public),
        ("168.63.129.15", Scope::Public),
        ("168.63.129.16", Scope::Metadata),
        ("169.253.255.255", Scope::Public),
        ("169.254.0.0", Scope::LinkLocal),
        ("169.254.169.254", Scope::Metadata),
        ("169.254.169.253", Scope::LinkLocal),
        ("169.254.170.2", Scope::Metadata),
        ("169.254.170.23", Scope::Metadata),
        ("169.254.255.255", Scope::LinkLocal),
        ("169.255.0.0", Scope::Public),
        ("172.15.255.255", Scope::Public),
        ("172.16.0.0", Scope::Private),
        ("172.31.255.255", Scope::Private),
        ("172.32.0.0", Scope::Public),
        ("191.255.255.255", Scope::Public),
        ("192.0.0.0", Scope::Reserved),
        ("192.0.0.192", Scope::Metadata),
        ("192.0.0.255", Scope::Reserved),
        ("192.0.1.0", Scope::Public),
        ("192.0.2.0", Scope::Reserved),
        ("192.0.2.255", Scope::Reserved),
        ("192.0.3.0", Scope::Public),
        ("192.88.98.255", Scope::Public),
        ("192.88.99.0", Scope::Reserved),
        ("192.88.99.255", Scope::Reserved),
        ("192.88.100.0", Scope::Public),
        ("192.167.255.255", Scope::Public),
        ("192.168.0.0", Scope::Private),
        ("192.168.255.255", Scope::Private),
        ("192.169.0.0", Scope::Public),
        ("198.17.255.255", Scope::Public),
        ("198.18.0.0", Scope::Reserved),
        ("198.19.255.255", Scope::Reserved),
        ("198.20.0.0", Scope::Public),
        ("198.51.99.255", Scope::Public),
        ("198.51.100.0", Scope::Reserved),
        ("198.51.100.255", Scope::Reserved),
        ("198.51.101.0", Scope::Public),
        ("203.0.112.255", Scope::Public),
        ("203.0.113.0", Scope::Reserved),
        ("203.0.113.255", Scope::Reserved),
        ("203.0.114.0", Scope::Public),
        ("223.255.255.255", Scope::Public),
        ("224.0.0.0", Scope::Multicast),
        ("239.255.255.255", Scope::Multicast),
        ("240.0.0.0", Scope::Reserved),
        ("255.255.255.254", Scope::Reserved),
        ("255.255.255.255", Scope::Broadcast),
        ("::", Scope::Unspecified),
        ("::1", Scope::Loopback),
        ("::2", embedded(0, 0, 0, 2)),
        ("::7f00:1", embedded(127, 0, 0, 1)),
        ("::ffff:10.0.0.1", Scope::Private),
        ("::ffff:8.8.8.8", Scope::Public),
        ("::ffff:0:169.254.169.254", embedded(169, 254, 169, 254)),
        ("::1:0:0:0", Scope::Reserved),
        ("64:ff9a:ffff::", Scope::Reserved),
        ("64:ff9b::10.0.0.1", embedded(10, 0, 0, 1)),
        ("64:ff9b::1:0:0", Scope::Reserved),
        ("64:ff9b:1::169.254.169.254", embedded(169, 254, 169, 254)),
        ("64:ff9b:1:ffff::1", embedded(0, 0, 0, 1)),
        ("64:ff9b:2::", Scope::Reserved),
        ("100::1", Scope::Reserved),
        ("1fff:ffff::", Scope::Reserved),
        ("2000::", Scope::Public),
        ("2001:0:0:0::80ff:fffe", embedded(127, 0, 0, 1)),
        ("2001:1::", Scope::Reserved),
        ("2001:1ff:ffff::", Scope::Reserved),
        ("2001:200::", Scope::Public),
        ("2001:db7:ffff::", Scope::Public),
        ("2001:db8::", Scope::Reserved),
        ("2001:db8:ffff:ffff::", Scope::Reserved),
        ("2001:db9::", Scope::Public),
        ("2001:ffff::", Scope::Public),
        ("2002:7f00:1::", embedded(127, 0, 0, 1)),
        ("2002:a9fe:a9fe::1", embedded(169, 254, 169, 254)),
        ("2003::", Scope::Public),
        ("2600::", Scope::Public),
        ("2600::5efe:a00:1", embedded(10, 0, 0, 1)),
        ("2600::200:5efe:a00:1", embedded(10, 0, 0, 1)),
        ("2600::100:5efe:a00:1", Scope::Public),
        ("3ffe:ffff::", Scope::Public),
        ("3fff::", Scope::Reserved),
        ("3fff:fff:ffff::", Scope::Reserved),
        ("3fff:1000::", Scope::Public),
        ("4000::", Scope::Reserved),
        ("5f00::1", Scope::Reserved),
        ("fbff:ffff::", Scope::Reserved),
        ("fc00::", Scope::UniqueLocal),
        ("fdff:ffff::", Scope::UniqueLocal),
        ("fd00:ec2::254", Scope::Metadata),
        ("fd20:ce::254", Scope::Metadata),
        ("fd20:ce::253", Scope::UniqueLocal),
        ("fe00::", Scope::Reserved),
        ("fe7f:ffff::", Scope::Reserved),
        ("fe80::", Scope::LinkLocal),
        ("febf:ffff::", Scope::LinkLocal),
        ("fec0::", Scope::LinkLocal),
        ("feff:ffff::", Scope::LinkLocal),
        ("ff00::", Scope::Multicast),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Scope::Multicast),
    ] {
        assert_eq!(scope(address.parse().unwrap()), expected, "{address}");
    }
}

#[test]
fn only_public_addresses_pass_by_default() {
    let (grants, ranges) = (Grants::default(), Ranges::default());
    assert_eq!(vet(at("8.8.8.8"), &grants, &ranges).unwrap().address(), at("8.8.8.8"));
    assert_eq!(vet(at("2600::1"), &grants, &ranges).unwrap().address(), at("2600::1"));
    for refused in [
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::",
        "::8.8.8.8",
        "fe80::1",
        "fd00::1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "192.0.2.1",
    ] {
        assert!(vet(at(refused), &grants, &ranges).is_err(), "{refused}");
    }
}

#[test]
fn a_mapped_address_is_dialled_as_the_one_that_was_looked_at() {
    let passed = vet(at("::ffff:8.8.8.8"), &Grants::default(), &Ranges::default()).unwrap();
    assert_eq!(passed.address(), at("8.8.8.8"));
}

#[test]
fn a_block_of_the_rules_wins_over_all_else_however_the_address_is_written() {
    let grants = grants(&["8.8.0.0/16"], &["8.8.8.0/24", "2600::/16"]);
    let ranges = Ranges { allowed: cidrs(&["8.8.8.8/32", "64:ff9b::/96"]), ..Ranges::default() };
    for blocked in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2600::1"] {
        assert!(matches!(classify(at(blocked), &grants, &ranges), AddressClass::Blocked(_)), "{blocked}");
    }
    assert_eq!(classify(at("8.8.9.8"), &grants, &ranges), AddressClass::Public);
}

#[test]
fn private_addresses_open_by_the_platform_or_by_a_rule_at_its_port() {
    let ranges = Ranges::new(cidrs(&["10.244.0.0/16"]), [], cidrs(&["10.1.0.0/24"]));
    let grants = grants(&["10.2.0.0/24", "10.244.0.0/16", "fd12::/32", "203.0.113.0/24"], &[]);
    for (address, port, expected) in [
        ("10.1.0.1", 80, AddressClass::Granted),
        ("10.2.0.1", 443, AddressClass::Granted),
        ("10.2.0.1", 80, AddressClass::Refused(Scope::Private)),
        ("10.3.0.1", 443, AddressClass::Refused(Scope::Private)),
        ("fd12::1", 443, AddressClass::Granted),
        ("203.0.113.9", 443, AddressClass::Granted),
        ("10.244.3.4", 443, AddressClass::Cluster),
        ("::ffff:10.244.3.4", 443, AddressClass::Cluster),
        ("64:ff9b::10.244.3.4", 443, AddressClass::Cluster),
    ] {
        let address = SocketAddr::new(address.parse().unwrap(), port);
        assert_eq!(classify(address, &grants, &ranges), expected, "{address}");
    }
    // A proxy that does not know the cluster can't tell what a rule would open.
    let unknown = Ranges::new(Vec::new(), cidrs(&["10.244.0.0/16"]), Vec::new());
    assert_eq!(classify(at("10.2.0.1"), &grants, &unknown), AddressClass::Refused(Scope::Private));
}

#[test]
fn some_addresses_open_by_nothing() {
    let everything = ["0.0.0.0/0", "::/0"];
    let ranges = Ranges::new(cidrs(&["10.244.0.0/16"]), [], cidrs(&everything));
    let grants = grants(&everything, &[]);
    for never in [
        "127.0.0.1",
        "::1",
        "169.254.0.1",
        "fe80::1",
        "169.254.169.254",
        "fd00:ec2::254",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "10.244.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.244.0.1",
        "2002:a9fe:a9fe::1",
    ] {
        assert!(vet(at(never), &grants, &ranges).is_err(), "{never}");
    }
    assert!(
        vet(at("64:ff9b::8.8.8.8"), &grants, &ranges).is_ok(),
        "a translator that the platform knows leads to the world"
    );
}

proptest! {
    #[test]
    fn an_ipv4_address_is_the_same_mapped(bits in any::<u32>()) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        prop_assert_eq!(scope(IpAddr::V4(v4)), scope(IpAddr::V6(v4.to_ipv6_mapped())));
    }

    /// The standard library knows the same registries, from other tables.
    #[test]
    fn what_the_standard_library_calls_special_is_never_public(bits in any::<u32>(), high in any::<u128>()) {
        let v4 = std::net::Ipv4Addr::from_bits(bits);
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
            || v4.is_documentation() || v4.is_unspecified() {
            prop_assert_ne!(scope(IpAddr::V4(v4)), Scope::Public);
        }
        let v6 = std::net::Ipv6Addr::from_bits(high);
        if v6.is_loopback() || v6.is_multicast() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified() {
            prop_assert_ne!(scope(IpAddr::V6(v6)), Scope::Public);
        }
    }

    #[test]
    fn what_passes_is_in_no_block_of_the_cluster_and_in_none_of_the_rules(bits in any::<u32>(), length in 1_u8..32) {
        let block = ipnet_text(bits, length);
        let address = at(&std::net::Ipv4Addr::from_bits(bits).to_string());
        let open = Ranges { allowed: cidrs(&["0.0.0.0/0"]), cluster_known: true, ..Ranges::default() };
        prop_assert!(vet(address, &grants(&[], &[&block]), &open).is_err());
        let cluster = Ranges { cluster: cidrs(&[&block]), ..open };
        prop_assert!(vet(address, &Grants::default(), &cluster).is_err());
    }
}

fn ipnet_text(bits: u32, length: u8) -> String {
    let mask = u32::MAX << (32 - u32::from(length));
    format!("{}/{length}", std::net::Ipv4Addr::from_bits(bits & mask))
}
