/// etcd over its own gRPC interface: HTTP/2 without TLS, one call at a time on a connection.
///
/// Header fields are sent as literals, and those that arrive are not read: an answer is a DATA
/// frame, and a stream that ends without one failed.
/// - Source: RFC 9113 (frames), RFC 7541 section 6.2 (literals), etcd's `rpc.proto` and `kv.proto`.
struct EtcdDialect: RegisterDialect {
    let hasOneShotWatches = false
    private var bytes: [UInt8] = []
    private var position = 0
    private var stream: UInt32 = 1
    private var data: [UInt8] = []
    private var asked = Asked.read

    private enum Asked {
        case change(expected: UInt64)
        case read
        case watch
    }

    /// Frame types and flags of RFC 9113 section 6.
    private enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
    }

    private static let endStream: UInt8 = 1
    private static let endHeaders: UInt8 = 4
    private static let acknowledgement: UInt8 = 1
    private static let frameHeadByteCount = 9

    init() {}

    /// The preface, no settings, and a window that a bench never fills (RFC 9113 section 3.4).
    var greeting: [UInt8] {
        Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Self.frame(Kind.settings, 0, 0, [])
            + Self.frame(Kind.windowUpdate, 0, 0, Self.bigEndian(0x7fff_0000))
    }

    mutating func question(_ question: RegisterQuestion) -> [UInt8] {
        var message = ProtocolBuffer()
        let path: String
        switch question {
        case .compareAndSet(let key, let expected, let value):
            asked = .change(expected: expected)
            path = "/etcdserverpb.KV/Txn"
            message.write(1) { $0.write(3, key) && $0.write(4, expected) }
            message.write(2) { $0.write(2) { $0.write(1, key) && $0.write(2, value) } }
            message.write(3) { $0.write(1) { $0.write(1, key) } }
        case .read(let key):
            asked = .read
            path = "/etcdserverpb.KV/Range"
            message.write(1, key)
        case .watch(let key, _):
            asked = .watch
            path = "/etcdserverpb.Watch/Watch"
            message.write(1) { $0.write(1, key) }
        }
        defer { stream += 2 }
        data = []
        isAnswered = false
        let body = [0] + Self.bigEndian(UInt32(message.bytes.count)) + message.bytes
        // A watch stays open from this side, too.
        let flags: UInt8 = if case .watch = asked { 0 } else { Self.endStream }
        return Self.frame(Kind.headers, Self.endHeaders, stream, Self.fields(path))
            + Self.frame(Kind.data, flags, stream, body)
    }

    mutating func take(_ content: UnsafeRawBufferPointer) throws(BenchError) -> [UInt8] {
        if position == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            position = 0
        }
        bytes.append(contentsOf: content)
        var replies: [UInt8] = []
        while let (kind, flags, number, payload) = takeFrame() {
            // The end of an earlier call may come when its answer has led to the next one already.
            guard number == 0 || number + 2 == stream else { continue }
            switch kind {
            case Kind.data: data += payload
            case Kind.settings where flags & Self.acknowledgement == 0:
                replies += Self.frame(Kind.settings, Self.acknowledgement, 0, [])
            case Kind.ping where flags & Self.acknowledgement == 0:
                replies += Self.frame(Kind.ping, Self.acknowledgement, 0, Array(payload))
            case Kind.headers where flags & Self.endStream != 0 && data.isEmpty && !isAnswered:
                hasFailed = true
            case Kind.reset, Kind.goAway:
                throw .unreadable(what: "an answer of etcd", text: "stream ended: \(payload)")
            default: break
            }
        }
        return replies
    }

    private var hasFailed = false
    /// Whether the present call was answered; its end may come after that.
    private var isAnswered = false

    mutating func next() throws(BenchError) -> RegisterAnswer? {
        if hasFailed {
            hasFailed = false
            return .failed("the call ended without an answer")
        }
        guard data.count >= 5 else { return nil }
        let length = data[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard data.count - 5 >= length else { return nil }
        let message = data[5..<5 + length]
        defer { data.removeFirst(5 + length) }
        isAnswered = true
        switch asked {
        case .read: return .holds(version: try Self.version(inRange: message))
        case .change(let expected):
            let isSet = try ProtocolBuffer.fields(message).contains { $0.number == 2 }
            guard !isSet else { return .committed(version: expected + 1) }
            let response = try Self.field(3, message).flatMap { bytes throws(BenchError) in
                try Self.field(1, bytes)
            }
            return .conflict(version: try response.map(Self.version(inRange:)) ?? 0)
        case .watch:
            guard let event = try Self.field(11, message) else { return .watching }
            guard let pair = try Self.field(2, event) else { return .failed("an empty event") }
            return .holds(version: try Self.version(of: pair))
        }
    }

    /// The version of the first pair of a RangeResponse; 0 without one.
    private static func version(inRange message: ArraySlice<UInt8>) throws(BenchError) -> UInt64 {
        guard let pair = try field(2, message) else { return 0 }
        return try version(of: pair)
    }

    private static func version(of pair: ArraySlice<UInt8>) throws(BenchError) -> UInt64 {
        try ProtocolBuffer.fields(pair).first { $0.number == 4 }?.integer ?? 0
    }

    private static func field(
        _ number: UInt64,
        _ message: ArraySlice<UInt8>
    ) throws(BenchError) -> ArraySlice<UInt8>? {
        // The last one counts where there are several: of events the newest.
        try ProtocolBuffer.fields(message).last { $0.number == number }?.bytes
    }

    private mutating func takeFrame() -> (UInt8, UInt8, UInt32, ArraySlice<UInt8>)? {
        guard bytes.count - position >= Self.frameHeadByteCount else { return nil }
        let length = bytes[position..<position + 3].reduce(0) { $0 << 8 | Int($1) }
        let start = position + Self.frameHeadByteCount
        guard bytes.count - start >= length else { return nil }
        defer { position = start + length }
        let number = bytes[position + 5..<start].reduce(0) { $0 << 8 | UInt32($1) }
        return (bytes[position + 3], bytes[position + 4], number, bytes[start..<start + length])
    }

    private static func frame(
        _ kind: UInt8,
        _ flags: UInt8,
        _ stream: UInt32,
        _ payload: [UInt8]
    ) -> [UInt8] {
        bigEndian(UInt32(payload.count)).dropFirst() + [kind, flags] + bigEndian(stream) + payload
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] {
        stride(from: 24, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    /// The header fields of a call, as literals with names from the static table where it has them.
    private static func fields(_ path: String) -> [UInt8] {
        // 0x83 and 0x86: POST and http, whole from the table.
        [0x83, 0x86, 0x04] + text(path) + [0x01] + text("localhost")
            + [0x0f, 0x10] + text("application/grpc") + [0x00] + text("te") + text("trailers")
    }

    private static func text(_ value: String) -> [UInt8] {
        precondition(value.utf8.count < 127, "longer lengths take more than one byte")
        return [UInt8(value.utf8.count)] + Array(value.utf8)
    }
}

/// Messages of Protocol Buffers, as far as etcd's need them.
struct ProtocolBuffer {
    private(set) var bytes: [UInt8] = []

    /// A field that was read.
    struct Field {
        let number: UInt64
        var integer: UInt64 = 0
        var bytes: ArraySlice<UInt8> = []
    }

    @discardableResult
    mutating func write(_ number: UInt64, _ text: String) -> Bool {
        writeInteger(number << 3 | 2)
        writeInteger(UInt64(text.utf8.count))
        bytes += Array(text.utf8)
        return true
    }

    @discardableResult
    mutating func write(_ number: UInt64, _ integer: UInt64) -> Bool {
        writeInteger(number << 3)
        writeInteger(integer)
        return true
    }

    @discardableResult
    mutating func write(_ number: UInt64, _ body: (inout ProtocolBuffer) -> Bool) -> Bool {
        var inner = ProtocolBuffer()
        _ = body(&inner)
        writeInteger(number << 3 | 2)
        writeInteger(UInt64(inner.bytes.count))
        bytes += inner.bytes
        return true
    }

    private mutating func writeInteger(_ integer: UInt64) {
        var rest = integer
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// The fields of a message, in their order.
    static func fields(_ message: ArraySlice<UInt8>) throws(BenchError) -> [Field] {
        var rest = message
        var fields: [Field] = []
        while !rest.isEmpty {
            let tag = try readInteger(&rest)
            switch tag & 7 {
            case 0: fields.append(Field(number: tag >> 3, integer: try readInteger(&rest)))
            case 2:
                let length = Int(clamping: try readInteger(&rest))
                guard length <= rest.count else { throw truncated(message) }
                fields.append(Field(number: tag >> 3, bytes: rest.prefix(length)))
                rest = rest.dropFirst(length)
            default: throw truncated(message)
            }
        }
        return fields
    }

    private static func readInteger(_ rest: inout ArraySlice<UInt8>) throws(BenchError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw truncated([]) }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw truncated(rest)
    }

    private static func truncated(_ message: ArraySlice<UInt8>) -> BenchError {
        .unreadable(what: "a message of etcd", text: "\(message.prefix(64))")
    }
}
