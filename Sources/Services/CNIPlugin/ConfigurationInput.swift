import Glibc

/// What came of reading standard input to its end.
enum ConfigurationInput {
    case whole([UInt8])
    case oversized
    case late
    case failed(errno: Int32)

    /// Reads until the end, the bound or the deadline, whichever is first.
    static func read(
        _ descriptor: Int32,
        bytesMax: Int,
        deadlineMilliseconds: Int
    ) -> ConfigurationInput {
        let end = nowMilliseconds() + deadlineMilliseconds
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = Int32(clamping: max(0, end - nowMilliseconds()))
            let ready = poll(&entry, 1, left)
            if ready == 0 { return .late }
            if ready < 0, errno != EINTR { return .failed(errno: errno) }
            if ready < 0 { continue }
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return .whole(bytes) }
            if count > 0 {
                bytes += chunk[..<count]
                if bytes.count > bytesMax { return .oversized }
            } else if errno != EINTR, errno != EAGAIN {
                return .failed(errno: errno)
            }
        }
    }

    private static func nowMilliseconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    }
}
