internal import CLibBPF
internal import Glibc

/// One pinned map: untyped calls with typed rows.
final class PinnedMap {
    let name: String
    let layout: MapLayout
    private let descriptor: Descriptor

    /// Rows fetched by one call; a fuller hash bucket doubles it.
    private static let batchCount = 512

    /// Opens the map that is pinned as `name`; nil when there is none.
    init?(name: String, in directory: PinDirectory) throws(BPFError) {
        guard let descriptor = try directory.open(directory.mapPath(name)) else { return nil }
        var info = bpf_map_info()
        var size = UInt32(MemoryLayout<bpf_map_info>.size)
        let result = bpf_obj_get_info_by_fd(descriptor.number, &info, &size)
        if let code = failure(of: result) {
            throw .map(name: name, operation: "inspect", errno: code)
        }
        self.name = name
        layout = MapLayout(
            type: info.type,
            keySize: info.key_size,
            valueSize: info.value_size,
            entriesMax: info.max_entries
        )
        self.descriptor = descriptor
    }

    /// Writes a row, new or not.
    func put<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key,
        _ value: Value
    ) throws(BPFError) {
        try put(key, [value], flags: BPF_ANY)
    }

    /// Writes a row with one value for each CPU where the map has them; with `isNewOnly` a row that
    /// is there already stays as it is.
    func put<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key,
        perCPU values: [Value],
        isNewOnly: Bool = false
    ) throws(BPFError) {
        do throws(BPFError) {
            try put(key, values, flags: isNewOnly ? BPF_NOEXIST : BPF_ANY)
        } catch {
            guard isNewOnly, case .map(_, _, EEXIST) = error else { throw error }
        }
    }

    private func put<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key,
        _ values: [Value],
        flags: Int
    ) throws(BPFError) {
        precondition(MemoryLayout<Key>.size == layout.keySize, "key of another map")
        precondition(MemoryLayout<Value>.size == layout.valueSize, "value of another map")
        let result = withUnsafePointer(to: key) { key in
            bpf_map_update_elem(descriptor.number, key, values, UInt64(flags))
        }
        guard let code = failure(of: result) else { return }
        throw code == E2BIG
            ? .mapFull(map: name, max: Int(layout.entriesMax))
            : .map(name: name, operation: "write", errno: code)
    }

    /// The kernel memory that the map takes now, in bytes; nil where the kernel does not say.
    ///
    /// - Source: `memlock` of `/proc/PID/fdinfo/FD`; it counts hash maps' rows from Linux 6.4 on.
    var memoryBytes: Int? {
        guard let file = fopen("/proc/self/fdinfo/\(descriptor.number)", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
            guard text.hasPrefix("memlock:") else { continue }
            return text.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) }
        }
        return nil
    }

    /// Removes a row; absent is success.
    func delete<Key: BitwiseCopyable>(_ key: Key) throws(BPFError) {
        precondition(MemoryLayout<Key>.size == layout.keySize, "key of another map")
        let result = withUnsafePointer(to: key) { bpf_map_delete_elem(descriptor.number, $0) }
        if let code = failure(of: result), code != ENOENT {
            throw .map(name: name, operation: "delete from", errno: code)
        }
    }

    /// Reads one row with `count` values, one for each CPU of a per-CPU map; nil when absent.
    func get<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        _ key: Key,
        empty: Value,
        count: Int = 1
    ) throws(BPFError) -> [Value]? {
        precondition(MemoryLayout<Key>.size == layout.keySize, "key of another map")
        precondition(MemoryLayout<Value>.size == layout.valueSize, "value of another map")
        var values = Array(repeating: empty, count: count)
        let result = withUnsafePointer(to: key) { key in
            bpf_map_lookup_elem(descriptor.number, key, &values)
        }
        guard let code = failure(of: result) else { return values }
        if code == ENOENT { return nil }
        throw .map(name: name, operation: "read", errno: code)
    }

    /// Every row of a hash map, `valuesEach` values a row.
    ///
    /// Rows that come or go meanwhile may be missed or seen twice: the caller is the only writer.
    func rows<Key: BitwiseCopyable, Value: BitwiseCopyable>(
        emptyKey: Key,
        emptyValue: Value,
        valuesEach: Int = 1
    ) throws(BPFError) -> [(key: Key, values: ArraySlice<Value>)] {
        precondition(MemoryLayout<Key>.size == layout.keySize, "key of another map")
        precondition(MemoryLayout<Value>.size == layout.valueSize, "value of another map")
        var rows: [(key: Key, values: ArraySlice<Value>)] = []
        var capacity = Self.batchCount
        var token: UInt32 = 0
        var isFirst = true
        while true {
            var keys = Array(repeating: emptyKey, count: capacity)
            var values = Array(repeating: emptyValue, count: capacity * valuesEach)
            var count = UInt32(capacity)
            var next: UInt32 = 0
            let result = withUnsafeMutablePointer(to: &token) { token in
                bpf_map_lookup_batch(
                    descriptor.number,
                    isFirst ? nil : token,
                    &next,
                    &keys,
                    &values,
                    &count,
                    nil
                )
            }
            let code = failure(of: result)
            if code == ENOSPC {
                capacity *= 2
                precondition(capacity <= 2 * Int(layout.entriesMax) + Self.batchCount)
                continue
            }
            if let code, code != ENOENT {
                throw .map(name: name, operation: "list", errno: code)
            }
            for index in 0..<Int(count) {
                let start = index * valuesEach
                rows.append((keys[index], values[start..<start + valuesEach]))
            }
            if code == ENOENT { return rows }
            token = next
            isFirst = false
        }
    }
}
