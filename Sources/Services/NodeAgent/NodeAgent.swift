import Addressing
import BPFObjects
import Determinism
package import Logging
import NetForwarding
import NetModel
import Netlink
package import PeerService
import RingPlacement
import RingRecords
package import SQLiteRows

/// The node's agent: attaches pods, keeps the dataplane's maps as the ring says, answers the node
/// API.
///
/// Reconciliation looks at levels and not at edges: whatever changed, the wanted rows are computed
/// anew and compared with the maps. What is pinned is adopted and never flushed.
package actor NodeAgent {
    /// A queue of its own: what it does waits for the disk and the kernel, and would keep other
    /// requests waiting on the threads that read them.
    private let executor = QueueExecutor(label: "genie.agent")

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    /// Calls of the kernel, at most so many at once.
    let kernelGate = BlockingGate(width: 64)
    /// Plugins of others, which may take a minute each.
    let pluginGate = BlockingGate(width: 128)

    let settings: AgentSettings
    let peer: PeerService
    let store: RowStore
    let logger: Logger
    let catalog: NetworkCatalog
    var journal: Journal
    var dataplane: Dataplane?
    /// The uplinks that are there.
    var uplinks: [UplinkState] = []
    /// How received packets are merged, for people.
    var merging = ""
    var busy: Set<AttachmentKey> = []
    var busyPods: Set<AttachmentKey> = []
    /// Calls of runtimes that are being served.
    var callsUnderWay = 0
    /// Whether the daemon is about to end.
    var isLeaving = false
    var uplinkWatch = UplinkWatch()
    /// What came of runtimes' calls.
    var callCounters = CNICallCounters()
    /// Pods that could not be taken off their networks.
    var podRetries: [AttachmentKey: PodRetry] = [:]
    /// Where it is known what pods ask for.
    let podFacts: any PodFactsSource
    var loads = InterfaceLoads()
    /// A stranger that may keep its callers waiting.
    let loadGate = BlockingGate(width: 2)
    var loadQuestion: LoadQuestion?
    var toldWarnings: Set<String> = []
    var watchedTopics = SortedMap<Topic, VNI>()
    var activeVPCs = SortedMap<String, VPC>()
    /// The versions of the registers that the active VPCs were read from.
    var activeVersions = SortedMap<String, UInt64>()
    var liveness = DataplaneLiveness()
    var fences = FenceLedger()
    var echo: DataplaneEcho?
    /// VPCs some of whose rows the maps have no room for, and why.
    var incomplete = SortedMap<VNI, BPFError>()
    /// Whether a packet is being traced: one at a time.
    var isTracing = false
    /// Endpoints of other nodes, as the last pass read them.
    var endpointReader = EndpointReader()
    /// Where packets to whole groups go, as the map has it; nil until it was read.
    var places: [GroupKey: [EndpointRow.Place]]?
    var isOpening = false
    /// Pods whose program is a filter yet, which took less time, oldest first.
    var quickPods: [QuickPod] = []
    /// Hears when interfaces are gone; without it, deletions take longer.
    let departures: LinkDepartures?
    /// When an interface last came or went.
    var interfacesChanged = ContinuousClock.now
    /// Subnets of the open VPC that hold addresses of nodes, and were told of.
    var toldOverlaps: Set<Prefix> = []
    /// What was last told of the node's place in the open VPC.
    var toldOpenFailure: String?
    /// The rules that are in force for what pods of the open VPC send beyond it.
    var masquerade: NodeMasquerade?
    /// Whether this process has taken them away.
    var isMasqueradeRemoved = false
    /// When they were last put in place.
    var masqueradeSet = ContinuousClock.now
    /// The pass over the maps that has not begun yet.
    var queuedPass: Task<Void, Never>?
    /// The pass that was asked for last.
    var lastPass: Task<Void, Never>?

    /// What is known of one underlay interface.
    struct UplinkState {
        let name: String
        let index: UInt32
        let mtu: Int
        let mode: UplinkMode
        let reason: String
        let hook: AttachHook
        let hookReason: String
        /// Whether it is a veth, which hands over super-packets.
        let isVeth: Bool
    }

    /// Makes an agent that does nothing until ``start()``.
    ///
    /// - Throws: where the journal cannot be read.
    package init(
        settings: AgentSettings,
        peer: PeerService,
        store: RowStore,
        logger: Logger
    ) throws {
        self.settings = settings
        self.peer = peer
        self.store = store
        self.logger = logger
        catalog = NetworkCatalog(peer: peer, store: store)
        journal = try Journal(store)
        podFacts = FilePodFacts(path: settings.podFactsPath)
        do throws(NetlinkError) { departures = try LinkDepartures() } catch {
            logger.warning(
                "cannot hear of interfaces that go: deletions take longer",
                metadata: ["reason": "\(error)"]
            )
            departures = nil
        }
    }

    /// Loads or adopts the dataplane and takes the node's pods over.
    ///
    /// - Throws: what keeps the dataplane from working: privileges, the BPF file system, a kernel
    ///   feature, the uplink.
    package func start() throws {
        let all = try Links.list()
        let links = settings.uplinks.compactMap { name in all.first { $0.name == name } }
        guard !links.isEmpty else {
            throw NetlinkError.linkMissing(name: settings.uplinks[0], netnsPath: nil)
        }
        let dataplane = try Dataplane(
            pinDirectory: settings.pinDirectory,
            trafficControl: settings.hookChoice.choice
        )
        try dataplane.setNode(nodeConfiguration(links.map { ($0.index, Int($0.mtu)) }))
        try attachUplinks(dataplane, links)
        self.dataplane = dataplane
        try adoptPods(dataplane)
        let superseded = try dataplane.removeSuperseded()
        if !superseded.isEmpty {
            logger.notice(
                "maps of an earlier release were replaced; what they counted begins anew",
                metadata: ["maps": "\(superseded.joined(separator: ","))"]
            )
        }
        echo = try DataplaneEcho(bind: settings.vtep)
        logger.info(
            "dataplane ready",
            metadata: [
                "uplinks": "\(uplinks.map(\.name).joined(separator: ","))",
                "mode": "\(uplinks.map(\.reason).joined(separator: "; "))",
                "pods": "\(journal.attachments.keys.count { $0 != .node })",
            ]
        )
    }

    /// Keeps the maps as the ring says until the task is cancelled.
    ///
    /// - Throws: where the node has to start anew, since its address changed.
    package func run() async throws {
        await finishInterrupted()
        await releaseOrphans()
        await publishAll()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in self.peer.changes { await self.reconcile() } }
            group.addTask { for await _ in self.peer.registerChanges { await self.takeVPCs() } }
            group.addTask {
                while !Task.isCancelled {
                    await self.finishInterrupted()
                    await self.sampleLoads()
                    await self.followVPCs()
                    await self.reconcileOpen()
                    await self.reconcile()
                    try? await Task.sleep(for: .seconds(5))
                }
            }
            group.addTask { try await self.watchUplink() }
            group.addTask { await self.repairPods() }
            group.addTask { await self.reread() }
            group.addTask { await self.watchDataplanes() }
            group.addTask { await self.settleHooks() }
            // The first that fails ends the others.
            while try await group.next() != nil {}
        }
    }

    /// Attaches the programs of the uplinks that are there, takes those of others off, and tells
    /// the programs where packets leave.
    ///
    /// - Throws: the first failure; the uplinks that could be used are used all the same.
    func attachUplinks(_ dataplane: Dataplane, _ links: [LinkInfo]) throws {
        var attached: [UplinkState] = []
        var failure: (any Error)?
        for link in links {
            do { attached.append(try attachUplink(dataplane, link)) } catch {
                failure = failure ?? error
            }
        }
        if let failure, attached.isEmpty { throw failure }
        uplinks = attached
        try openNode(dataplane)
        try dataplane.detachUplinks(except: Set(links.map(\.index)))
        mergeAgain(dataplane)
        if let failure { throw failure }
    }

    /// Makes the device that merges anew, where an uplink needs it.
    func mergeAgain(_ dataplane: Dataplane) {
        // Those that receive through XDP have no need of it.
        let hasTC = uplinks.contains { $0.mode == .trafficControlOnly }
        merging = makeMergeDevice(dataplane, hasTC ? .trafficControlOnly : .nativeXDP)
    }

    func attachUplink(
        _ dataplane: Dataplane,
        _ link: LinkInfo
    ) throws -> UplinkState {
        let isVeth = (try? Links.driver(of: link.name)) == "veth"
        let (wanted, why) = chooseMode(isVeth: isVeth)
        if wanted == .nativeXDP {
            // Without GRO behind XDP every segment climbs the stack alone.
            try? Offload.gro.set(true, on: link.name)
        }
        let attachment = try dataplane.attachUplink(ifindex: link.index, mode: wanted)
        if let reason = attachment.fallbackReason, settings.uplinkChoice == .xdp {
            // What is attached stays: pods that are here go on.
            throw AgentError.dataplane(reason)
        }
        return UplinkState(
            name: link.name,
            index: link.index,
            mtu: Int(link.mtu),
            mode: attachment.mode,
            reason: attachment.fallbackReason.map { "no native XDP: \($0)" } ?? why,
            hook: attachment.hook,
            hookReason: settings.hookChoice.reason(for: attachment.hook),
            isVeth: isVeth
        )
    }

    /// XDP pays where packets come off a wire.
    ///
    /// A veth hands over super-packets, and a program on it would make the sender cut them up
    /// first: 17 Gb/s through tc against 6 through XDP, measured over a pair of veths with one TCP
    /// stream.
    private func chooseMode(isVeth: Bool) -> (UplinkMode, String) {
        switch settings.uplinkChoice {
        case .xdp: return (.nativeXDP, "as told by --uplink-mode")
        case .tc: return (.trafficControlOnly, "as told by --uplink-mode")
        case .auto:
            return isVeth
                ? (.trafficControlOnly, "XDP on a veth cuts super-packets up and copies the rest")
                : (.nativeXDP, "native XDP is available")
        }
    }

    /// Puts this release's program into the attachments of the pods that are already here.
    ///
    /// A pod whose interface is gone (the machine was restarted) is marked for removal, and what is
    /// pinned for pods that nobody recorded is taken off.
    private func adoptPods(_ dataplane: Dataplane) throws {
        // Only what is certainly not there counts as gone; a name may have been changed.
        let links = try Links.list()
        for var attachment in journal.all where attachment.state == .attached {
            let link = links.first { $0.index == attachment.hostIndex }
            if let link, link.name == attachment.hostInterface || Self.isOurs(link) {
                do throws(BPFError) {
                    // Filters become links later: nothing is to wait for hundreds of them.
                    try program(attachment, dataplane, isQuick: true)
                    continue
                } catch {
                    // It may have gone since it was listed, with its pod's namespace.
                    guard try !Links.list().contains(where: { $0.index == link.index }) else {
                        throw error
                    }
                }
            }
            logger.notice(
                "interface of a recorded pod is gone",
                metadata: [
                    "container_id": "\(attachment.containerID)",
                    "interface": "\(attachment.hostInterface)",
                ]
            )
            attachment.state = .removing
            try journal.record(attachment)
        }
        let recorded = SortedSet(journal.attachments.values.map(\.hostInterface))
        for attachment in try dataplane.attachments() {
            guard case .pod(let key) = attachment.role, !recorded.contains(key) else { continue }
            // The interface first: without its program a pod would reach the node.
            _ = try Links.delete(key)
            try dataplane.detachPod(key: key)
        }
        let ports = SortedSet(journal.attachments.values.map(\.hostIndex))
        for port in try dataplane.ports() where !ports.contains(port.ifindex) {
            try dataplane.deletePort(ifindex: port.ifindex)
        }
        try dataplane.settleCounts()
        let vnis = SortedSet(journal.attachments.values.map(\.vni))
        for row in try dataplane.vnis() where !vnis.contains(row.vni.number) {
            try dataplane.deleteVNI(row.vni)
        }
    }

    /// Writes the rows of an attached pod and attaches its program; again is harmless.
    ///
    /// With `isQuick` the program may be a filter, which ``settleHooks()`` makes a link later.
    func program(
        _ attachment: Attachment,
        _ dataplane: Dataplane,
        isQuick: Bool = false
    ) throws(BPFError) {
        let held = attachment.held
        guard let vni = VNI(attachment.vni), !held.isEmpty, let mac = MACAddress(attachment.mac)
        else { preconditionFailure("an attached pod has all of its addresses") }
        try dataplane.putPort(
            PortRow(
                ifindex: attachment.hostIndex,
                vni: vni,
                addresses: held.map { PodAddress(address: $0.address, gateway: $0.gateway) },
                mac: mac,
                gatewayMAC: Self.gatewayMAC,
                generation: 1
            )
        )
        try dataplane.putVNI(VNIRow(vni: vni, gatewayMAC: Self.gatewayMAC))
        for address in held {
            try dataplane.putEndpoint(
                EndpointRow(
                    vni: vni,
                    address: address.address,
                    mac: mac,
                    place: .local(ifindex: attachment.hostIndex),
                    fence: address.fence,
                    group: Self.groupNumber(attachment.vpc, attachment.group)
                )
            )
        }
        let hook = try dataplane.attachPod(
            ifindex: attachment.hostIndex,
            key: attachment.hostInterface,
            isQuick: isQuick
        )
        if isQuick, hook == .clsact, uplinks.first?.hook == .tcx {
            quickPods.append(QuickPod(key: attachment.key))
        }
        if attachment.key == .node { try openNode(dataplane) }
    }

    /// Writes the node's place in the open VPC into its own row, or that it has none.
    func openNode(_ dataplane: Dataplane) throws(BPFError) {
        guard !uplinks.isEmpty else { return }
        try dataplane.setNode(nodeConfiguration(uplinks.map { ($0.index, $0.mtu) }))
    }

    /// Every pod's gateway has this address: it is one hop away and leads into the dataplane.
    static let gatewayMAC = MACAddress(bits: 0x02_67_72_00_00_01)

    /// The node's end of every pod's veth has this one: should its program be missing, the node's
    /// stack takes what pods send to their gateway for somebody else's, and drops it.
    static let hostMAC = MACAddress(bits: 0x02_67_72_00_00_02)

    /// Runs what the kernel may keep waiting on a thread of its own.
    nonisolated func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await kernelGate.run(body)
    }
}
