import BPFObjects
import Glibc
import Testing

/// A BPF file system of its own for one test, unmounted at the end.
final class BPFMount {
    let path: String

    init() throws {
        var template = Array("/tmp/genie-bpf-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        path = try #require(made)
        guard mount("bpf", path, "bpf", 0, nil) == 0 else {
            rmdir(path)
            throw MountError(errno: errno)
        }
    }

    deinit {
        // Programs and maps that are still open do not keep the mount busy.
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }

    struct MountError: Error {
        let errno: Int32
    }
}
