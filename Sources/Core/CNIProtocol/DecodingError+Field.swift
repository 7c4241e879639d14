extension DecodingError {
    /// The field that is wrong and what is wrong with it, for people.
    ///
    /// The library's own texts speak of Swift's types, which say nothing to who wrote the input.
    package var flaw: String {
        switch self {
        case .typeMismatch(let type, let context):
            "\(Self.path(context.codingPath)) must be \(Self.name(of: type))"
        case .valueNotFound(_, let context):
            "\(Self.path(context.codingPath)) must not be null"
        case .keyNotFound(let key, let context):
            "\(Self.path(context.codingPath + [key])) is missing"
        case .dataCorrupted(let context):
            "\(Self.path(context.codingPath)): \(context.debugDescription)"
        @unknown default: "\(self)"
        }
    }

    /// `runtimeConfig.ips[0]`; the text itself where nothing of it could be read.
    private static func path(_ keys: [any CodingKey]) -> String {
        var path = ""
        for key in keys {
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        return path.isEmpty ? "the whole" : path
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
