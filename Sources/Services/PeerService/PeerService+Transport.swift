package import PeerTransport

/// What opened at the ring's ports and was refused all the same.
package struct Refusals: Sendable, Equatable {
    /// Datagrams that this release cannot read.
    package internal(set) var datagramsUnreadable: UInt64 = 0
    /// Datagrams of another ring, or of this very process.
    package internal(set) var datagramsForeign: UInt64 = 0
    /// Datagrams in a version that is not spoken here.
    package internal(set) var datagramsOtherVersion: UInt64 = 0
    /// Frames of kinds that a later release has.
    package internal(set) var framesUnknown: UInt64 = 0
    /// Frames that came while the disk did not keep up.
    package internal(set) var framesUnwritten: UInt64 = 0
    /// Frames that could not be read or served.
    package internal(set) var frames: UInt64 = 0
    /// Streams that ended before the other side had proved who it is, and dials that failed.
    package internal(set) var streams: UInt64 = 0
}

extension PeerService {
    /// What came in and went out at the ring's ports since they were opened.
    package func transportCounters() -> (datagrams: DatagramCounters, refusals: Refusals) {
        (datagrams?.counters ?? DatagramCounters(), refusals)
    }
}
