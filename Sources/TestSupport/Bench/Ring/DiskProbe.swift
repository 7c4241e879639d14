import Determinism
import Foundation
import Glibc
import Statistics

/// What a write that must survive costs in a directory.
struct DiskProbe {
    /// The kind of file system, as the kernel names it.
    let fileSystem: String
    /// Spans of `pwrite` of one page with `fdatasync`, into a file that has its length already.
    let spans: Percentiles?

    /// Writes `count` pages into a file in `directory`, one after another.
    init(directory: String, count: Int = 300) throws(BenchError) {
        fileSystem = Self.fileSystem(of: directory)
        let path = "\(directory)/probe"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .refused(call: "open \(path)", reason: BenchError.reason(errno))
        }
        defer {
            close(descriptor)
            unlink(path)
        }
        var page = [UInt8](repeating: 1, count: 4_096)
        for index in 0..<64 { pwrite(descriptor, page, page.count, off_t(index * page.count)) }
        fsync(descriptor)
        var spans: [Span] = []
        for index in 0..<count {
            page[0] = UInt8(truncatingIfNeeded: index)
            let start = Monotonic.now
            let offset = off_t(index % 64 * page.count)
            let isWritten = pwrite(descriptor, page, page.count, offset) == page.count
            guard isWritten, fdatasync(descriptor) == 0 else {
                throw .refused(call: "fdatasync \(path)", reason: BenchError.reason(errno))
            }
            spans.append(Monotonic.now.since(start))
        }
        self.spans = Percentiles(milliseconds: spans)
    }

    /// One line for people.
    var summary: String {
        let text = spans.map { String(format: "p50 %.2f ms, p99 %.2f ms", $0.p50, $0.p99) } ?? "-"
        let isMemory = fileSystem == "tmpfs" || fileSystem == "ramfs"
        return "\(fileSystem), fdatasync of one page: \(text)"
            + (isMemory ? " (in memory: nothing is durable here; name a disk with TMPDIR)" : "")
    }

    /// The type of the mount that `directory` lies in, from proc(5)'s mountinfo.
    private static func fileSystem(of directory: String) -> String {
        let real = URL(filePath: directory).resolvingSymlinksInPath().path
        let text = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
        var best = (length: -1, type: "unknown file system")
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, let dash = fields.firstIndex(of: "-"),
                dash + 1 < fields.count
            else { continue }
            let point = fields[4]
            let isAbove = real == point || point == "/" || real.hasPrefix(point + "/")
            // Of two mounts on one place the later one is seen.
            if isAbove, point.count >= best.length {
                best = (point.count, String(fields[dash + 1]))
            }
        }
        return best.type
    }
}
