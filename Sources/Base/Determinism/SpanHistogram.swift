/// How long things took, sorted into buckets as they happen: a few words, whatever their number.
public struct SpanHistogram: Hashable, Sendable {
    /// The upper bounds of the buckets, ascending; one more bucket is for what is above them.
    public let bounds: [Span]
    /// How many fell into each bucket, not counting those below it.
    public private(set) var counts: [UInt64]
    /// The sum of all.
    public private(set) var sum = Span.zero

    /// Makes an empty one.
    public init(bounds: [Span]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds ascend")
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// How many there were.
    public var count: UInt64 { counts.reduce(0, +) }

    /// Notes one.
    public mutating func add(_ span: Span) {
        counts[bounds.firstIndex { span <= $0 } ?? bounds.count] += 1
        sum = sum + span
    }
}
