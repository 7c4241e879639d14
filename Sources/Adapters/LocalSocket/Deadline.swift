import Glibc

/// A moment on the monotonic clock by which something must be done.
struct Deadline {
    /// The time that was given, for messages.
    let milliseconds: Int
    private let endNanoseconds: Int

    init(milliseconds: Int) {
        self.milliseconds = max(0, milliseconds)
        endNanoseconds = Self.nowNanoseconds() + self.milliseconds * 1_000_000
    }

    /// What is left, rounded up so that a wait never ends early; zero once it has passed.
    var leftMilliseconds: Int32 {
        let left = endNanoseconds - Self.nowNanoseconds()
        return Int32(clamping: max(0, (left + 999_999) / 1_000_000))
    }

    private static func nowNanoseconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}
