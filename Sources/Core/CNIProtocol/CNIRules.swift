/// The rules that texts of the protocol keep to.
package enum CNIRules {
    /// The longest interface name in bytes: the kernel's `IFNAMSIZ` without its terminator.
    package static let interfaceNameBytesMax = 15

    /// Whether `text` may name a network or a container.
    ///
    /// - Source: CNI specification, section 1: `^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`.
    package static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { byte in
            isAlphanumeric(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
                || byte == UInt8(ascii: "-")
        }
    }

    /// Why `text` cannot name an interface; nil when it can.
    ///
    /// - Source: `dev_valid_name` of the kernel.
    package static func interfaceNameFault(_ text: String) -> String? {
        if text.isEmpty { return "it is empty" }
        if text.utf8.count > interfaceNameBytesMax {
            return "it is longer than \(interfaceNameBytesMax) bytes"
        }
        if text == "." || text == ".." { return "it is a directory's name" }
        let isClean = text.unicodeScalars.allSatisfy { scalar in
            scalar != "/" && scalar != ":" && !scalar.properties.isWhitespace
        }
        return isClean ? nil : "it has a slash, a colon or white space in it"
    }

    /// Why a configuration cannot be given `verb`, by its version and name alone.
    ///
    /// - Returns: nil when nothing is wrong; else code 7 for the name, code 1 for the version.
    package static func refusal(
        of verb: CNIVerb,
        cniVersion: String?,
        name: String?
    ) -> CNIError? {
        let text = cniVersion ?? CNIVersion.assumed.rawValue
        guard let name, !name.isEmpty else {
            return CNIError(
                .invalidConfiguration,
                "missing network name; add \"name\" to the configuration",
                cniVersion: text
            )
        }
        guard isName(name) else {
            return CNIError(
                .invalidConfiguration,
                "invalid network name; use letters, digits, '_', '.' and '-'",
                details: name,
                cniVersion: text
            )
        }
        guard let version = CNIVersion(rawValue: text) else {
            let supported = CNIVersion.supported.joined(separator: " ")
            return CNIError(
                .incompatibleVersion,
                "incompatible CNI versions",
                details: "config is \(text), plugin supports [\(supported)]",
                cniVersion: text
            )
        }
        guard version >= verb.oldestVersion else {
            return CNIError(
                .incompatibleVersion,
                "config version does not allow \(verb.rawValue)",
                details: "config is \(text), \(verb.rawValue) needs"
                    + " \(verb.oldestVersion.rawValue)",
                cniVersion: text
            )
        }
        return nil
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}
