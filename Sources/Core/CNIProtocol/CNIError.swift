/// The number in an error answer.
///
/// A struct and not an enum: delegates answer with numbers of their own, which pass through.
/// - Source: CNI specification 1.1.0, section 5 "Error"; 8 and 999 are of the reference library.
package struct CNIErrorCode: RawRepresentable, Codable, Hashable, Sendable {
    /// The number: below 100 the specification's, from 100 on the plugin's own.
    package let rawValue: Int

    /// Names a number.
    package init(rawValue: Int) {
        self.rawValue = rawValue
    }

    /// The configuration's version is not spoken, or does not allow the verb.
    package static let incompatibleVersion = CNIErrorCode(rawValue: 1)
    /// A field of the configuration has a value that is not supported.
    package static let unsupportedField = CNIErrorCode(rawValue: 2)
    /// The container is unknown or gone; the runtime need not clean up.
    package static let unknownContainer = CNIErrorCode(rawValue: 3)
    /// A variable is missing or malformed.
    package static let invalidEnvironment = CNIErrorCode(rawValue: 4)
    /// Reading or writing failed.
    package static let inputOutputFailure = CNIErrorCode(rawValue: 5)
    /// Something was not the JSON that it had to be.
    package static let decodingFailure = CNIErrorCode(rawValue: 6)
    /// The configuration makes no sense.
    package static let invalidConfiguration = CNIErrorCode(rawValue: 7)
    /// `CNI_NETNS` is the namespace of the plugin itself.
    package static let invalidNamespace = CNIErrorCode(rawValue: 8)
    /// A passing condition: the runtime should try again.
    package static let tryAgainLater = CNIErrorCode(rawValue: 11)
    /// STATUS: an ADD could not be served.
    package static let notAvailable = CNIErrorCode(rawValue: 50)
    /// STATUS: an ADD could not be served, and attached containers may lack connectivity.
    package static let limitedConnectivity = CNIErrorCode(rawValue: 51)
    /// Ours: no such VPC or pod group.
    package static let unknownGroup = CNIErrorCode(rawValue: 100)
    /// Ours: the ring did not answer, and trying again is not known to help.
    package static let ringUnavailable = CNIErrorCode(rawValue: 101)
    /// Ours: the request can never fit; an address that may come free is ``tryAgainLater``.
    package static let addressSpaceFull = CNIErrorCode(rawValue: 102)
    /// Ours: the container already has an interface of that name.
    package static let interfaceExists = CNIErrorCode(rawValue: 103)
    /// Ours: the address asked for belongs to another attachment.
    package static let addressTaken = CNIErrorCode(rawValue: 104)
    /// Ours: CHECK found that the attachment is not as ADD left it.
    package static let attachmentDamaged = CNIErrorCode(rawValue: 105)
    /// Ours: a plugin that we called failed without an answer of its own.
    package static let delegateFailed = CNIErrorCode(rawValue: 106)
    /// A fault in the plugin.
    package static let internalFault = CNIErrorCode(rawValue: 999)
}

/// A failure as it stands on standard output, one JSON object.
package struct CNIError: Error, Codable, Hashable, Sendable, CustomStringConvertible {
    /// The version of the configuration; the latest one while it is not known.
    package var cniVersion: String
    /// What kind of failure it is.
    package let code: CNIErrorCode
    /// One line for people.
    package let msg: String
    /// More for people; empty when there is no more.
    package let details: String

    /// Makes an answer.
    package init(
        _ code: CNIErrorCode,
        _ msg: String,
        details: String = "",
        cniVersion: String = CNIVersion.latest.rawValue
    ) {
        self.cniVersion = cniVersion
        self.code = code
        self.msg = msg
        self.details = details
    }

    /// Reads an answer, of a delegate for one; only the code must be there.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        code = try fields.decode(CNIErrorCode.self, forKey: .code)
        msg = try fields.decodeIfPresent(String.self, forKey: .msg) ?? ""
        details = try fields.decodeIfPresent(String.self, forKey: .details) ?? ""
        cniVersion =
            try fields.decodeIfPresent(String.self, forKey: .cniVersion)
            ?? CNIVersion.latest.rawValue
    }

    /// The same failure under the version that the configuration asks for.
    package func inVersion(_ version: String?) -> CNIError {
        var copy = self
        copy.cniVersion = version ?? CNIVersion.assumed.rawValue
        return copy
    }

    /// The JSON of the answer, for a process that has no encoder.
    package var jsonText: [UInt8] {
        var object = JSONObjectWriter()
        object.add("cniVersion", cniVersion)
        object.add("code", code.rawValue)
        object.add("msg", msg)
        if !details.isEmpty { object.add("details", details) }
        return object.finish()
    }

    package var description: String {
        details.isEmpty
            ? "\(msg) (code \(code.rawValue))"
            : "\(msg): \(details) (code \(code.rawValue))"
    }
}
