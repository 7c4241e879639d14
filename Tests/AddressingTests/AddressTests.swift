import Addressing
import Testing

@Suite("Addresses, prefixes and VNIs: what is read, what is refused, what is printed")
struct AddressTests {
    @Test(
        "a good address prints as its canonical text",
        arguments: [
            ("10.1.0.5", "10.1.0.5"), ("255.255.255.255", "255.255.255.255"),
            ("fd00::1", "fd00::1"), ("FD00:0:0:0:0:0:0:1", "fd00::1"), ("::", "::"),
            ("::1", "::1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("0.0.0.0", "0.0.0.0"),
            ("1::", "1::"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1::0008", "1::8"),
            ("aBcD::0:1", "abcd::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ]
    )
    func reads(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(bytes: address.bytes) == address)
    }

    @Test(
        "a malformed address is refused",
        arguments: [
            "", "10.1.0", "10.1.0.256", "10.1.0.5.6", "010.1.0.1", "1.2.3.+4", "fd00:::1", "::1::",
            "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::", "12345::", "10.1.0.5 ", "-1::",
            ":", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8",
            "1:", ":1::", "1::2::3", "::g", "::1%eth0", "::ffff:1.2.3.4", "0x1.2.3.4", "1..2.3",
            "1.2.3.4.", ".1.2.3.4", "1.2.3.00", "1.2.3.0004", "::00001", "::\u{661}",
            "1.2.3.\u{664}",
        ]
    )
    func refusesAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "a malformed prefix is refused, host bits included",
        arguments: [
            "10.1.0.0", "10.1.0.0/33", "10.1.0.1/16", "10.1.0.0/-1", "10.1.0.0/", "/8",
            "fd00::/129", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/+8", "10.0.0.0/0008", "::/0 ",
            "fd00::1:/128", "fd00::0:/64", "::0:/0", "1:2:3:4:5:6:7:/128", "/0",
        ]
    )
    func refusesPrefix(text: String) {
        #expect(Prefix(text) == nil)
    }

    @Test(
        "a prefix knows its bounds",
        arguments: [
            ("10.1.0.0/16", "10.1.255.255", 65_536), ("10.0.0.0/31", "10.0.0.1", 2),
            ("10.0.0.7/32", "10.0.0.7", 1), ("0.0.0.0/0", "255.255.255.255", 4_294_967_296),
            ("fd00::/120", "fd00::ff", 256),
        ]
    )
    func bounds(text: String, last: String, count: UInt64) throws {
        let prefix = try #require(Prefix(text))
        #expect(prefix.last.description == last)
        #expect(prefix.count == count)
        #expect(prefix.contains(prefix.last))
    }

    @Test("overlap is symmetric and blind to the other family")
    func overlap() throws {
        let wide = try #require(Prefix("10.0.0.0/8"))
        let narrow = try #require(Prefix("10.1.0.0/16"))
        let other = try #require(Prefix("11.0.0.0/8"))
        let six = try #require(Prefix("::/0"))
        #expect(wide.overlaps(narrow) && narrow.overlaps(wide))
        #expect(!wide.overlaps(other) && !other.overlaps(wide))
        #expect(!six.overlaps(wide))
    }

    @Test(
        "a VNI is 24 bits and never zero",
        arguments: [(0, false), (1, true), (0xff_ffff, true), (0x100_0000, false)]
    )
    func vni(number: UInt32, isGood: Bool) {
        #expect((VNI(number) != nil) == isGood)
    }

    @Test(
        "a socket address needs brackets exactly around IPv6",
        arguments: [
            ("10.0.0.1:7940", true), ("[fd00::1]:7940", true), ("fd00::1:7940", false),
            ("[10.0.0.1]:80", false), ("10.0.0.1", false), ("10.0.0.1:65536", false),
            ("10.0.0.1:", false), ("host:1", false),
        ]
    )
    func socketAddress(text: String, isGood: Bool) {
        #expect((SocketAddress(text)?.description == text) == isGood)
    }

    @Test(
        "a generated MAC address is unicast and locally administered",
        arguments: [0, UInt64.max, 0x1234_5678_9abc]
    )
    func generatedMAC(hash: UInt64) {
        let first = MACAddress(locallyAdministered: hash).bytes[0]
        #expect(first & 0x03 == 0x02)
    }

    @Test(
        "MAC text is read strictly",
        arguments: [
            ("02:00:00:00:00:0a", true), ("2:0:0:0:0:a", false), ("02-00-00-00-00-0a", false),
            ("02:00:00:00:00", false),
        ]
    )
    func macText(text: String, isGood: Bool) {
        #expect((MACAddress(text)?.description == text) == isGood)
    }
}
