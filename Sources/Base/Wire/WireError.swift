/// Why bytes from outside could not be read.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The bytes ended before `field` was complete.
    case truncated(field: StaticName, needed: Int, left: Int)
    /// `field` is longer than a peer may send.
    case oversized(field: StaticName, length: Int, max: Int)
    /// `field` holds a value that has no meaning.
    case malformed(field: StaticName)
    /// Bytes were left after the last field.
    case trailing(count: Int)

    /// What is wrong, with the name of the field.
    public var description: String {
        switch self {
        case .truncated(let field, let needed, let left):
            "\(field) needs \(needed) bytes and \(left) are left"
        case .oversized(let field, let length, let max):
            "\(field) has length \(length), more than the \(max) allowed"
        case .malformed(let field): "\(field) holds a value that has no meaning"
        case .trailing(let count): "\(count) bytes follow the last field"
        }
    }
}

/// The name of a wire field: a literal, so that an error never carries what a stranger sent.
public struct StaticName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    private let name: StaticString

    /// Makes a name of a literal.
    public init(stringLiteral value: StaticString) {
        name = value
    }

    /// The literal, made text only when somebody reads it: hardly ever.
    public var description: String { "\(name)" }

    /// Whether both read alike.
    public static func == (lhs: StaticName, rhs: StaticName) -> Bool {
        lhs.description == rhs.description
    }

    /// Feeds what the name reads like.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(description)
    }
}
