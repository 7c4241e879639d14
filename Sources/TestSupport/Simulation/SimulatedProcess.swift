package import Addressing
package import Determinism

/// A process of the simulated world: production code behind entry points and effects.
///
/// The world calls the entry points with the process's own clock, takes the effects after each call
/// and has them carried out by ``carry(_:from:in:)``.
package protocol SimulatedProcess: Sendable {
    /// What all processes of a world are made with.
    associatedtype Settings: Sendable
    /// What travels by datagram.
    associatedtype Datagram: Sendable
    /// What travels over streams.
    associatedtype Frame: Sendable
    /// What a process wants done.
    associatedtype Effect: Sendable
    /// What a process tells whoever runs the world.
    associatedtype Report: Sendable

    /// Starts a process from the node's disk, whose identity is there and whose boot is raised.
    static func launch(_ node: Int, in world: inout World<Self>) -> Self

    /// When ``tick(now:)`` wants to be called next.
    var deadline: Instant { get }
    /// Does what is due.
    mutating func tick(now: Instant)
    /// Takes in a datagram.
    mutating func receive(datagram: Datagram, from source: SocketAddress, now: Instant)
    /// Takes in a frame from a peer whose certificate was good.
    mutating func receive(frame: Frame, from peer: NodeID, now: Instant)
    /// A host answered that nobody listens at the address.
    mutating func portClosed(at address: SocketAddress, now: Instant)
    /// Says good-bye; the world ends the process once its effects are carried out.
    mutating func leave(now: Instant)
    /// Hands over what is to be done, oldest first.
    mutating func takeEffects() -> [Effect]
    /// Does one of the things that a process wanted done.
    static func carry(_ effect: Effect, from node: Int, in world: inout World<Self>)

    /// A word that stands for the datagram in the log's hash.
    static func word(of datagram: Datagram) -> UInt64
    /// A word that stands for the frame in the log's hash.
    static func word(of frame: Frame) -> UInt64
    /// The datagram for people.
    static func describe(_ datagram: Datagram) -> String
    /// The frame for people.
    static func describe(_ frame: Frame) -> String
    /// Lets a decoder of the process see bytes that a stranger damaged.
    ///
    /// The seal refuses them afterwards, so nothing else happens; a decoder must not crash.
    static func meetDamaged(_ datagram: Datagram, using generator: inout SeededGenerator)
}

extension SimulatedProcess {
    /// ``deadline``, read in place: a process is large, and reading through a getter copies it.
    @inline(__always)
    mutating func readDeadline() -> Instant { deadline }

    /// Calls `body` with the process in place.
    mutating func lend(_ body: (inout Self) -> Void) { body(&self) }
}
