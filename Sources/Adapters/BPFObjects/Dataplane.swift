internal import CGenieABI

/// The node's dataplane: programs, maps and attachments, all pinned.
///
/// Made once by the agent and used from one serial queue. What is pinned goes on working when the
/// agent ends; the next ``Dataplane`` over the same directory adopts it and flushes nothing.
///
/// Attaching must run in the network namespace of the interfaces: indices are looked up in the
/// calling thread's one.
/// - Kernel: Linux 5.18; tcx from 6.6, clsact before. CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON.
package final class Dataplane {
    /// The three programs.
    package enum Program: String, CaseIterable, Sendable {
        /// tc ingress of a pod's host-side veth.
        case podEgress = "pod_egress"
        /// tc ingress of the uplink.
        case uplinkIngress = "uplink_ingress"
        /// Native XDP of the uplink.
        case uplinkXDP = "uplink_xdp"
    }

    /// The maps, by the names they are pinned as.
    enum Map: String, CaseIterable {
        case node = "gr_node_r2"
        case port = "gr_port_r2"
        case endpoint = "gr_endpoint_r2"
        case vtep = "gr_vtep_r1"
        case vni = "gr_vni_r1"
        case drop = "gr_drop_r2"
        case count = "gr_count_r1"
        case icmp = "gr_icmp_r1"
        case path = "gr_path_r1"
        case traffic = "gr_traffic_r1"
        case probe = "gr_probe_r1"
        case probeSeen = "gr_seen_r1"
        case many = "gr_many_r1"
        case manyRate = "gr_many_rate_r1"
        case manyMark = "gr_many_mark_r1"
        case hop = "gr_hop_r1"
    }

    /// The directory that everything is pinned in.
    package var pinDirectory: String { directory.path }

    let directory: PinDirectory
    let trafficControl: TrafficControlChoice
    private let programs: [ProgramObject]
    private let maps: [PinnedMap]

    /// Loads the programs and adopts or makes the maps.
    ///
    /// - Parameters:
    ///   - pinDirectory: a directory directly inside a mounted BPF file system; made if missing.
    ///   - trafficControl: which tc hook new attachments use.
    /// - Throws: `.notOnBPFFS`, `.notPrivileged`; `.layoutDiffers` for a pinned map of another
    ///   shape and `.laterRevision` for one that a later release made, with nothing changed;
    ///   `.programRejected` where the kernel lacks a feature. Maps made before that failure
    ///   stay pinned, empty, and are adopted by the next attempt.
    package init(
        pinDirectory: String,
        trafficControl: TrafficControlChoice = .automatic
    ) throws(BPFError) {
        self.trafficControl = trafficControl
        directory = try PinDirectory(makingAt: pinDirectory)
        try MapRevision.refuseLater(in: directory)
        programs = try ProgramObject.loadAll(into: directory)
        precondition(programs.count == Program.allCases.count, "a program is not named here")
        var maps: [PinnedMap] = []
        for map in Map.allCases {
            guard let opened = try PinnedMap(name: map.rawValue, in: directory) else {
                preconditionFailure("no program uses map \(map.rawValue)")
            }
            maps.append(opened)
        }
        self.maps = maps
        try takeOverEndpoints()
        // Anew at each start; copies that are under way with the old one are lost.
        try map(.manyMark).put(
            UInt32(0),
            many_secret(mark: .random(in: 1...UInt32.max), tc_index: .random(in: 1...0xffff))
        )
    }

    /// Copies what the endpoint map of the revision before holds: no packet is lost while the
    /// ring is asked anew.
    ///
    /// Its rows are the same but for the group, where they have zeros; reconciling fills that in.
    private func takeOverEndpoints() throws(BPFError) {
        guard let earlier = try PinnedMap(name: "gr_endpoint_r1", in: directory),
            earlier.layout == map(.endpoint).layout
        else { return }
        let rows = try earlier.rows(emptyKey: endpoint_key(), emptyValue: endpoint_value())
        for (key, values) in rows {
            try map(.endpoint).put(key, perCPU: Array(values), isNewOnly: true)
        }
    }

    /// Removes the maps of earlier revisions, which no attached program uses any more once all
    /// attachments have this value's programs.
    ///
    /// - Returns: their names.
    package func removeSuperseded() throws(BPFError) -> [String] {
        let names = try MapRevision.superseded(in: directory)
        for name in names { try directory.remove(directory.mapPath(name)) }
        return names
    }

    /// Uninstalls: detaches every program and removes every pin, the directory included.
    ///
    /// The value must not be used afterwards.
    package func removeEverything() throws(BPFError) {
        try detachAll()
        try directory.removeAll()
    }

    /// The file descriptor of a loaded program, for test runs; valid as long as this value.
    package func descriptor(of program: Program) -> Int32 {
        object(program).descriptor
    }

    func object(_ program: Program) -> ProgramObject {
        guard let object = programs.first(where: { $0.name == program.rawValue }) else {
            preconditionFailure("program \(program.rawValue) is not embedded")
        }
        return object
    }

    func map(_ map: Map) -> PinnedMap {
        guard let index = Map.allCases.firstIndex(of: map) else {
            preconditionFailure("every case is in allCases")
        }
        return maps[index]
    }
}
