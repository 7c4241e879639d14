package import Determinism

/// The countdown from "suspect" to "dead" for one member, shortened by independent accusers.
///
/// Pure: every call is told the time. The wait starts at the longest and reaches the shortest once
/// enough further accusers have spoken; the steps between lie on a straight line, which integers
/// compute alike on every machine.
/// - Source: Lifeguard section IV-B, with the logarithm replaced.
package struct Suspicion: Sendable {
    /// The age that the accusation names; a younger fact refutes it.
    package let incarnation: UInt64
    /// Who could not reach the member, the first accuser included; bounded by the wanted ones + 1.
    package private(set) var accusers: [NodeID]

    /// When it began here.
    package private(set) var startedAt: Instant
    private var endsAt: Instant?
    private let longest: Span
    private let shortest: Span
    private let confirmationsWanted: Int

    /// Starts the countdown.
    ///
    /// With no confirmations wanted, as when too few peers exist to confirm anything, the shortest
    /// wait holds from the start.
    package init(
        incarnation: UInt64,
        accuser: NodeID,
        shortest: Span,
        longest: Span,
        confirmationsWanted: Int,
        now: Instant
    ) {
        precondition(shortest <= longest, "a suspicion is shortened, never lengthened")
        self.incarnation = incarnation
        self.accusers = [accuser]
        self.startedAt = now
        self.shortest = shortest
        self.longest = longest
        self.confirmationsWanted = confirmationsWanted
    }

    /// The instant at which the member becomes dead unless it refutes first.
    package var deadline: Instant { endsAt.map { min($0, unforced) } ?? unforced }

    private var unforced: Instant {
        let confirmations = accusers.count - 1
        guard confirmations < confirmationsWanted else { return startedAt.advanced(by: shortest) }
        let step = (longest - shortest) / max(1, confirmationsWanted)
        return startedAt.advanced(by: longest - step * confirmations)
    }

    /// The same suspicion, ending at an instant unless accusers end it before.
    package func ending(at instant: Instant) -> Suspicion {
        var sooner = self
        sooner.endsAt = instant
        return sooner
    }

    /// The same suspicion with more time left.
    package func postponed(by span: Span) -> Suspicion {
        var later = self
        later.startedAt = startedAt.advanced(by: span)
        later.endsAt = endsAt?.advanced(by: span)
        return later
    }

    /// What became of an accusation.
    package enum Confirmation: Hashable, Sendable {
        /// The deadline moved nearer; worth passing on.
        case shortened
        /// This accuser was counted before.
        case repeated
        /// The floor had been reached already.
        case enough
    }

    /// Records that `accuser` could not reach the member either.
    package mutating func confirm(
        by accuser: NodeID,
        isRepeatCounted: Bool = false
    ) -> Confirmation {
        if accusers.contains(accuser), !isRepeatCounted { return .repeated }
        guard accusers.count - 1 < confirmationsWanted else { return .enough }
        accusers.append(accuser)
        return .shortened
    }
}
