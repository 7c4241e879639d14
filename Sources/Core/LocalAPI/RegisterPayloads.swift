/// What a register holds.
package struct RegisterStatus: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// Its name.
    package var key: String
    /// The number of changes so far; 0 while it was never written.
    package var version: UInt64
    /// Whether it holds content; false while it was never written, and after it was deleted.
    package var isPresent: Bool
    /// The content where it is UTF-8.
    package var text: String?
    /// The content where it is not.
    package var base64: String?

    /// Makes a status.
    package init(key: String, version: UInt64, isPresent: Bool, text: String?, base64: String?) {
        self.key = key
        self.version = version
        self.isPresent = isPresent
        self.text = text
        self.base64 = base64
    }
}

/// The names of registers that hold content.
package struct RegisterList: Codable, Hashable, Sendable {
    /// The schema.
    package var schema = LocalAPI.schema
    /// What the names begin with.
    package var prefix: String
    /// The names, ascending.
    package var keys: [String]

    /// Makes a list.
    package init(prefix: String, keys: [String]) {
        self.prefix = prefix
        self.keys = keys
    }
}

/// A compare-and-set; exactly one of ``text``, ``base64`` and ``isDeletion`` says to what.
package struct SetRegister: Codable, Hashable, Sendable {
    /// The register's name.
    package var key: String
    /// The version that it has to have; 0 for one that was never written.
    package var expectedVersion: UInt64
    /// The new content, as text.
    package var text: String?
    /// The new content, as bytes.
    package var base64: String?
    /// Whether to delete the content.
    package var isDeletion: Bool?
    /// Whether to write a register that Genie Ring keeps for itself.
    package var isForced: Bool?

    /// Makes a request.
    package init(
        key: String,
        expectedVersion: UInt64,
        text: String? = nil,
        base64: String? = nil,
        isDeletion: Bool? = nil,
        isForced: Bool? = nil
    ) {
        self.key = key
        self.expectedVersion = expectedVersion
        self.text = text
        self.base64 = base64
        self.isDeletion = isDeletion
        self.isForced = isForced
    }

    /// What names begin with that Genie Ring keeps for itself: what they hold has a form, and other
    /// registers depend on it.
    package static let reservedPrefixes = [
        "group/", "ipam/", "ipam6/", "ipam-unasked/", "node/", "open/", "policy/", "retired/",
        "ring/", "service/", "steward/", "vni/", "vpc/",
    ]

    /// The most bytes that a register holds: 1 MiB.
    package static let contentBytesMax = 1 << 20

    /// The longest name, in bytes.
    package static let keyBytesMax = 255

    /// Why a register cannot have a name, for people; nil where it can.
    ///
    /// Names are printed one a line, between columns.
    package static func problem(ofKey key: String) -> String? {
        if key.isEmpty { return "a register has a name: give one, such as app/leader" }
        if key.utf8.count > keyBytesMax {
            return "a register's name has at most \(keyBytesMax) bytes, and this one "
                + "\(key.utf8.count)"
        }
        let isPlain = key.unicodeScalars.allSatisfy {
            !$0.properties.isWhitespace && $0.properties.generalCategory != .control
        }
        return isPlain ? nil : "a register's name has no spaces, line breaks or control characters"
    }

    /// Whether Genie Ring keeps the register for itself.
    package static func isReserved(_ key: String) -> Bool {
        reservedPrefixes.contains { key.hasPrefix($0) }
    }
}

/// How a compare-and-set ended, when that is known.
package struct RegisterChange: Codable, Hashable, Sendable {
    /// How.
    package enum Outcome: String, Codable, Hashable, Sendable {
        /// The register was set.
        case committed
        /// It had another version, and was not.
        case conflict
    }

    /// The schema.
    package var schema = LocalAPI.schema
    /// How it ended.
    package var outcome: Outcome
    /// What the register holds.
    package var register: RegisterStatus

    /// Makes an answer.
    package init(outcome: Outcome, register: RegisterStatus) {
        self.outcome = outcome
        self.register = register
    }
}
