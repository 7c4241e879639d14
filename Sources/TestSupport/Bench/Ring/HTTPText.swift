import Foundation

/// The little of HTTP/1.1 that a client over a kept connection needs.
enum HTTPText {
    static func request(_ method: String, _ target: String, _ body: String) -> [UInt8] {
        let length = body.utf8.count
        let head =
            "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n"
            + (length > 0 ? "Content-Type: application/json\r\nContent-Length: \(length)\r\n" : "")
            + "\r\n"
        return Array(head.utf8) + Array(body.utf8)
    }

    /// A register's name as one segment of a path.
    static func segment(_ name: String) -> String { name.replacing("/", with: "%2F") }

    static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
}

/// Takes HTTP/1.1 answers apart as they arrive over a kept connection.
struct AnswerReader {
    /// A whole answer; of a stream, one chunk of it.
    struct Answer: Hashable {
        let status: Int
        let body: [UInt8]

        var text: String { "\(status) \(String(decoding: body.prefix(400), as: UTF8.self))" }
    }

    private enum State {
        case head
        case counted(status: Int, length: Int)
        case chunked(status: Int, body: [UInt8])
    }

    /// Whether each chunk counts as an answer, as in a watch that never ends.
    var isStream = false
    private var bytes: [UInt8] = []
    private var position = 0
    private var state = State.head

    mutating func append(_ content: UnsafeRawBufferPointer) {
        if position == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            position = 0
        }
        bytes.append(contentsOf: content)
    }

    /// The next answer that is there whole.
    mutating func next() throws(BenchError) -> Answer? {
        while true {
            switch state {
            case .head:
                guard let head = takeHead() else { return nil }
                state = try Self.body(head)
            case .counted(let status, let length):
                guard bytes.count - position >= length else { return nil }
                state = .head
                return Answer(status: status, body: take(length))
            case .chunked(let status, let body):
                guard let chunk = try takeChunk() else { return nil }
                if chunk.isEmpty {
                    state = .head
                    return Answer(status: status, body: body)
                }
                state = .chunked(status: status, body: isStream ? [] : body + chunk)
                if isStream { return Answer(status: status, body: chunk) }
            }
        }
    }

    private mutating func take(_ count: Int) -> [UInt8] {
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// Status line and header fields without the empty line.
    private mutating func takeHead() -> ArraySlice<UInt8>? {
        guard let end = bytes[position...].firstIndex(of: "\r\n\r\n") else { return nil }
        defer { position = end + 4 }
        return bytes[position..<end]
    }

    private static func body(_ head: ArraySlice<UInt8>) throws(BenchError) -> State {
        let status = head.dropFirst(9).prefix(3)
        let text = String(decoding: head, as: UTF8.self)
        guard head.starts(with: "HTTP/1.1 ".utf8),
            let status = Int(String(decoding: status, as: UTF8.self))
        else { throw .unreadable(what: "an HTTP answer", text: text) }
        let fields = text.lowercased()
        if fields.contains("\r\ntransfer-encoding: chunked") {
            return .chunked(status: status, body: [])
        }
        guard let length = Array(fields.utf8).number(after: "\r\ncontent-length: ") else {
            throw .unreadable(what: "an HTTP answer without a length", text: text)
        }
        return .counted(status: status, length: Int(length))
    }

    /// The next chunk, empty for the last; nil while it is not whole.
    private mutating func takeChunk() throws(BenchError) -> [UInt8]? {
        guard let end = bytes[position...].firstIndex(of: "\r\n") else { return nil }
        let line = String(decoding: bytes[position..<end], as: UTF8.self)
        guard let length = Int(line, radix: 16), length >= 0 else {
            throw .unreadable(what: "the length of an HTTP chunk", text: line)
        }
        guard bytes.count - end >= length + 4 else { return nil }
        position = end + 2
        defer { position += 2 }
        return take(length)
    }
}

extension Collection where Element == UInt8, Index == Int {
    /// Where `text` begins first.
    func firstIndex(of text: StaticString) -> Int? {
        let (start, length) = (text.utf8Start, text.utf8CodeUnitCount)
        guard count >= length else { return nil }
        return (startIndex...endIndex - length).first { index in
            (0..<length).allSatisfy { self[index + $0] == start[$0] }
        }
    }

    func contains(_ text: StaticString) -> Bool { firstIndex(of: text) != nil }

    /// The decimal number that follows the first `text`.
    func number(after text: StaticString) -> UInt64? {
        guard let start = firstIndex(of: text) else { return nil }
        var number: UInt64?
        for byte in self[(start + text.utf8CodeUnitCount)...] {
            guard (0x30...0x39).contains(byte) else { break }
            let (product, isLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
            guard !isLarge else { return nil }
            number = product &+ UInt64(byte - 0x30)
        }
        return number
    }
}
