package import Addressing
package import RingMembership
import Wire

/// How every hello begins, in every version: so much can be read of a peer of any release, and so
/// it can be told why it is refused.
///
/// | field | bytes |
/// |---|---|
/// | kind of the frame: 1 | 1 |
/// | lowest and highest version | 1, 1 |
/// | address and port of the ring port | 16, 2 |
/// | name | 2 + n |
package struct Greeting: Hashable, Sendable {
    /// The versions that the peer speaks.
    package let versions: ProtocolRange
    /// Where it listens.
    package let address: SocketAddress
    /// Its name.
    package let name: String

    /// The kind of a hello's frame.
    static let frameKind: UInt8 = 1

    /// How a peer begins its hello.
    package init(of fact: MemberFact) {
        versions = fact.versions
        address = fact.address
        name = fact.name
    }

    /// Reads the beginning of a frame; nil for one that is no hello.
    package init?(frame bytes: [UInt8]) {
        guard bytes.first == Self.frameKind else { return nil }
        var reader = ByteReader(bytes[1...])
        guard let greeting = try? Greeting(from: &reader) else { return nil }
        self = greeting
    }

    func write(to writer: inout ByteWriter) {
        versions.write(to: &writer)
        writer.write(address)
        writer.write(name)
    }

    init(from reader: inout ByteReader) throws(WireError) {
        versions = try ProtocolRange(from: &reader)
        address = try reader.readSocketAddress("greeting address")
        name = try reader.readText("greeting name", max: MemberFact.textLengthMax)
    }
}
