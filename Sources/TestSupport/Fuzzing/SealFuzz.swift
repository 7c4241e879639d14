import PeerTransport

/// Laws: nothing opens but the genuine datagram; a forgery keeps no state and uses no counter up.
///
/// The first byte chooses: even, the rest is a datagram; odd, the rest is a recipe that alters the
/// genuine one: a length, then pairs of place and alteration.
enum SealFuzz {
    static func run(_ input: [UInt8], isDeep: Bool) throws(FuzzFinding) {
        guard let mode = input.first else { return }
        let rest = Array(input.dropFirst())
        let datagram = mode % 2 == 0 ? rest : altered(rest)
        let receiver = seal()
        let opening = receiver.open(datagram)
        if datagram == genuine {
            try law(opening == .opened(Array("genie".utf8)), "the genuine one opens: \(opening)")
            try law(receiver.open(genuine) == .rejected(.replayed), "and opens once")
            return
        }
        guard case .rejected = opening else { throw FuzzFinding("a forgery has opened") }
        try law(receiver.senderCount == 0, "a forgery has left a sender behind")
        guard isDeep else { return }
        guard case .opened = receiver.open(genuine) else {
            throw FuzzFinding("a forgery has used the genuine datagram up")
        }
        // The sender is known now, which is another path through the judgement.
        guard case .rejected = receiver.open(datagram) else {
            throw FuzzFinding("a forgery has opened for a known sender")
        }
        try law(receiver.senderCount == 1, "a forgery has left a sender behind")
    }

    private static func seal() -> DatagramSeal {
        let key = GossipKey(bytes: Array(0..<32))
        return DatagramSeal(keyring: Keyring(key), clusterLabel: "golden")
    }

    private static func altered(_ recipe: [UInt8]) -> [UInt8] {
        var bytes = genuine
        guard let length = recipe.first else { return bytes }
        while bytes.count > Int(length) { bytes.removeLast() }
        while bytes.count < Int(length) { bytes.append(0) }
        var place = 1
        while place + 1 < recipe.count, !bytes.isEmpty {
            bytes[Int(recipe[place]) % bytes.count] ^= recipe[place + 1]
            place += 2
        }
        return bytes
    }

    /// Key 00 to 1f, salt a0 to af, counter 77, label "golden", text "genie".
    static let genuine: [UInt8] =
        [0x01, 0x50, 0x4d, 0xbd, 0xd5] + Array(0xa0...0xaf) + [0, 0, 0, 0, 0, 0, 0, 77] + [
            0xd4, 0xa1, 0xd3, 0xcc, 0xa4, 0x7e, 0x1d, 0x1d, 0xe7, 0x9d, 0xb2, 0xa3, 0xb3, 0xa7,
            0x51, 0xc4, 0xa9, 0xf0, 0xaf, 0x46, 0x4c,
        ]

    static var seeds: [FuzzSeed] {
        [
            FuzzSeed("genuine", [0] + genuine),
            FuzzSeed("header-alone", [0] + genuine.prefix(29)),
            FuzzSeed("too-long", [0] + genuine + [UInt8](repeating: 7, count: 1_400)),
            FuzzSeed("nothing", [0]),
            FuzzSeed("tag-altered", [1, 50, 49, 0x80]),
            FuzzSeed("counter-altered", [1, 50, 21, 0xff, 28, 0x01]),
            FuzzSeed("salt-altered", [1, 50, 5, 0x01]),
            FuzzSeed("key-id-altered", [1, 50, 4, 0x01]),
            FuzzSeed("cut", [1, 45]),
            FuzzSeed("drawn-out", [1, 51]),
        ]
    }
}
