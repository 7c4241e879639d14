internal import CLinux

/// One request to the kernel, complete but for its sequence number.
package struct Request: Hashable, Sendable {
    /// What the request asks for.
    package let name: RequestName
    /// The message type, `RTM_...`.
    package let type: UInt16
    /// The message flags, `NLM_F_...`.
    package let flags: UInt16
    /// The fixed header of the message's family and its attributes.
    package let body: [UInt8]

    init(_ name: RequestName, type: some BinaryInteger, flags: Int32, body: MessageWriter) {
        self.name = name
        self.type = UInt16(type)
        self.flags = UInt16(NLM_F_REQUEST | flags)
        self.body = body.bytes
        // A listing ends with its own mark; everything else is acknowledged.
        precondition(isListing != (self.flags & UInt16(NLM_F_ACK) != 0))
    }

    /// Whether the answer is a list of messages, of which a socket makes one at a time.
    package var isListing: Bool { flags & UInt16(NLM_F_DUMP) == UInt16(NLM_F_DUMP) }

    /// The bytes to send: `struct nlmsghdr` and the body, host byte order.
    ///
    /// ```
    ///   off size field
    ///    0   4   length of the whole message
    ///    4   2   type
    ///    6   2   flags
    ///    8   4   sequence number, repeated in each answer
    ///   12   4   port of the sender, 0: the kernel fills it in
    /// ```
    package func encoded(sequence: UInt32) -> [UInt8] {
        var writer = MessageWriter()
        writer.write(UInt32(messageHeaderLength + body.count))
        writer.write(type)
        writer.write(flags)
        writer.write(sequence)
        writer.write(UInt32(0))
        return writer.bytes + body + repeatElement(0, count: aligned(body.count) - body.count)
    }
}
