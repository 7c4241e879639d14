package import Wire

/// The versions of the ring's protocol that a release speaks: datagrams, frames and records alike.
///
/// Two peers use the highest version that both speak. A release speaks its own version and the one
/// before it, so that a ring is upgraded node by node; peers without a version in common refuse one
/// another, and say which each speaks.
package struct ProtocolRange: Hashable, Sendable, CustomStringConvertible {
    /// The lowest; at least 1.
    package let lowest: UInt8
    /// The highest.
    package let highest: UInt8

    /// What this release speaks.
    package static let spoken = ProtocolRange(lowest: 1, highest: 1)

    private init(lowest: UInt8, highest: UInt8) {
        self.lowest = lowest
        self.highest = highest
    }

    /// Makes a range.
    package init(_ versions: ClosedRange<UInt8>) {
        precondition(versions.lowerBound >= 1, "versions count from one")
        self.init(lowest: versions.lowerBound, highest: versions.upperBound)
    }

    /// Whether the version is one of these.
    package func contains(_ version: UInt8) -> Bool { (lowest...highest).contains(version) }

    /// The highest version of both ranges; nil where they have none in common.
    package func common(with other: ProtocolRange) -> UInt8? {
        let highest = min(self.highest, other.highest)
        return highest >= max(lowest, other.lowest) ? highest : nil
    }

    package var description: String { lowest == highest ? "\(lowest)" : "\(lowest) to \(highest)" }

    /// Appends the range: lowest 1, highest 1.
    package func write(to writer: inout ByteWriter) {
        writer.write(lowest)
        writer.write(highest)
    }

    /// Reads a range.
    package init(from reader: inout ByteReader) throws(WireError) {
        let lowest = try reader.readInteger("lowest version", as: UInt8.self)
        let highest = try reader.readInteger("highest version", as: UInt8.self)
        guard lowest >= 1, lowest <= highest else { throw .malformed(field: "versions") }
        self.init(lowest: lowest, highest: highest)
    }
}
