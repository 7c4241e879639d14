package import Addressing
package import Determinism
package import Wire

/// What one peer may say about a member: who it is, where it is, and how it fares.
///
/// Facts about one member are totally ordered by ``Age``; the younger one wins wherever two meet,
/// so every peer ends with the same table whatever the order of arrival.
package struct MemberFact: Hashable, Sendable {
    /// How a member fares, in the order in which one status beats another at one incarnation.
    package enum Status: UInt8, Comparable, CaseIterable, Sendable {
        /// It answers.
        case alive = 0
        /// Somebody could not reach it; it has until the suspicion's deadline to refute.
        case suspect = 1
        /// It did not refute in time.
        case dead = 2
        /// It said good-bye.
        case left = 3

        package static func < (lhs: Status, rhs: Status) -> Bool { lhs.rawValue < rhs.rawValue }

        /// Whether the member takes no part any more.
        package var isGone: Bool { self >= .dead }
    }

    /// The place of a fact in the order of all facts about its member.
    ///
    /// A restart (a higher boot) supersedes everything said about the process before it; within one
    /// boot the member alone raises the incarnation, by refuting.
    /// - Source: SWIM section 4.2, with the boot counter in front.
    package struct Age: Hashable, Comparable, Sendable {
        /// The persisted count of starts of the process.
        package let boot: UInt64
        /// The count of refutations within this boot.
        package let incarnation: UInt64
        /// The status, which decides between facts of one incarnation.
        package let status: Status

        package static func < (lhs: Age, rhs: Age) -> Bool {
            (lhs.boot, lhs.incarnation, lhs.status.rawValue)
                < (rhs.boot, rhs.incarnation, rhs.status.rawValue)
        }
    }

    /// The member.
    package var id: NodeID
    /// The persisted count of starts of its process.
    package var boot: UInt64
    /// The count of its refutations within this boot.
    package var incarnation: UInt64
    /// How it fares.
    package var status: Status
    /// Its name for people; at most 63 bytes.
    package var name: String
    /// The failure domain it stands in; at most 63 bytes, empty when unknown.
    package var zone: String
    /// Where its ring port listens, UDP and TCP alike.
    package var address: SocketAddress

    /// The longest name and zone, in bytes.
    package static let textLengthMax = 63

    /// Makes a fact.
    package init(
        id: NodeID,
        boot: UInt64,
        incarnation: UInt64 = 0,
        status: Status = .alive,
        name: String,
        zone: String = "",
        address: SocketAddress
    ) {
        self.id = id
        self.boot = boot
        self.incarnation = incarnation
        self.status = status
        self.name = name
        self.zone = zone
        self.address = address
    }

    /// The fact's place in the order of facts about its member.
    package var age: Age { Age(boot: boot, incarnation: incarnation, status: status) }
}

extension MemberFact {
    /// Appends the fact: id 16, boot 8, incarnation 8, status 1, name, zone, address 16, port 2.
    package func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(boot)
        writer.write(incarnation)
        writer.write(status.rawValue)
        writer.write(name)
        writer.write(zone)
        writer.write(address)
    }

    /// Reads a fact that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        let id = try reader.readNodeID("member id")
        let boot = try reader.readInteger("boot", as: UInt64.self)
        let incarnation = try reader.readInteger("incarnation", as: UInt64.self)
        guard let status = Status(rawValue: try reader.readInteger("status")) else {
            throw .malformed(field: "status")
        }
        let name = try reader.readText("name", max: Self.textLengthMax)
        let zone = try reader.readText("zone", max: Self.textLengthMax)
        let address = try reader.readIPAddress("address")
        self.init(
            id: id,
            boot: boot,
            incarnation: incarnation,
            status: status,
            name: name,
            zone: zone,
            address: SocketAddress(address: address, port: try reader.readInteger("port"))
        )
    }
}
