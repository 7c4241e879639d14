import Glibc
import Synchronization

/// The place of a socket file: checked, taken over, and given back.
///
/// The socket is bound inside a directory that only this user can enter, gets its group and mode
/// there, and is then renamed into place. That replaces a dead process's file in one step.
final class SocketPlace: Sendable {
    let path: String
    let bindPath: String

    private let directory: String
    private let groupID: UInt32?
    private let inode = Mutex<ino_t?>(nil)

    /// The mode of the socket file: connecting needs write permission, see unix(7).
    private static let mode: mode_t = 0o660

    /// Checks that nobody answers on `path`, and makes the directory to bind in.
    init(path: String, groupID: UInt32?) throws(LocalServerError) {
        self.path = path
        self.groupID = groupID
        let parent = Self.parent(of: path)
        guard mkdir(parent, 0o755) == 0 || errno == EEXIST else {
            throw .failed(path: path, step: .makeDirectory, errno: errno)
        }
        try Self.checkNobodyAnswers(on: path)
        var template = Array("\(parent)/.bindXXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .failed(path: path, step: .makeDirectory, errno: errno)
        }
        directory = String(
            decoding: template.dropLast().map(UInt8.init(bitPattern:)),
            as: UTF8.self
        )
        bindPath = "\(directory)/s"
        guard bindPath.utf8.count <= Self.pathBytesMax else {
            rmdir(directory)
            throw .pathTooLong(path: path, bytesMax: Self.pathBytesMax)
        }
    }

    /// Puts the bound socket where clients look for it.
    func publish() throws(LocalServerError) {
        if let groupID, chown(bindPath, uid_t.max, groupID) != 0 {
            throw .failed(path: path, step: .setGroup, errno: errno)
        }
        guard chmod(bindPath, Self.mode) == 0 else {
            throw .failed(path: path, step: .setMode, errno: errno)
        }
        var status = stat()
        guard lstat(bindPath, &status) == 0 else {
            throw .failed(path: path, step: .inspect, errno: errno)
        }
        guard rename(bindPath, path) == 0 else {
            throw .failed(path: path, step: .rename, errno: errno)
        }
        rmdir(directory)
        inode.withLock { $0 = status.st_ino }
    }

    /// Takes away what is ours; a socket that a later process put there stays.
    func clear() {
        unlink(bindPath)
        rmdir(directory)
        var status = stat()
        guard let ours = inode.withLock({ $0 }), lstat(path, &status) == 0,
            status.st_ino == ours
        else { return }
        unlink(path)
    }

    private static var pathBytesMax: Int {
        MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func checkNobodyAnswers(on path: String) throws(LocalServerError) {
        guard path.utf8.count <= pathBytesMax else {
            throw .pathTooLong(path: path, bytesMax: pathBytesMax)
        }
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .failed(path: path, step: .inspect, errno: errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let descriptor = socket(AF_UNIX, Int32(kind), 0)
        guard descriptor >= 0 else { throw .failed(path: path, step: .connect, errno: errno) }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let outcome = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // A full backlog (EAGAIN) also means that somebody is there.
        if outcome == 0 || errno == EAGAIN { throw .inUse(path: path) }
        guard errno == ECONNREFUSED || errno == ENOENT else {
            throw .failed(path: path, step: .connect, errno: errno)
        }
    }
}
