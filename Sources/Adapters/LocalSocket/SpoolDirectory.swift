import Glibc

/// A directory of small files that wait for a process which is not there now.
///
/// An entry appears whole or not at all, also across a power cut: it is written under another
/// name, flushed, renamed, and the directory flushed. Names that start with a dot are ours.
package struct SpoolDirectory: Sendable {
    /// The most entries that one listing gives.
    package static let entriesMax = 100_000
    /// The largest entry in bytes.
    package static let entryBytesMax = 4 << 20

    /// Where the entries lie.
    package let path: String

    /// Names the directory; it is made by the first write.
    package init(path: String) {
        self.path = path
    }

    /// Stores an entry, in place of one of the same name.
    ///
    /// - Throws: ``SpoolError``; there is no such entry then, or the one before.
    package func write(name: String, _ bytes: [UInt8]) throws(SpoolError) {
        guard Self.isName(name), bytes.count <= Self.entryBytesMax else {
            throw .refused(path: path, name: name)
        }
        try makeDirectory()
        var template = Array("\(path)/.new-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw failure(.create) }
        var isKept = false
        defer {
            close(descriptor)
            if !isKept { unlink(template) }
        }
        try writeAll(bytes, to: descriptor)
        guard fsync(descriptor) == 0 else { throw failure(.flush) }
        guard rename(template, "\(path)/\(name)") == 0 else { throw failure(.rename) }
        isKept = true
        try flushDirectory()
    }

    /// The names of the entries, ascending; empty while there is no directory.
    package func names() throws(SpoolError) -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw failure(.open)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while names.count < Self.entriesMax, let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { buffer in
                String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
            }
            if Self.isName(name) { names.append(name) }
        }
        return names.sorted()
    }

    /// The bytes of an entry; nil when there is none of that name.
    package func read(name: String) throws(SpoolError) -> [UInt8]? {
        guard Self.isName(name) else { throw .refused(path: path, name: name) }
        let descriptor = open("\(path)/\(name)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(.open)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return bytes }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw failure(.read)
            }
            bytes += chunk[..<count]
            guard bytes.count <= Self.entryBytesMax else {
                throw .refused(path: path, name: name)
            }
        }
    }

    /// Removes an entry for good; one that is not there is as good as removed.
    package func remove(name: String) throws(SpoolError) {
        guard Self.isName(name) else { throw .refused(path: path, name: name) }
        guard unlink("\(path)/\(name)") == 0 else {
            if errno == ENOENT { return }
            throw failure(.remove)
        }
        try flushDirectory()
    }

    private static func isName(_ name: String) -> Bool {
        (1...255).contains(name.utf8.count) && name.utf8.first != UInt8(ascii: ".")
            && !name.utf8.contains(UInt8(ascii: "/")) && !name.utf8.contains(0)
    }

    /// Makes the directory and those above it; entries can name tenants, so only root looks in.
    private func makeDirectory() throws(SpoolError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT else { throw failure(.create) }
        var parent = path.utf8.first == UInt8(ascii: "/") ? "" : "."
        for part in path.split(separator: "/") {
            parent += "/\(part)"
            guard mkdir(parent, 0o700) == 0 || errno == EEXIST else { throw failure(.create) }
        }
    }

    private func flushDirectory() throws(SpoolError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(.open) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(.flush) }
    }

    private func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(SpoolError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(
                    descriptor,
                    buffer.baseAddress?.advanced(by: offset),
                    bytes.count - offset
                )
            }
            if count >= 0 {
                offset += count
            } else if errno != EINTR {
                throw failure(.write)
            }
        }
    }

    /// To be called before anything else can change `errno`.
    private func failure(_ step: SpoolError.Step) -> SpoolError {
        .failed(path: path, step: step, errno: errno)
    }
}

/// Why a spool directory could not be used.
package enum SpoolError: Error, Hashable, Sendable {
    /// The name is no file name, or the entry is too large.
    case refused(path: String, name: String)
    /// The kernel refused a step.
    case failed(path: String, step: Step, errno: Int32)

    /// What was being done.
    package enum Step: String, Hashable, Sendable {
        /// Making a directory or file.
        case create
        /// Opening one.
        case open
        /// Reading an entry.
        case read
        /// Writing an entry.
        case write
        /// Bringing it to the disk, see fsync(2).
        case flush
        /// Putting it in place.
        case rename
        /// Taking it away.
        case remove
    }
}

extension SpoolError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let path, let name):
            "cannot keep \(name) in \(path): its name or size does not fit"
        case .failed(let path, let step, let errno):
            "cannot use spool \(path): \(step.rawValue): \(String(cString: strerror(errno)));"
                + " make the directory writable, or name another with GENIE_SPOOL"
        }
    }
}
