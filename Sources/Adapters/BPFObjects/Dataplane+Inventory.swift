internal import CLibBPF
internal import Glibc

/// How full a map is, and what it takes.
package struct MapFill: Hashable, Sendable {
    /// The name it is pinned as.
    package let name: String
    /// Rows in it; for an array, which always has all of them, the most.
    package let entries: Int
    /// The most rows it can hold.
    package let entriesMax: Int
    /// The kernel memory that it takes now, in bytes; nil where the kernel does not say.
    package let memoryBytes: Int?
}

/// One program as the kernel has it.
package struct LoadedProgram: Hashable, Sendable {
    /// Which.
    package let program: Dataplane.Program
    /// The kernel's id, which ``Attachment/programID`` names.
    package let id: UInt32
    /// The kernel's hash of its instructions, in hexadecimal.
    package let tag: String
    /// Bytes of machine code.
    package let machineCodeBytes: Int
}

extension Dataplane {
    /// How full every map is.
    ///
    /// - Complexity: O(n) in the rows: the kernel keeps no count.
    package func mapFill() throws(BPFError) -> [MapFill] {
        var fill: [MapFill] = []
        for which in Map.allCases {
            let map = map(which)
            let entries: Int
            switch which {
            case .port: entries = try ports().count
            case .endpoint: entries = try endpoints().count
            case .vtep: entries = try vteps().count
            case .vni: entries = try vnis().count
            case .drop: entries = try dropRows().count
            case .traffic: entries = try trafficRows().count
            case .probeSeen: entries = try probesSeen().count
            case .many: entries = try places().values.reduce(0) { $0 + $1.count }
            case .node, .count, .probe, .icmp, .path, .manyRate, .manyMark, .hop:
                entries = Int(map.layout.entriesMax)
            }
            fill.append(
                MapFill(
                    name: map.name,
                    entries: entries,
                    entriesMax: Int(map.layout.entriesMax),
                    memoryBytes: map.memoryBytes
                )
            )
        }
        return fill
    }

    /// The programs that this value has loaded.
    package func loadedPrograms() throws(BPFError) -> [LoadedProgram] {
        var loaded: [LoadedProgram] = []
        for program in Program.allCases {
            var info = bpf_prog_info()
            var size = UInt32(MemoryLayout<bpf_prog_info>.size)
            let result = bpf_obj_get_info_by_fd(descriptor(of: program), &info, &size)
            if let code = failure(of: result) {
                throw .map(name: program.rawValue, operation: "inspect", errno: code)
            }
            let tag = withUnsafeBytes(of: info.tag) { bytes in
                bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            }
            loaded.append(
                LoadedProgram(
                    program: program,
                    id: info.id,
                    tag: tag,
                    machineCodeBytes: Int(info.jited_prog_len)
                )
            )
        }
        return loaded
    }
}
