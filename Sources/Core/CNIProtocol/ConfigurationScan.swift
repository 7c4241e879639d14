/// The few keys of a network configuration that the plugin needs before it can ask the daemon.
///
/// The whole text is checked to be JSON, so that a malformed configuration gets its own code even
/// while no daemon runs. As in other readers, the last of two equal keys counts.
package struct ConfigurationScan: Hashable, Sendable {
    /// The version as written; nil reads as ``CNIVersion/assumed``.
    package private(set) var cniVersion: String?
    /// The network's name.
    package private(set) var name: String?
    /// The plugin's name.
    package private(set) var type: String?
    /// The daemon's socket, where the configuration names one.
    package private(set) var socket: String?

    /// Reads the top level of `text`.
    ///
    /// - Throws: code 6 when the text is not one JSON object, or one of the keys is not a string.
    package init(_ text: [UInt8]) throws(CNIError) {
        var scanner = JSONScanner(text)
        do throws(JSONScanner.Fault) {
            try readObject(&scanner)
            guard scanner.peek() == nil else { throw JSONScanner.Fault(offset: scanner.offset) }
        } catch {
            throw CNIError(
                .decodingFailure,
                "the network configuration on standard input \(Self.flaw(text))",
                details: "at byte \(error.offset) of \(text.count)",
                cniVersion: cniVersion ?? CNIVersion.latest.rawValue
            )
        }
    }

    /// What is wrong with a text that could not be read.
    private static func flaw(_ text: [UInt8]) -> String {
        if text.isEmpty { return "is empty" }
        guard let whole = try? JSONValue(parsing: text) else { return "is not valid JSON" }
        let wrong = ["cniVersion", "name", "type"].filter { key in
            whole[key].map { !$0.isNull && $0.string == nil } ?? false
        }
        return wrong.isEmpty
            ? "is no JSON object" : "has something else than a text as its \(wrong[0])"
    }

    /// Why a call with this configuration cannot be served, as far as these keys tell.
    ///
    /// - Returns: nil when nothing is wrong; else code 7 for the name, code 1 for the version.
    package func refusal(of verb: CNIVerb) -> CNIError? {
        CNIRules.refusal(of: verb, cniVersion: cniVersion, name: name)
    }

    private mutating func readObject(
        _ scanner: inout JSONScanner
    ) throws(JSONScanner.Fault) {
        try scanner.expect(UInt8(ascii: "{"))
        if scanner.take(UInt8(ascii: "}")) { return }
        repeat {
            let key = try scanner.readString()
            try scanner.expect(UInt8(ascii: ":"))
            switch key {
            case "cniVersion": cniVersion = try readText(&scanner)
            case "name": name = try readText(&scanner)
            case "type": type = try readText(&scanner)
            case "socket" where scanner.peek() == UInt8(ascii: "\""):
                socket = try readText(&scanner)
            default: try scanner.skipValue()
            }
        } while scanner.take(UInt8(ascii: ","))
        try scanner.expect(UInt8(ascii: "}"))
    }

    /// A null is as good as no key.
    private func readText(
        _ scanner: inout JSONScanner
    ) throws(JSONScanner.Fault) -> String? {
        guard scanner.peek() == UInt8(ascii: "n") else { return try scanner.readString() }
        try scanner.skipValue()
        return nil
    }
}
