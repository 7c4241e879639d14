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

    /// Opens directories that are there; nil where there are none, or they are not ours.
    init?(existingAt path: String) {
        self.path = path
        for directory in [path, path + "/links", path + "/filters"] {
            guard Self.isOnBPFFS(directory) else { return nil }
        }
    }

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

// clsact filters are recorded by pinning their program under `NAME-at-IFINDEX`.
extension PinDirectory {
    private static let filterInfix = "-at-"

    func filterPath(_ name: String, _ ifindex: UInt32) -> String {
        "\(filters)/\(name)\(Self.filterInfix)\(ifindex)"
    }

    func filterPins() throws(BPFError) -> [(name: String, ifindex: UInt32)] {
        try names(in: filters)
            .compactMap { pin in
                let digits = pin.reversed().prefix { $0 != "-" }.count
                let name = pin.dropLast(digits)
                guard name.hasSuffix(Self.filterInfix), let ifindex = UInt32(pin.suffix(digits))
                else { return nil }
                return (String(name.dropLast(Self.filterInfix.count)), ifindex)
            }
    }

    func recordedProgramID(_ path: String) throws(BPFError) -> UInt32? {
        guard let program = try open(path) else { return nil }
        var info = bpf_prog_info()
        var size = UInt32(MemoryLayout<bpf_prog_info>.size)
        let result = bpf_obj_get_info_by_fd(program.number, &info, &size)
        if let code = failure(of: result) { throw .pin(path: path, errno: code) }
        return info.id
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
