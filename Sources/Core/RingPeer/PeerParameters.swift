package import Determinism
package import RingIPAM
package import RingMembership
package import RingPlacement
package import RingRecords
package import RingRegisters

/// The knobs of a peer; the defaults are those of `genied`.
package struct PeerParameters: Sendable {
    /// The failure detector's.
    package var membership = MembershipParameters()
    /// The records'.
    package var records = Records.Parameters()
    /// The registers'.
    package var registers = Proposer.Parameters()
    /// The allocator's.
    package var ipam = IPAMParameters()
    /// A steward that is away for so long is replaced: 5 min.
    package var stewardLostAfter = Span.seconds(300)
    /// A member becomes a steward once it has been present for so long: 2 s.
    package var stewardSettledAfter = Span.seconds(2)
    /// A node that did not say which storage it is when it was to become a steward is not asked
    /// again for so long: 1 min.
    package var stewardSilentFor = Span.seconds(60)
    /// Works out what follows from a configuration; the same for the same configuration, always.
    package var picture: @Sendable (RingConfiguration) -> RingPicture = { RingPicture($0) }

    /// Makes the defaults.
    package init() {}
}
