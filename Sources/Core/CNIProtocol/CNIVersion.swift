/// A version of the CNI specification that we speak.
///
/// The three result shapes follow from it, and so do the verbs that a configuration may be given.
/// - Source: CNI specification 1.1.0, "Version considerations" and the release notes before it.
package enum CNIVersion: String, Codable, Hashable, Comparable, Sendable, CaseIterable {
    /// The first version, and what a configuration without `cniVersion` means.
    case v010 = "0.1.0"
    /// Added the VERSION verb.
    case v020 = "0.2.0"
    /// Added interfaces and several addresses to the result.
    case v030 = "0.3.0"
    /// Fixed the wording of 0.3.0; the same shape.
    case v031 = "0.3.1"
    /// Added CHECK and `prevResult` for DEL.
    case v040 = "0.4.0"
    /// Dropped `ips[].version`.
    case v100 = "1.0.0"
    /// Added GC, STATUS and more keys of interfaces and routes.
    case v110 = "1.1.0"

    /// The newest version.
    package static let latest = CNIVersion.v110

    /// The version that a configuration without `cniVersion` is read as.
    package static let assumed = CNIVersion.v010

    /// Every version, oldest first, as VERSION lists them.
    package static let supported = allCases.map(\.rawValue)

    /// The form that a result takes on standard output.
    package enum ResultShape: Hashable, Sendable {
        /// `ip4` and `ip6`, up to 0.2.0.
        case familyKeys
        /// `interfaces` and `ips` whose elements name their family, 0.3.0 to 0.4.0.
        case familyNamed
        /// `interfaces` and `ips` without a family, from 1.0.0 on.
        case plain
    }

    /// The form of results in this version.
    package var resultShape: ResultShape {
        switch self {
        case .v010, .v020: .familyKeys
        case .v030, .v031, .v040: .familyNamed
        case .v100, .v110: .plain
        }
    }

    /// Whether interfaces and routes may carry the keys that 1.1.0 added.
    package var hasExtendedKeys: Bool { self >= .v110 }

    package static func < (lhs: CNIVersion, rhs: CNIVersion) -> Bool {
        lhs.ordinal < rhs.ordinal
    }

    private var ordinal: Int {
        switch self {
        case .v010: 0
        case .v020: 1
        case .v030: 2
        case .v031: 3
        case .v040: 4
        case .v100: 5
        case .v110: 6
        }
    }
}
