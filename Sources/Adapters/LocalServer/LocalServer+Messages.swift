extension LocalServer {
    /// What a client asked.
    package struct Request: Hashable, Sendable {
        /// The verb in capitals, as `POST`.
        package let method: String
        /// The path as it was sent, without the query.
        package let path: String
        /// The query in its order, unescaped.
        package let query: [QueryItem]
        /// The body; empty when there was none.
        package let body: [UInt8]

        /// Makes a request out of its target, the path with its query.
        package init(method: String, target: String, body: [UInt8] = []) {
            let parts = target.split(
                separator: "?",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            self.method = method
            path = parts.first.map(String.init) ?? ""
            query = parts.count < 2 ? [] : parts[1].split(separator: "&").map(QueryItem.init)
            self.body = body
        }

        /// The parts of the path between slashes, each unescaped.
        package var segments: [String] {
            path.split(separator: "/").map { Percent.decoded($0) }
        }

        /// The first value under `name` in the query; empty for a name without one, nil without it.
        package func queryValue(_ name: String) -> String? {
            query.first { $0.name == name }?.value
        }
    }

    /// One `name=value` of a query.
    package struct QueryItem: Hashable, Sendable {
        /// The name.
        package let name: String
        /// The value; empty when there is no equals sign.
        package let value: String

        init(_ text: Substring) {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            name = Percent.decoded(parts[0])
            value = parts.count < 2 ? "" : Percent.decoded(parts[1])
        }
    }

    /// What the client gets.
    package struct Response: Hashable, Sendable {
        /// 200 for success.
        package var status: Int
        /// The form of the body.
        package var contentType: String
        /// Further header fields; the names are ours and must be valid.
        package var headers: [String: String]
        /// The body.
        package var body: [UInt8]

        /// Makes an answer.
        package init(
            status: Int = 200,
            contentType: String = "application/json",
            headers: [String: String] = [:],
            body: [UInt8] = []
        ) {
            self.status = status
            self.contentType = contentType
            self.headers = headers
            self.body = body
        }
    }
}

/// The escaping of RFC 3986 section 2.1.
private enum Percent {
    /// Undoes it; what is no escape stays as it is, and bytes that are no UTF-8 are replaced.
    static func decoded(_ text: Substring) -> String {
        let bytes = Array(text.utf8)
        guard bytes.contains(UInt8(ascii: "%")) else { return String(text) }
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
