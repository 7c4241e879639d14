/// A point on a monotonic clock that the caller owns; cores never read a clock themselves.
///
/// - Units: whole microseconds since an origin that means nothing outside one process.
public struct Instant: Hashable, Comparable, Sendable {
    /// Microseconds since the origin of the caller's clock.
    public let microseconds: Int64

    /// Makes an instant from microseconds since the origin.
    @inlinable
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// The origin of the clock.
    public static let zero = Instant(microseconds: 0)

    /// The instant `span` later, held at the largest instant instead of overflowing.
    @inlinable
    public func advanced(by span: Span) -> Instant {
        let (sum, overflow) = microseconds.addingReportingOverflow(span.microseconds)
        return Instant(microseconds: overflow ? Int64.max : sum)
    }

    /// The time from `earlier` to this instant; negative when `earlier` is later.
    @inlinable
    public func since(_ earlier: Instant) -> Span {
        Span(microseconds: microseconds - earlier.microseconds)
    }

    /// Whether the left one is the smaller.
    @inlinable
    public static func < (lhs: Instant, rhs: Instant) -> Bool {
        lhs.microseconds < rhs.microseconds
    }
}

/// A length of time.
///
/// - Units: whole microseconds.
public struct Span: Hashable, Comparable, Sendable {
    /// The length in microseconds.
    public let microseconds: Int64

    /// Makes a span of so many microseconds.
    @inlinable
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// A span of whole milliseconds.
    @inlinable
    public static func milliseconds(_ count: Int64) -> Span {
        Span(microseconds: count * 1_000)
    }

    /// A span of whole seconds.
    @inlinable
    public static func seconds(_ count: Int64) -> Span {
        Span(microseconds: count * 1_000_000)
    }

    /// No time at all.
    public static let zero = Span(microseconds: 0)

    /// The length in whole milliseconds, rounded towards zero.
    @inlinable
    public var milliseconds: Int64 { microseconds / 1_000 }

    /// Whether the left one is the smaller.
    @inlinable
    public static func < (lhs: Span, rhs: Span) -> Bool {
        lhs.microseconds < rhs.microseconds
    }

    /// Both together.
    @inlinable
    public static func + (lhs: Span, rhs: Span) -> Span {
        Span(microseconds: lhs.microseconds + rhs.microseconds)
    }

    /// What the left one is longer by.
    @inlinable
    public static func - (lhs: Span, rhs: Span) -> Span {
        Span(microseconds: lhs.microseconds - rhs.microseconds)
    }

    /// So many times as long.
    @inlinable
    public static func * (lhs: Span, rhs: Int) -> Span {
        Span(microseconds: lhs.microseconds * Int64(rhs))
    }

    /// Such a part of it, whole microseconds rounded towards zero.
    @inlinable
    public static func / (lhs: Span, rhs: Int) -> Span {
        precondition(rhs > 0, "a span is divided by a positive count")
        return Span(microseconds: lhs.microseconds / Int64(rhs))
    }
}
