/// Takes an HTTP/1.1 answer apart as its bytes arrive.
///
/// It knows what a local server sends: a length, chunks, or all until the connection closes.
/// - Source: RFC 9112 sections 2 to 7.
struct HTTPResponseReader {
    /// The longest status line and header fields together.
    static let headBytesMax = 65_536

    /// What the bytes so far amount to.
    enum Progress: Equatable {
        case needsMore
        case complete
        case malformed(LocalSocketError.Part)
        case oversized
    }

    private(set) var status = 0
    private(set) var headers: [String: String] = [:]
    private(set) var body: [UInt8] = []

    private let bodyBytesMax: Int
    private var pending: [UInt8] = []
    private var position = 0
    private var state = State.head

    private enum State: Equatable {
        case head
        case counted(left: Int)
        case untilClose
        case chunkSize
        case chunk(left: Int)
        case chunkEnd
        case trailer
        case complete
    }

    init(bodyBytesMax: Int) {
        self.bodyBytesMax = bodyBytesMax
    }

    /// Takes in bytes.
    mutating func receive(_ bytes: [UInt8]) -> Progress {
        pending.removeFirst(position)
        position = 0
        pending += bytes
        while true {
            switch step() {
            case .needsMore: return .needsMore
            case .complete: if state == .complete { return .complete }
            case .malformed(let part): return .malformed(part)
            case .oversized: return .oversized
            }
        }
    }

    /// Takes in the end of the connection; true when that is where the answer ends.
    mutating func receiveEnd() -> Bool {
        if state == .untilClose { state = .complete }
        return state == .complete
    }

    /// One step; `.complete` when a part was, and there may be another.
    private mutating func step() -> Progress {
        switch state {
        case .head: return readHead()
        case .counted(let left): return readCounted(left, then: .complete) { .counted(left: $0) }
        case .chunk(let left): return readCounted(left, then: .chunkEnd) { .chunk(left: $0) }
        case .untilClose:
            let room = bodyBytesMax - body.count
            guard pending.count - position <= room else { return .oversized }
            body += pending[position...]
            position = pending.count
            return .needsMore
        case .chunkSize: return readChunkSize()
        case .chunkEnd:
            guard let line = takeLine() else { return lineProgress(.chunk) }
            guard line.isEmpty else { return .malformed(.chunk) }
            state = .chunkSize
            return .complete
        case .trailer:
            guard let line = takeLine() else { return lineProgress(.header) }
            if line.isEmpty { state = .complete }
            return .complete
        case .complete: return .complete
        }
    }

    private mutating func readCounted(
        _ left: Int,
        then next: State,
        otherwise: (Int) -> State
    ) -> Progress {
        let count = min(left, pending.count - position)
        body += pending[position..<position + count]
        position += count
        state = count == left ? next : otherwise(left - count)
        return count == left ? .complete : .needsMore
    }

    private mutating func readChunkSize() -> Progress {
        guard let line = takeLine() else { return lineProgress(.chunk) }
        // A chunk's extensions follow a semicolon and mean nothing here.
        let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 && $0 != 0x09 }
        guard (1...8).contains(digits.count), let size = Self.number(digits, radix: 16) else {
            return .malformed(.chunk)
        }
        guard size <= bodyBytesMax - body.count else { return .oversized }
        state = size == 0 ? .trailer : .chunk(left: size)
        return .complete
    }

    private mutating func readHead() -> Progress {
        let start = position
        guard let line = takeLine() else { return lineProgress(.statusLine) }
        guard let status = Self.status(in: line) else { return .malformed(.statusLine) }
        var fields: [String: String] = [:]
        while true {
            guard let line = takeLine() else {
                let progress = lineProgress(.header, since: start)
                position = start
                return progress
            }
            if line.isEmpty { break }
            guard let (name, value) = Self.field(in: line) else { return .malformed(.header) }
            fields[name] = fields[name].map { "\($0), \(value)" } ?? value
            guard position - start <= Self.headBytesMax else { return .malformed(.header) }
        }
        // An interim answer is followed by the real one.
        if (100..<200).contains(status) { return .complete }
        self.status = status
        headers = fields
        return chooseBody()
    }

    private mutating func chooseBody() -> Progress {
        if status == 204 || status == 304 {
            state = .complete
        } else if let coding = headers["transfer-encoding"] {
            guard coding.lowercased() == "chunked" else { return .malformed(.header) }
            state = .chunkSize
        } else if let text = headers["content-length"] {
            guard (1...18).contains(text.utf8.count),
                let length = Self.number(Array(text.utf8)[...], radix: 10)
            else { return .malformed(.contentLength) }
            guard length <= bodyBytesMax else { return .oversized }
            state = length == 0 ? .complete : .counted(left: length)
        } else {
            state = .untilClose
        }
        return .complete
    }

    /// The next line without its end; nil while it is not whole.
    private mutating func takeLine() -> ArraySlice<UInt8>? {
        guard let end = pending[position...].firstIndex(of: 0x0a) else { return nil }
        var line = pending[position..<end]
        position = end + 1
        if line.last == 0x0d { line.removeLast() }
        return line
    }

    /// A line that is not whole is waited for, up to a bound; one that no answer starts with is
    /// refused at once.
    private func lineProgress(
        _ part: LocalSocketError.Part,
        since start: Int? = nil
    ) -> Progress {
        let line = pending[(start ?? position)...]
        if line.count > Self.headBytesMax { return .malformed(part) }
        if part == .statusLine, !zip(line, "HTTP/1.".utf8).allSatisfy({ $0 == $1 }) {
            return .malformed(part)
        }
        return .needsMore
    }

    private static func status(in line: ArraySlice<UInt8>) -> Int? {
        let parts = line.split(separator: 0x20, maxSplits: 2)
        guard parts.count >= 2, parts[0].starts(with: "HTTP/1.".utf8), parts[0].count == 8,
            parts[1].count == 3, let status = number(parts[1], radix: 10),
            (100...599).contains(status)
        else { return nil }
        return status
    }

    private static func field(in line: ArraySlice<UInt8>) -> (name: String, value: String)? {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
            line[..<colon].allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        var value = line[line.index(after: colon)...]
        while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
        while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
        let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
        return (name, String(decoding: value, as: UTF8.self))
    }

    /// Digits alone: no sign, no space.
    private static func number(_ digits: ArraySlice<UInt8>, radix: Int) -> Int? {
        guard digits.first != UInt8(ascii: "+"), digits.first != UInt8(ascii: "-") else {
            return nil
        }
        return Int(String(decoding: digits, as: UTF8.self), radix: radix)
    }
}
