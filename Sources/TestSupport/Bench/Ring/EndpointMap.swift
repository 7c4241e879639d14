import CGenieABI
import CLibBPF
import Glibc

/// The keys of a node's endpoint map, read from outside while `genied` writes it.
final class EndpointMap {
    private let descriptor: Int32

    /// One endpoint of a VPC.
    struct Key: Hashable {
        let bytes: [UInt8]
    }

    /// The name of the pinned map; its revision is part of it.
    private static let name = "gr_endpoint_r2"

    /// Opens the map that a process has pinned in its own mounts.
    init(pid: Int32) throws(BenchError) {
        let path = "/proc/\(pid)/root/sys/fs/bpf/genie/\(Self.name)"
        descriptor = bpf_obj_get(path)
        guard descriptor >= 0 else {
            throw .refused(call: "bpf_obj_get \(path)", reason: BenchError.reason(errno))
        }
    }

    deinit {
        close(descriptor)
    }

    /// All keys.
    ///
    /// One that comes or goes meanwhile may be missed: it is looked for again at once.
    func keys() -> Set<Key> {
        var keys: Set<Key> = []
        let size = MemoryLayout<endpoint_key>.size
        var current: [UInt8]?
        var next = [UInt8](repeating: 0, count: size)
        while keys.count <= Int(GENIE_ENDPOINT_MAX) {
            let status =
                current.map { bpf_map_get_next_key(descriptor, $0, &next) }
                ?? bpf_map_get_next_key(descriptor, nil, &next)
            guard status == 0 else { break }
            // A key that was removed meanwhile starts the walk again from the first.
            guard keys.insert(Key(bytes: next)).inserted else { break }
            current = next
        }
        return keys
    }
}
