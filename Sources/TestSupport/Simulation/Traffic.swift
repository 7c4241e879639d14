/// What processes put on the wire, by the kind of message.
package struct Traffic: Sendable {
    /// How much of one kind.
    package struct Amount: Hashable, Sendable {
        /// The number of datagrams or frames.
        package var messages: UInt64 = 0
        /// Their bytes.
        package var bytes: UInt64 = 0
    }

    private static let kindCount = 32
    private var amounts = [Amount](repeating: Amount(), count: kindCount * kindCount)

    init() {}

    /// Counts one datagram, or a frame of a kind and, where it carries another message, of that
    /// message's kind.
    mutating func count(kind: UInt8, inner: UInt8 = 0, bytes: Int) {
        let place = Self.place(kind, inner)
        amounts[place].messages += 1
        amounts[place].bytes += UInt64(bytes)
    }

    /// All of one kind; datagrams are of kind 0, frames of their first byte's.
    package func amount(kind: UInt8) -> Amount {
        (0..<UInt8(Self.kindCount)).reduce(into: Amount()) { sum, inner in
            let amount = amounts[Self.place(kind, inner)]
            sum.messages += amount.messages
            sum.bytes += amount.bytes
        }
    }

    /// Frames of one kind that carry a message of one kind, which is their second byte.
    package func amount(kind: UInt8, inner: UInt8) -> Amount { amounts[Self.place(kind, inner)] }

    private static func place(_ kind: UInt8, _ inner: UInt8) -> Int {
        Int(kind) % kindCount * kindCount + Int(inner) % kindCount
    }
}
