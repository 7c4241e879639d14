package import Determinism

/// What a proposer's commands came to since it was made; for people, nothing is decided by it.
package struct RegisterCounters: Hashable, Sendable {
    /// What was asked for.
    package enum Operation: Int, CaseIterable, Sendable {
        /// A value.
        case read
        /// A change.
        case change
        /// Names.
        case list
    }

    /// How it ended.
    package enum Ending: Int, CaseIterable, Sendable {
        /// As it was wanted.
        case done
        /// Another version was there.
        case conflict
        /// Nobody knows.
        case indeterminate
        /// No majority answered.
        case unavailable
        /// It can never be done.
        case refused
    }

    private var ended = Array(
        repeating: UInt64(0),
        count: Operation.allCases.count * Ending.allCases.count
    )
    /// How long reads took that ended well.
    package private(set) var reads = SpanHistogram(bounds: Self.bounds)
    /// How long changes took that ended well.
    package private(set) var changes = SpanHistogram(bounds: Self.bounds)
    /// Rounds that another proposer's ballot beat.
    package internal(set) var ballotsLost: UInt64 = 0

    private static let bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 3_000].map {
        Span.milliseconds($0)
    }

    /// Makes zeroes.
    package init() {}

    /// How many operations of a kind ended so.
    package func count(_ operation: Operation, _ ending: Ending) -> UInt64 {
        ended[operation.rawValue * Ending.allCases.count + ending.rawValue]
    }

    mutating func note(_ command: RegisterCommand, _ outcome: RegisterOutcome, took span: Span) {
        let operation: Operation =
            switch command {
            case .read: .read
            case .compareAndSet: .change
            case .list: .list
            }
        let ending: Ending =
            switch outcome {
            case .value, .committed, .keys: .done
            case .conflict: .conflict
            case .indeterminate: .indeterminate
            case .unavailable: .unavailable
            case .refused: .refused
            }
        ended[operation.rawValue * Ending.allCases.count + ending.rawValue] += 1
        guard ending == .done else { return }
        switch operation {
        case .read: reads.add(span)
        case .change: changes.add(span)
        case .list: break
        }
    }
}
