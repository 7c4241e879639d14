internal import CLibBPF
internal import Glibc

/// The directory in a BPF file system that holds what must outlive the agent.
///
/// Maps at the top, links under `links/`, and for clsact, which has no links, the attached
/// programs under `filters/`, named after what they serve and where.
struct PinDirectory {
    let path: String

    var links: String { path + "/links" }
    var filters: String { path + "/filters" }

    /// Makes the directories that are missing.
    init(makingAt path: String) throws(BPFError) {
        self.path = path
        for directory in [path, path + "/links", path + "/filters"] {
            let isNew = mkdir(directory, 0o700) == 0
            if !isNew, errno != EEXIST {
                throw Self.creationError(directory, errno)
            }
            guard Self.isOnBPFFS(directory) else {
                if isNew { rmdir(directory) }
                throw .notOnBPFFS(path: directory)
            }
        }
    }

    private static func creationError(_ path: String, _ code: Int32) -> BPFError {
        if isPrivilegeErrno(code) { return .notPrivileged(operation: "making \(path)") }
        return code == ENOENT ? .notOnBPFFS(path: path) : .pin(path: path, errno: code)
    }

    private static func isOnBPFFS(_ path: String) -> Bool {
        var report = statfs()
        return statfs(path, &report) == 0 && Int(report.f_type) == Int(BPF_FS_MAGIC)
    }

    func mapPath(_ name: String) -> String { "\(path)/\(name)" }

    /// Opens a pin; nil when there is none.
    func open(_ pin: String) throws(BPFError) -> Descriptor? {
        let result = bpf_obj_get(pin)
        if let code = failure(of: result) {
            if code == ENOENT { return nil }
            throw isPrivilegeErrno(code)
                ? .notPrivileged(operation: "opening pin \(pin)") : .pin(path: pin, errno: code)
        }
        return Descriptor(result)
    }

    func pin(_ descriptor: borrowing Descriptor, at pin: String) throws(BPFError) {
        if let code = failure(of: bpf_obj_pin(descriptor.number, pin)) {
            throw .pin(path: pin, errno: code)
        }
    }

    /// Removes a pin; absent is success.
    func remove(_ pin: String) throws(BPFError) {
        if unlink(pin) != 0, errno != ENOENT {
            throw .pin(path: pin, errno: errno)
        }
    }

    /// The names in a directory, sorted.
    func names(in directory: String) throws(BPFError) -> [String] {
        guard let stream = opendir(directory) else {
            throw .pin(path: directory, errno: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes the directory and every pin in it.
    func removeAll() throws(BPFError) {
        for directory in [links, filters, path] {
            for name in try names(in: directory) where directory != path || !isDirectory(name) {
                try remove("\(directory)/\(name)")
            }
            if rmdir(directory) != 0 { throw .pin(path: directory, errno: errno) }
        }
    }

    private func isDirectory(_ name: String) -> Bool {
        name == "links" || name == "filters"
    }
}

/// A file descriptor that closes itself.
struct Descriptor: ~Copyable {
    let number: Int32

    init(_ number: Int32) {
        precondition(number >= 0, "a descriptor is never negative")
        self.number = number
    }

    deinit {
        close(number)
    }
}
