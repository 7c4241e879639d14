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
    /// What its operator wants others to know, such as `rack=r1,model=x`; at most 64 bytes.
    ///
    /// Like name, zone, address and versions it is fixed for a boot, so identity, boot and
    /// incarnation name the whole fact.
    package var metadata: String
    /// Where its ring port listens, UDP and TCP alike.
    package var address: SocketAddress
    /// The versions of the protocol that it speaks.
    package var versions: ProtocolRange

    /// The longest name and zone, in bytes.
    package static let textLengthMax = 63
    /// The longest metadata, in bytes.
    package static let metadataLengthMax = 64
    /// The highest incarnation: no member refutes so often, and one more can always be said.
    package static let incarnationMax = UInt64.max >> 8

    /// Makes a fact.
    package init(
        id: NodeID,
        boot: UInt64,
        incarnation: UInt64 = 0,
        status: Status = .alive,
        name: String,
        zone: String = "",
        metadata: String = "",
        address: SocketAddress,
        versions: ProtocolRange = .spoken
    ) {
        self.id = id
        self.boot = boot
        self.incarnation = incarnation
        self.status = status
        self.name = name
        self.zone = zone
        self.metadata = metadata
        self.address = address
        self.versions = versions
    }

    /// The fact's place in the order of facts about its member.
    package var age: Age { Age(boot: boot, incarnation: incarnation, status: status) }
}

extension MemberFact {
    /// Appends the fact: claim 33, name, zone, metadata, address 16, port 2, versions 2.
    package func write(to writer: inout ByteWriter) {
        claim.write(to: &writer)
        writer.write(name)
        writer.write(zone)
        writer.write(metadata)
        writer.write(address)
        versions.write(to: &writer)
    }

    /// The number of bytes that ``write(to:)`` appends.
    package var encodedLength: Int {
        MemberClaim.encodedLength + 3 * 2 + name.utf8.count + zone.utf8.count
            + metadata.utf8.count + 16 + 2 + 2
    }

    /// Reads a fact that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        let claim = try MemberClaim(from: &reader)
        let name = try reader.readText("name", max: Self.textLengthMax)
        let zone = try reader.readText("zone", max: Self.textLengthMax)
        let metadata = try reader.readText("metadata", max: Self.metadataLengthMax)
        let address = try reader.readSocketAddress("address")
        self.init(
            id: claim.id,
            boot: claim.boot,
            incarnation: claim.incarnation,
            status: claim.status,
            name: name,
            zone: zone,
            metadata: metadata,
            address: address,
            versions: try ProtocolRange(from: &reader)
        )
    }
}

/// The part of a fact that changes within a boot: what a sender says of itself in each datagram.
package struct MemberClaim: Hashable, Sendable {
    /// The member.
    package let id: NodeID
    /// The persisted count of starts of its process.
    package let boot: UInt64
    /// The count of its refutations within this boot.
    package let incarnation: UInt64
    /// How it fares.
    package let status: MemberFact.Status

    /// The number of bytes of a claim.
    package static let encodedLength = 16 + 8 + 8 + 1

    /// Makes a claim.
    package init(id: NodeID, boot: UInt64, incarnation: UInt64, status: MemberFact.Status) {
        self.id = id
        self.boot = boot
        self.incarnation = incarnation
        self.status = status
    }

    /// The claim's place in the order of facts about its member.
    package var age: MemberFact.Age {
        MemberFact.Age(boot: boot, incarnation: incarnation, status: status)
    }
}

extension MemberFact {
    /// What the fact says beyond what is fixed for the boot.
    package var claim: MemberClaim {
        MemberClaim(id: id, boot: boot, incarnation: incarnation, status: status)
    }
}

extension MemberClaim {
    /// Appends the claim: id 16, boot 8, incarnation 8, status 1.
    package func write(to writer: inout ByteWriter) {
        writer.write(id)
        writer.write(boot)
        writer.write(incarnation)
        writer.write(status.rawValue)
    }

    /// Reads a claim that another peer wrote.
    package init(from reader: inout ByteReader) throws(WireError) {
        let id = try reader.readNodeID("member id")
        let boot = try reader.readInteger("boot", as: UInt64.self)
        let incarnation = try reader.readInteger("incarnation", as: UInt64.self)
        guard incarnation <= MemberFact.incarnationMax else {
            throw .malformed(field: "incarnation")
        }
        guard let status = MemberFact.Status(rawValue: try reader.readInteger("status")) else {
            throw .malformed(field: "status")
        }
        self.init(id: id, boot: boot, incarnation: incarnation, status: status)
    }
}
