/// A point on a monotonic clock that the caller owns; cores never read a clock themselves.
///
/// - Units: whole microseconds since an origin that means nothing outside one process.
package struct Instant: Hashable, Comparable, Sendable {
    /// Microseconds since the origin of the caller's clock.
    package let microseconds: Int64

    /// Makes an instant from microseconds since the origin.
    @inlinable
    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// The origin of the clock.
    package static let zero = Instant(microseconds: 0)

    /// The instant `span` later, held at the largest instant instead of overflowing.
    @inlinable
    package func advanced(by span: Span) -> Instant {
        let (sum, overflow) = microseconds.addingReportingOverflow(span.microseconds)
        return Instant(microseconds: overflow ? Int64.max : sum)
    }

    /// The time from `earlier` to this instant; negative when `earlier` is later.
    @inlinable
    package func since(_ earlier: Instant) -> Span {
        Span(microseconds: microseconds - earlier.microseconds)
    }

    @inlinable
    package static func < (lhs: Instant, rhs: Instant) -> Bool {
        lhs.microseconds < rhs.microseconds
    }
}

/// A length of time.
///
/// - Units: whole microseconds.
package struct Span: Hashable, Comparable, Sendable {
    /// The length in microseconds.
    package let microseconds: Int64

    /// Makes a span of so many microseconds.
    @inlinable
    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// A span of whole milliseconds.
    @inlinable
    package static func milliseconds(_ count: Int64) -> Span {
        Span(microseconds: count * 1_000)
    }

    /// A span of whole seconds.
    @inlinable
    package static func seconds(_ count: Int64) -> Span {
        Span(microseconds: count * 1_000_000)
    }

    /// No time at all.
    package static let zero = Span(microseconds: 0)

    /// The length in whole milliseconds, rounded towards zero.
    @inlinable
    package var milliseconds: Int64 { microseconds / 1_000 }

    @inlinable
    package static func < (lhs: Span, rhs: Span) -> Bool {
        lhs.microseconds < rhs.microseconds
    }

    @inlinable
    package static func + (lhs: Span, rhs: Span) -> Span {
        Span(microseconds: lhs.microseconds + rhs.microseconds)
    }

    @inlinable
    package static func - (lhs: Span, rhs: Span) -> Span {
        Span(microseconds: lhs.microseconds - rhs.microseconds)
    }

    @inlinable
    package static func * (lhs: Span, rhs: Int) -> Span {
        Span(microseconds: lhs.microseconds * Int64(rhs))
    }

    @inlinable
    package static func / (lhs: Span, rhs: Int) -> Span {
        precondition(rhs > 0, "a span is divided by a positive count")
        return Span(microseconds: lhs.microseconds / Int64(rhs))
    }
}
