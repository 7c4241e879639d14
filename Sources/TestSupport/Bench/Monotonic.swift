package import Determinism
import Glibc

/// The clock that everything here is measured with: CLOCK_MONOTONIC, read when a thing was seen.
package enum Monotonic {
    /// The present instant.
    package static var now: Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    /// Blocks this thread; returns at once for what is not positive.
    package static func sleep(_ span: Span) {
        guard span > .zero else { return }
        usleep(UInt32(clamping: span.microseconds))
    }

    /// Asks every two milliseconds until `condition` holds; false once `span` has passed.
    package static func wait(_ span: Span, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = now.advanced(by: span)
        while true {
            if try condition() { return true }
            guard now < deadline else { return false }
            sleep(.milliseconds(2))
        }
    }
}
