/// A JSON text taken apart, with the order of its keys and its numbers as they were written.
///
/// Configurations of other plugins pass through us, and what we do not know must come out as it
/// went in; a decoder into types of our own would lose it.
/// - Source: RFC 8259; of two equal keys the last counts, as in other readers.
package enum JSONValue: Hashable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number, not turned into one.
    case number(String)
    /// A text without its escapes.
    case string(String)
    /// A list.
    case array([JSONValue])
    /// An object.
    case object([Member])

    /// A key with its value.
    package struct Member: Hashable, Sendable {
        /// The key.
        package let key: String
        /// The value.
        package var value: JSONValue

        /// Puts a value under a key.
        package init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// Where a text stops to be JSON.
    package struct Fault: Error, Hashable, Sendable {
        /// The byte, from 0 on.
        package let offset: Int
    }

    /// Reads one value and nothing behind it.
    package init(parsing text: [UInt8]) throws(Fault) {
        var scanner = JSONScanner(text)
        do throws(JSONScanner.Fault) {
            self = try scanner.readValue()
            guard scanner.peek() == nil else { throw JSONScanner.Fault(offset: scanner.offset) }
        } catch {
            throw Fault(offset: error.offset)
        }
    }

    /// Reads one value and nothing behind it.
    package init(parsing text: String) throws(Fault) {
        try self.init(parsing: Array(text.utf8))
    }

    /// An object of these members.
    package static func members(_ members: (String, JSONValue)...) -> JSONValue {
        .object(members.map { Member($0.0, $0.1) })
    }

    /// A list of texts.
    package static func strings(_ texts: [String]) -> JSONValue {
        .array(texts.map(JSONValue.string))
    }

    /// A whole number.
    package static func integer(_ number: some BinaryInteger) -> JSONValue {
        .number("\(number)")
    }

    /// The value of a key; nil where there is none, and where this is no object.
    package subscript(_ key: String) -> JSONValue? {
        get {
            guard case .object(let members) = self else { return nil }
            return members.last { $0.key == key }?.value
        }
        set {
            guard case .object(var members) = self else {
                preconditionFailure("only an object has keys")
            }
            let place = members.firstIndex { $0.key == key }
            if let place, let newValue {
                members[place].value = newValue
                let after = members.index(after: place)
                members = members[..<after] + members[after...].filter { $0.key != key }
            } else if let newValue {
                members.append(Member(key, newValue))
            } else {
                members.removeAll { $0.key == key }
            }
            self = .object(members)
        }
    }

    /// The text, where this is one.
    package var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The list, where this is one.
    package var array: [JSONValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The members, where this is an object.
    package var members: [Member]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// The truth value, where this is one.
    package var bool: Bool? {
        if case .bool(let isTrue) = self { isTrue } else { nil }
    }

    /// The number, where this is one that is whole and fits.
    package var integer: Int64? {
        if case .number(let digits) = self { Int64(digits) } else { nil }
    }

    /// Whether this is `null`.
    package var isNull: Bool { self == .null }

    /// The value without white space, keys in their order.
    package var text: String {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let isTrue): bytes += (isTrue ? "true" : "false").utf8
        case .number(let digits): bytes += digits.utf8
        case .string(let text): JSONObjectWriter.quote(text, to: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                JSONObjectWriter.quote(member.key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONScanner {
    /// A list or object that was entered and has not ended.
    private struct Open {
        var key: String?
        var members: [JSONValue.Member] = []
        var values: [JSONValue] = []
        let isObject: Bool

        mutating func add(_ value: JSONValue) {
            if let key {
                members.append(JSONValue.Member(key, value))
            } else {
                values.append(value)
            }
            key = nil
        }

        var value: JSONValue { isObject ? .object(members) : .array(values) }
    }

    /// Reads one value of any kind; nesting is kept on a list of our own and bounded.
    mutating func readValue() throws(Fault) -> JSONValue {
        var open: [Open] = []
        while true {
            guard var value = try openOrReadScalar(&open) else { continue }
            // A value has ended: close what ends with it, or step over the comma behind it.
            while true {
                guard var top = open.popLast() else { return value }
                top.add(value)
                if take(UInt8(ascii: top.isObject ? "}" : "]")) {
                    value = top.value
                    continue
                }
                try expect(UInt8(ascii: ","))
                if top.isObject { top.key = try readKey() }
                open.append(top)
                break
            }
        }
    }

    /// Enters a list or object that is not empty, and then gives nothing; else reads the value.
    private mutating func openOrReadScalar(_ open: inout [Open]) throws(Fault) -> JSONValue? {
        guard let first = peek() else { throw Fault(offset: offset) }
        switch first {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            var top = Open(isObject: first == UInt8(ascii: "{"))
            try expect(first)
            if take(UInt8(ascii: top.isObject ? "}" : "]")) { return top.value }
            guard open.count < Self.depthMax else { throw Fault(offset: offset) }
            if top.isObject { top.key = try readKey() }
            open.append(top)
            return nil
        case UInt8(ascii: "\""): return .string(try readString())
        default:
            let start = offset
            try skipValue()
            switch first {
            case UInt8(ascii: "t"): return .bool(true)
            case UInt8(ascii: "f"): return .bool(false)
            case UInt8(ascii: "n"): return .null
            default: return .number(text(from: start))
            }
        }
    }

    private mutating func readKey() throws(Fault) -> String {
        let key = try readString()
        try expect(UInt8(ascii: ":"))
        return key
    }
}
