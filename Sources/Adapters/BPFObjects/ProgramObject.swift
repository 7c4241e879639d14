internal import CBPFPrograms
internal import CLibBPF
internal import Glibc

/// One embedded program, loaded into the kernel against the pinned maps.
final class ProgramObject {
    let name: String
    private let object: OpaquePointer
    private let program: OpaquePointer

    /// The names of the maps that it uses.
    let mapNames: [String]

    var descriptor: Int32 { bpf_program__fd(program) }

    var programID: UInt32 {
        var info = bpf_prog_info()
        var size = UInt32(MemoryLayout<bpf_prog_info>.size)
        return bpf_obj_get_info_by_fd(descriptor, &info, &size) == 0 ? info.id : 0
    }

    /// Loads every embedded program.
    ///
    /// Maps that are pinned are adopted with all their rows; the others are made and pinned.
    static func loadAll(into directory: PinDirectory) throws(BPFError) -> [ProgramObject] {
        genie_libbpf_log_capture()
        var count = 0
        let table = UnsafeBufferPointer(start: genie_bpf_objects(&count), count: count)
        var objects: [ProgramObject] = []
        // All layouts are compared before the first map is made: what is refused changes nothing.
        for entry in table {
            objects.append(try ProgramObject(entry, directory))
        }
        for object in objects { try object.load() }
        return objects
    }

    private init(_ entry: genie_bpf_object, _ directory: PinDirectory) throws(BPFError) {
        let name = String(cString: entry.name)
        genie_libbpf_log_clear()
        guard let object = bpf_object__open_mem(entry.bytes, entry.size.pointee, nil),
            let program = bpf_object__next_program(object, nil)
        else {
            throw Self.rejection(of: name, errno)
        }
        var names: [String] = []
        do throws(BPFError) {
            var map = bpf_object__next_map(object, nil)
            while let current = map {
                names.append(try Self.pin(current, in: directory))
                map = bpf_object__next_map(object, current)
            }
        } catch {
            bpf_object__close(object)
            throw error
        }
        self.name = name
        self.object = object
        self.program = program
        mapNames = names
    }

    deinit {
        bpf_object__close(object)
    }

    private func load() throws(BPFError) {
        genie_libbpf_log_clear()
        if let code = failure(of: bpf_object__load(object)) {
            throw Self.rejection(of: name, code)
        }
    }

    /// Says where the map is pinned, after making sure that what is there has its layout.
    private static func pin(
        _ map: OpaquePointer,
        in directory: PinDirectory
    ) throws(BPFError) -> String {
        let name = String(cString: bpf_map__name(map))
        let wanted = MapLayout(
            type: bpf_map__type(map).rawValue,
            keySize: bpf_map__key_size(map),
            valueSize: bpf_map__value_size(map),
            entriesMax: bpf_map__max_entries(map)
        )
        if let pinned = try PinnedMap(name: name, in: directory), pinned.layout != wanted {
            throw .layoutDiffers(map: name, pinned: pinned.layout, wanted: wanted)
        }
        let path = directory.mapPath(name)
        if let code = failure(of: bpf_map__set_pin_path(map, path)) {
            throw .pin(path: path, errno: code)
        }
        return name
    }

    private static func rejection(of program: String, _ code: Int32) -> BPFError {
        // EACCES is the verifier's word for a bad memory access.
        code == EPERM
            ? .notPrivileged(operation: "loading program \(program)")
            : .programRejected(
                program: program,
                errno: code,
                log: String(cString: genie_libbpf_log())
            )
    }
}
