extension DecodingError {
    /// The field that is wrong and what is wrong with it, for people.
    ///
    /// The library's own texts speak of Swift's types, which say nothing to who wrote the input,
    /// and of a number that does not fit they do not even say where it stands.
    /// - Parameter whole: what was decoded, for a flaw of which no more is known.
    /// - Returns: half a sentence that begins with the field's path.
    package func flaw(in whole: String = "the whole") -> String {
        func path(_ keys: [any CodingKey]) -> String {
            keys.isEmpty ? whole : Self.path(keys)
        }
        switch self {
        case .typeMismatch(let type, let context):
            return "\(path(context.codingPath)) must be \(Self.name(of: type))"
        case .valueNotFound(_, let context):
            return "\(path(context.codingPath)) must not be null"
        case .keyNotFound(let key, let context):
            return "\(path(context.codingPath + [key])) is missing"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            return "\(whole) has a number in it that is out of its range"
        case .dataCorrupted(let context):
            return "\(path(context.codingPath)) is wrong: \(context.debugDescription)"
        @unknown default: return "\(self)"
        }
    }

    /// A path as people write it, such as `runtimeConfig.ips[0]`.
    private static func path(_ keys: [any CodingKey]) -> String {
        var path = ""
        for key in keys {
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return path
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a text"
        case is Bool.Type: "true or false"
        case is any UnsignedInteger.Type: "a whole number of at least 0"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        default: "\(type)".hasPrefix("Array") ? "a list" : "an object"
        }
    }
}
