internal import Glibc

/// What keeps two calls for one pod apart, also over the death of who made the first.
///
/// A daemon that dies leaves the plugin that it had called running, and what that one makes would
/// come after the clean-up. So plugins inherit the lock and hold it until the last of them is gone.
/// - Kernel: open file description locks, fcntl(2).
package final class PluginLock: Sendable {
    let descriptor: Int32

    /// Takes the lock of a key, or waits for who has it.
    ///
    /// - Parameters:
    ///   - path: the file, one for all keys.
    ///   - key: two keys with the same lower 62 bits wait for one another.
    ///   - waitMilliseconds: how long to wait.
    /// - Throws: `.notLocked`.
    package init(
        path: String,
        key: UInt64,
        waitMilliseconds: Int
    ) throws(PluginProcessError) {
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw .notLocked(path: path, errno: errno) }
        var range = flock()
        range.l_type = Int16(F_WRLCK)
        range.l_whence = Int16(SEEK_SET)
        range.l_start = off_t(key & 0x3fff_ffff_ffff_ffff)
        range.l_len = 1
        for attempt in 0... {
            if fcntl(opened, Self.setLock, &range) == 0 { break }
            let number = errno
            guard number == EAGAIN || number == EACCES || number == EINTR,
                attempt * 20 < waitMilliseconds
            else {
                close(opened)
                throw .notLocked(path: path, errno: number)
            }
            usleep(20_000)
        }
        descriptor = opened
    }

    /// Gives the lock back, whoever else has the file open.
    deinit {
        var range = flock()
        range.l_type = Int16(F_UNLCK)
        range.l_whence = Int16(SEEK_SET)
        _ = fcntl(descriptor, Self.setLock, &range)
        close(descriptor)
    }

    /// The kernel's `F_OFD_SETLK`.
    private static let setLock: Int32 = 37
}
