import Addressing
import Determinism
import Netlink
import Testing

@Suite("An exchange matches the kernel's answers to its requests")
struct ExchangeTests {
    @Test("sends all requests in one piece, with ascending sequence numbers")
    func bytes_twoRequests_areNumbered() {
        let exchange = Exchange([.setUp(index: 1), .setUp(index: 2)], firstSequence: 9)
        let expected =
            Request.setUp(index: 1).encoded(sequence: 9)
            + Request.setUp(index: 2).encoded(sequence: 10)
        #expect(exchange.bytes == expected)
    }

    @Test("is complete once every request has its verdict, in whatever datagrams they come")
    func receive_acknowledgements_completes() throws {
        var exchange = Exchange([.setUp(index: 1), .setUp(index: 2)], firstSequence: 9)
        try exchange.receive(acknowledgement(sequence: 9))
        #expect(exchange.unanswered?.name == .setUp(index: 2))
        #expect(throws: NetlinkError.unanswered(request: .setUp(index: 2))) {
            try exchange.results()
        }
        try exchange.receive(acknowledgement(sequence: 10))
        #expect(exchange.unanswered == nil)
        #expect(try exchange.results() == [[], []])
    }

    @Test("passes over answers to other sequence numbers and a second verdict")
    func receive_strangers_areIgnored() throws {
        var exchange = Exchange([.setUp(index: 1)], firstSequence: 9)
        try exchange.receive(acknowledgement(sequence: 8))
        try exchange.receive(acknowledgement(sequence: 10))
        #expect(exchange.unanswered != nil)
        try exchange.receive(acknowledgement(sequence: 9))
        try exchange.receive(refusal(sequence: 9))
        #expect(try exchange.results() == [[]])
    }

    @Test("sequence numbers go round")
    func receive_sequenceOverflow_stillMatches() throws {
        var exchange = Exchange([.setUp(index: 1), .setUp(index: 2)], firstSequence: .max)
        try exchange.receive(acknowledgement(sequence: .max) + acknowledgement(sequence: 0))
        #expect(try exchange.results().count == 2)
    }

    @Test("a refusal names the request, the error number and the kernel's own words")
    func receive_refusal_isThrown() throws {
        var exchange = Exchange([.setUp(index: 1), .setUp(index: 2)], firstSequence: 9)
        try exchange.receive(acknowledgement(sequence: 9) + refusal(sequence: 10))
        let error = NetlinkError.refused(
            request: .setUp(index: 2),
            errno: 17,
            explanation: "no way"
        )
        #expect(throws: error) { try exchange.results() }
        #expect(error.isDefinite)
        #expect(
            "\(error)"
                == "cannot bring link 2 up: file exists (errno 17); the kernel says: no way"
        )
    }

    @Test("a refusal that echoes the whole request is read past the echo")
    func receive_uncappedRefusal_isThrown() throws {
        var exchange = Exchange([.setUp(index: 2)], firstSequence: 9)
        let golden: GoldenBytes = """
            40 00 00 00 02 00 00 02 09 00 00 00 2a 00 00 00 # NLMSG_ERROR, ACK_TLVS, not CAPPED
            ea ff ff ff             # -22, EINVAL
            20 00 00 00 13 00 05 00 09 00 00 00 00 00 00 00 # header of the request
            00 00 00 00 02 00 00 00 01 00 00 00 01 00 00 00 # and its body
            09 00 01 00 62 61 64 21 00 00 00 00 # NLMSGERR_ATTR_MSG
            """
        try exchange.receive(golden.bytes)
        #expect(
            throws: NetlinkError.refused(
                request: .setUp(index: 2),
                errno: 22,
                explanation: "bad!"
            )
        ) { try exchange.results() }
    }

    @Test("a listing gathers its parts up to the end mark")
    func receive_listing_gathersParts() throws {
        var exchange = Exchange([.listLinks()], firstSequence: 9)
        try exchange.receive(Self.link.bytes + Self.link.bytes)
        try exchange.receive(Self.link.bytes)
        #expect(exchange.unanswered != nil)
        try exchange.receive(Self.listingEnd.bytes)
        let links = try exchange.results()[0].map { try LinkInfo($0) }
        #expect(links.count == 3)
        let link = try #require(links[0])
        #expect(link.index == 5 && link.name == "gr0" && link.mtu == 1_450)
        #expect(link.mac == MACAddress("02:00:00:00:00:01"))
        #expect(link.isUp && link.hasCarrier)
        #expect(link.kind == "veth" && link.peerIndex == 2 && link.transmitQueueCount == 4)
    }

    @Test("a listing whose table changed meanwhile is not believed")
    func receive_interruptedListing_isThrown() throws {
        var exchange = Exchange([.listLinks()], firstSequence: 9)
        var part = Self.link.bytes
        part[6] |= 0x10  // NLM_F_DUMP_INTR
        try exchange.receive(part + Self.listingEnd.bytes)
        #expect(throws: NetlinkError.interrupted(request: .listLinks)) { try exchange.results() }
    }

    @Test("a datagram that ends early is an error at every length, never a crash")
    func receive_truncated_isUnreadable() {
        let whole = Self.link.bytes + refusal(sequence: 9)
        let ends = [0, Self.link.bytes.count, whole.count]
        for length in 0...whole.count {
            var exchange = Exchange([.listLinks()], firstSequence: 9)
            if ends.contains(length) {
                #expect(throws: Never.self) { try exchange.receive(Array(whole.prefix(length))) }
            } else {
                #expect(throws: NetlinkError.self, "length \(length)") {
                    try exchange.receive(Array(whole.prefix(length)))
                }
            }
        }
    }

    @Test("a link message whose payload ends early is refused or read in part, at every length")
    func linkInfo_truncatedPayload_neverCrashes() throws {
        let bytes = Self.link.bytes
        for length in 16..<bytes.count {
            let cut = withLength(Array(bytes.prefix(length)))
            let message = try #require(try Message.all(in: cut).first)
            // The name ends at byte 92, and without it nothing can be made of the message.
            if length < 92 { #expect(throws: (any Error).self) { try LinkInfo(message) } }
            _ = try? LinkInfo(message)
        }
    }

    @Test("damaged bytes give an error or another meaning, never a crash", arguments: 0..<8)
    func receive_garbage_neverCrashes(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let whole = Self.link.bytes + refusal(sequence: 9) + Self.listingEnd.bytes
        var unreadable = 0
        for _ in 0..<2_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: bytes.indices, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            var exchange = Exchange([.listLinks()], firstSequence: 9)
            do {
                try exchange.receive(bytes)
                for message in try Message.all(in: bytes) { _ = try LinkInfo(message) }
            } catch {
                unreadable += 1
            }
        }
        #expect(unreadable > 0, "seed \(seed) damaged nothing")
    }

    private static let link: GoldenBytes = """
        68 00 00 00 10 00 02 00 09 00 00 00 2a 00 00 00 # RTM_NEWLINK, MULTI, sequence 9
        00 00 01 00 05 00 00 00 43 00 01 00 00 00 00 00 # index 5, UP BROADCAST RUNNING LOWER_UP
        0a 00 01 00 02 00 00 00 00 01 00 00 # IFLA_ADDRESS
        08 00 04 00 aa 05 00 00 # IFLA_MTU 1450
        08 00 05 00 02 00 00 00 # IFLA_LINK 2
        08 00 1f 00 04 00 00 00 # IFLA_NUM_TX_QUEUES 4
        10 00 12 80             # IFLA_LINKINFO, marked nested
        09 00 01 00 76 65 74 68 00 00 00 00 # IFLA_INFO_KIND veth
        08 00 03 00 67 72 30 00 # IFLA_IFNAME gr0
        0a 00 36 00 02 00 00 00 00 01 00 00 # IFLA_PERM_ADDRESS, which is not read
        """

    private static let listingEnd: GoldenBytes = """
        14 00 00 00 03 00 02 00 09 00 00 00 2a 00 00 00 # NLMSG_DONE, MULTI
        00 00 00 00             # no error
        """

    private func acknowledgement(sequence: UInt32) -> [UInt8] {
        let golden: GoldenBytes = """
            24 00 00 00 02 00 00 01 00 00 00 00 2a 00 00 00 # NLMSG_ERROR, CAPPED, port 42
            00 00 00 00             # no error
            20 00 00 00 13 00 05 00 00 00 00 00 00 00 00 00 # header of the request
            """
        return withSequence(golden.bytes, sequence)
    }

    private func refusal(sequence: UInt32) -> [UInt8] {
        let golden: GoldenBytes = """
            30 00 00 00 02 00 00 03 00 00 00 00 2a 00 00 00 # NLMSG_ERROR, CAPPED ACK_TLVS
            ef ff ff ff             # -17, EEXIST
            20 00 00 00 13 00 05 00 00 00 00 00 00 00 00 00 # header of the request
            0b 00 01 00 6e 6f 20 77 61 79 00 00 # NLMSGERR_ATTR_MSG "no way"
            """
        return withSequence(golden.bytes, sequence)
    }

    private func withSequence(_ bytes: [UInt8], _ sequence: UInt32) -> [UInt8] {
        let number = (0..<4).map { UInt8(truncatingIfNeeded: sequence >> (8 * $0)) }
        return bytes[..<8] + number + bytes[12...]
    }

    private func withLength(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count), 0, 0, 0] + bytes[4...]
    }
}
