internal import CLinux
internal import Glibc

/// Network namespaces, known by paths such as `/var/run/netns/NAME` and `/proc/PID/ns/net`.
package enum Netns {
    /// The number that identifies a namespace for as long as it exists.
    ///
    /// - Throws: `.namespaceMissing`, `.namespaceInvalid`, `.systemCall`.
    package static func inode(_ path: String) throws(NetlinkError) -> UInt64 {
        try NetnsFile(path).inode()
    }

    /// The number of the calling thread's namespace.
    package static func currentInode() throws(NetlinkError) -> UInt64 {
        try inode(currentPath)
    }

    /// The path of the calling thread's namespace.
    ///
    /// Not `/proc/self`: that is the process's first thread.
    package static let currentPath = "/proc/thread-self/ns/net"
}

/// An open network namespace.
struct NetnsFile: ~Copyable {
    let descriptor: Int32

    /// Opens the namespace at the path.
    ///
    /// A path below `/var/run/netns` whose namespace is gone may still be there as an empty file,
    /// which is why the type of the file is asked for.
    init(_ path: String) throws(NetlinkError) {
        let opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard opened >= 0 else {
            throw errno == ENOENT || errno == ENOTDIR
                ? .namespaceMissing(path: path) : .systemCall(.openNamespace, errno: errno)
        }
        guard genie_netns_check(opened) == 0 else {
            close(opened)
            throw .namespaceInvalid(path: path)
        }
        descriptor = opened
    }

    deinit {
        close(descriptor)
    }

    func inode() throws(NetlinkError) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw .systemCall(.identifyNamespace, errno: errno)
        }
        return UInt64(status.st_ino)
    }
}
