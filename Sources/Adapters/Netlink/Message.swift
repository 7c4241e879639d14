internal import CLinux
package import Wire

/// One message of the kernel's answer.
package struct Message: Hashable, Sendable {
    /// The message type, `RTM_...` or `NLMSG_...`.
    package let type: UInt16
    /// The message flags, `NLM_F_...`.
    package let flags: UInt16
    /// The sequence number of the request that this answers.
    package let sequence: UInt32
    /// What follows the header.
    package let payload: ArraySlice<UInt8>

    /// Takes a datagram apart into its messages.
    ///
    /// - Throws: where a length does not fit into what was received.
    package static func all(in datagram: [UInt8]) throws(WireError) -> [Message] {
        var reader = ByteReader(datagram)
        var messages: [Message] = []
        while reader.remaining > 0 { messages.append(try Message(from: &reader)) }
        return messages
    }

    private init(from reader: inout ByteReader) throws(WireError) {
        let length = Int(try reader.readNative("message length", as: UInt32.self))
        guard length >= messageHeaderLength else { throw .malformed(field: "message length") }
        type = try reader.readNative("message type")
        flags = try reader.readNative("message flags")
        sequence = try reader.readNative("message sequence")
        _ = try reader.readNative("message port", as: UInt32.self)
        payload = try reader.readRaw(length - messageHeaderLength, "message payload")
        try reader.skipPadding(after: length)
    }

    /// What the kernel says about the request as a whole; nil where this is a part of the answer.
    package func verdict() throws(WireError) -> Verdict? {
        switch Int32(type) {
        case NLMSG_ERROR: return try acknowledgement()
        case NLMSG_DONE:
            var reader = ByteReader(payload)
            // Old kernels end some listings without a number.
            guard reader.remaining > 0 else { return .done }
            let status = try reader.readNative("listing status", as: Int32.self)
            return status == 0 ? .done : .refused(errno: try Self.errno(status), explanation: "")
        default: return nil
        }
    }

    /// The end of an answer.
    package enum Verdict: Hashable, Sendable {
        /// The request was carried out.
        case done
        /// The request was not carried out; the text is empty where the kernel gave none.
        case refused(errno: Int32, explanation: String)
    }

    /// `struct nlmsgerr`: the negated errno, the request's header, the rest of the request unless
    /// NLM_F_CAPPED, and attributes with NLM_F_ACK_TLVS.
    private func acknowledgement() throws(WireError) -> Verdict {
        var reader = ByteReader(payload)
        let status = try reader.readNative("acknowledgement status", as: Int32.self)
        if status == 0 { return .done }
        let errno = try Self.errno(status)
        let echoed = Int(try reader.readNative("echoed length", as: UInt32.self))
        guard echoed >= messageHeaderLength else { throw .malformed(field: "echoed length") }
        _ = try reader.readRaw(messageHeaderLength - 4, "echoed header")
        guard flags & UInt16(NLM_F_ACK_TLVS) != 0 else {
            return .refused(errno: errno, explanation: "")
        }
        if flags & UInt16(NLM_F_CAPPED) == 0 {
            _ = try reader.readRaw(echoed - messageHeaderLength, "echoed request")
            try reader.skipPadding(after: echoed)
        }
        let attributes = try Attributes(&reader)
        let text = try attributes.text(NLMSGERR_ATTR_MSG.rawValue, "kernel's text")
        return .refused(errno: errno, explanation: text ?? "")
    }

    private static func errno(_ status: Int32) throws(WireError) -> Int32 {
        // The range that the kernel keeps for error numbers (MAX_ERRNO).
        guard (-4095..<0).contains(status) else { throw .malformed(field: "error number") }
        return -status
    }
}

/// The attributes of one message, or of one attribute.
package struct Attributes: Hashable, Sendable {
    private var contents: [(type: UInt16, content: ArraySlice<UInt8>)] = []

    /// Reads attributes up to the end.
    ///
    /// - Throws: where a length does not fit into what is left.
    package init(_ reader: inout ByteReader) throws(WireError) {
        while reader.remaining > 0 {
            let length = Int(try reader.readNative("attribute length", as: UInt16.self))
            let type = try reader.readNative("attribute type", as: UInt16.self)
            guard length >= attributeHeaderLength else {
                throw .malformed(field: "attribute length")
            }
            let content = try reader.readRaw(length - attributeHeaderLength, "attribute")
            // The two highest bits of the type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
            contents.append((type & 0x3fff, content))
            try reader.skipPadding(after: length)
        }
    }

    /// The content of the attribute, nil where it is absent.
    package subscript(type: some BinaryInteger) -> ArraySlice<UInt8>? {
        contents.first { $0.type == type }?.content
    }

    /// The attributes inside an attribute.
    package func nested(_ type: some BinaryInteger) throws(WireError) -> Attributes? {
        guard let content = self[type] else { return nil }
        var reader = ByteReader(content)
        return try Attributes(&reader)
    }

    /// A number of 32 bits.
    package func number(
        _ type: some BinaryInteger,
        _ field: StaticName
    ) throws(WireError) -> UInt32? {
        guard let content = self[type] else { return nil }
        var reader = ByteReader(content)
        return try reader.readNative(field)
    }

    /// Text up to its zero byte; it must be UTF-8.
    package func text(
        _ type: some BinaryInteger,
        _ field: StaticName
    ) throws(WireError) -> String? {
        guard let content = self[type] else { return nil }
        guard let text = String(validating: content.prefix { $0 != 0 }, as: UTF8.self) else {
            throw .malformed(field: field)
        }
        return text
    }

    package static func == (lhs: Attributes, rhs: Attributes) -> Bool {
        lhs.contents.elementsEqual(rhs.contents) { $0 == $1 }
    }

    package func hash(into hasher: inout Hasher) {
        for (type, content) in contents {
            hasher.combine(type)
            hasher.combine(content)
        }
    }
}

extension ByteReader {
    /// Reads an integer in the order of this machine.
    mutating func readNative<Integer: FixedWidthInteger>(
        _ field: StaticName,
        as type: Integer.Type = Integer.self
    ) throws(WireError) -> Integer {
        // ByteReader takes the first byte as the highest; bigEndian turns that round.
        try readInteger(field, as: type).bigEndian
    }

    /// Goes on to the next multiple of four; the last part of a message may lack its padding.
    mutating func skipPadding(after length: Int) throws(WireError) {
        _ = try readRaw(min(aligned(length) - length, remaining), "padding")
    }
}
