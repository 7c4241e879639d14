import Addressing
import Determinism
import NetModel
import PeerService
import RingIPAM
import RingPeer
import RingRegisters
import SQLiteRows

/// VPCs and pod groups as registers: `vpc/NAME` holds a VPC with its groups, `vni/NUMBER` the name
/// of the VPC that has the number.
///
/// Every change is a compare-and-set against the version that was read, tried again a bounded
/// number of times when others change the same register.
struct NetworkCatalog: Sendable {
    let peer: PeerService
    let store: RowStore

    /// VPCs as last read, so that a pod can start while no steward answers.
    ///
    /// Part of the layout.
    private static let cacheSpace = 11
    private static let attemptsMax = 8
    private static let creationsMax = 4

    /// All VPCs, by name.
    func vpcs() async throws(AgentError) -> [VPC] {
        var vpcs: [VPC] = []
        for key in try await list("vpc/") {
            if let vpc = try await stored(key).vpc { vpcs.append(vpc) }
        }
        return vpcs.sorted { $0.name < $1.name }
    }

    /// One VPC; when the registers do not answer, the last known one with those of its groups for
    /// which `isInUse` holds on this node.
    ///
    /// A group with endpoints cannot be deleted, so one that is in use here is still what it was;
    /// any other may have been deleted, and its addresses given out anew under another number.
    func vpc(
        _ name: String,
        isInUse: (PodGroup) -> Bool = { _ in false }
    ) async throws(AgentError) -> VPC {
        try await versioned(name, isInUse: isInUse).vpc
    }

    /// The same with the version of its register; 0 for the last known one.
    func versioned(
        _ name: String,
        isInUse: (PodGroup) -> Bool = { _ in false }
    ) async throws(AgentError) -> (vpc: VPC, version: UInt64) {
        do {
            try DNSLabel.check(name, kind: "VPC")
        } catch {
            throw .model(error)
        }
        do throws(AgentError) {
            let (version, stored) = try await stored(key(name))
            guard let vpc = stored else {
                let known = (try? await list("vpc/")) ?? []
                throw .unknownVPC(name: name, known: known.map { String($0.dropFirst(4)) })
            }
            try cache(vpc)
            return (vpc, version)
        } catch {
            guard case .registers = error, let cached = cached(name) else { throw error }
            let kept = cached.keeping(isInUse)
            guard !kept.groups.isEmpty else { throw error }
            return (kept, 0)
        }
    }

    /// What the stewards told that a VPC's register holds; nil where the VPC is gone, or was
    /// written by a later release.
    func vpc(in value: RegisterValue) throws(AgentError) -> VPC? {
        guard let payload = value.payload, let vpc = try? VPC(encoded: payload) else { return nil }
        try cache(vpc)
        return vpc
    }

    /// The register of a VPC.
    static func register(of vpc: String) -> String { "vpc/\(vpc)" }

    /// The register that names the VPC that is open to the nodes, of which there is one at most.
    static let openRegister = "open/vpc"

    /// The VPC that a value of ``openRegister`` names.
    static func openName(in value: RegisterValue) -> String? {
        value.payload.map { String(decoding: $0.prefix { $0 != 0x20 }, as: UTF8.self) }
    }

    /// Creates a VPC with the wanted number, or with a free one.
    func createVPC(
        _ name: String,
        vni wanted: UInt32?,
        isOpen: Bool = false
    ) async throws(AgentError) -> VPC {
        if let wanted, VNI(wanted) == nil { throw .model(.badVNI(Int(wanted))) }
        do { try DNSLabel.check(name, kind: "VPC") } catch { throw .model(error) }
        for _ in 0..<Self.creationsMax {
            do throws(AgentError) {
                return try await create(name, wanted, isOpen)
            } catch {
                // An earlier creation of that name that broke off was fenced, which moved the
                // version on: from there it goes.
                guard case .contended = error else { throw error }
            }
        }
        throw .contended(name: "VPC \(name)")
    }

    private func create(
        _ name: String,
        _ wanted: UInt32?,
        _ isOpen: Bool
    ) async throws(AgentError) -> VPC {
        let current = try await stored(key(name))
        guard current.vpc == nil else { throw .vpcExists(name: name) }
        var generator = SystemRandomNumberGenerator()
        let id: UInt64 = generator.next()
        if isOpen { try await claimOpen(for: name, id: id) }
        let vni: VNI
        do throws(AgentError) {
            vni = try await claimVNI(for: name, id: id, wanted: wanted)
        } catch {
            if isOpen { try? await release(Self.openRegister, of: name, id: id) }
            throw error
        }
        let vpc: VPC
        do { vpc = try VPC(name: name, vni: vni, id: id, isOpen: isOpen) } catch {
            throw .model(error)
        }
        guard try await set(key(name), over: current.version, to: vpc.encoded) else {
            // The number is let go only here, where the VPC certainly does not exist with it; after
            // any other failure it may, and the claim stays until ``isFenced(_:_:)`` finds out.
            try? await releaseClaims(vpc)
            guard try await stored(key(name)).vpc == nil else { throw .vpcExists(name: name) }
            throw .contended(name: "VPC \(name)")
        }
        return vpc
    }

    /// Deletes a VPC that has no groups.
    func deleteVPC(_ name: String) async throws(AgentError) {
        do { try DNSLabel.check(name, kind: "VPC") } catch { throw .model(error) }
        let vpc = try await change(name) { vpc throws(NetModelError) in
            try vpc.checkUnused()
            return nil
        }
        try await releaseClaims(vpc)
    }

    /// Adds a group to a VPC.
    func createGroup(
        _ reference: GroupReference,
        subnet: Prefix,
        secondSubnet: Prefix? = nil,
        exclusions: [AddressRange] = []
    ) async throws(AgentError) -> PodGroup {
        var generator = SystemRandomNumberGenerator()
        let group: PodGroup
        do throws(NetModelError) {
            group = try PodGroup(
                id: generator.next(),
                name: reference.group,
                subnet: subnet,
                secondSubnet: secondSubnet,
                exclusions: exclusions
            )
            // Without exclusions every subnet has room: sizes that have none are refused above.
            let full = group.subnets.first { subnet in
                let plan = BlockPlan(pool: group.id, subnet: subnet, exclusions: exclusions)
                return !exclusions.isEmpty
                    && plan.candidates(for: NodeID(high: 0, low: 0)).isEmpty
            }
            if let full { throw .nothingLeft(full) }
        } catch {
            throw .model(error)
        }
        _ = try await change(reference.vpc) { vpc throws(NetModelError) in
            var changed = vpc
            try changed.add(group)
            return changed
        }
        return group
    }

    /// Takes a group out of its VPC.
    func deleteGroup(_ reference: GroupReference) async throws(AgentError) {
        _ = try await change(reference.vpc) { vpc throws(NetModelError) in
            var changed = vpc
            try changed.remove(reference.group)
            return changed
        }
    }

    private func key(_ name: String) -> String { "vpc/\(name)" }

    /// Changes a VPC's register; `body` gives the new VPC, or nil to delete it.
    private func change(
        _ name: String,
        _ body: (VPC) throws(NetModelError) -> VPC?
    ) async throws(AgentError) -> VPC {
        for _ in 0..<Self.attemptsMax {
            let current = try await stored(key(name))
            guard let vpc = current.vpc else {
                let known = (try? await list("vpc/")) ?? []
                throw .unknownVPC(name: name, known: known.map { String($0.dropFirst(4)) })
            }
            let changed: VPC?
            do throws(NetModelError) { changed = try body(vpc) } catch { throw .model(error) }
            if try await set(key(name), over: current.version, to: changed?.encoded) { return vpc }
        }
        throw .contended(name: "VPC \(name)")
    }

    /// What the register of a VNI holds: which VPC has the number, this very one and no namesake.
    private static func claim(_ name: String, _ id: UInt64) -> [UInt8] {
        Array("\(name) \(String(id, radix: 16))".utf8)
    }

    private func claimVNI(
        for name: String,
        id: UInt64,
        wanted: UInt32?
    ) async throws(AgentError) -> VNI {
        let taken = SortedSet(try await list("vni/").compactMap { UInt32($0.dropFirst(4)) })
        // Spread by the name's hash, so that creations at the same time rarely collide.
        let start = UInt32(truncatingIfNeeded: StableHash.of(name.utf8)) % 1_000_000
        let candidates: [UInt32] =
            wanted.map { [$0] }
            ?? (0..<UInt32(taken.count + Self.attemptsMax)).map { 1 + (start + $0) % VNI.max }
        for number in candidates where wanted != nil || !taken.contains(number) {
            guard let vni = VNI(number) else { continue }
            let current = try await read("vni/\(number)")
            if let claim = current.payload {
                let owner = String(decoding: claim.prefix { $0 != 0x20 }, as: UTF8.self)
                guard wanted != nil else { continue }
                guard try await isFenced(owner, claim) else {
                    throw .vniTaken(number: number, owner: owner)
                }
            }
            let claim = Self.claim(name, id)
            if try await set("vni/\(number)", over: current.version, to: claim) { return vni }
        }
        throw .contended(name: "the VNIs")
    }

    /// Whether a VNI is claimed by a creation or deletion that broke off, and that cannot come to
    /// another end any more.
    ///
    /// A creation reads the VPC's register before it claims the number and writes it over that
    /// version. The register's version is moved on here, with nothing in it still: from then on
    /// that write fails, so the number can be given to another without ever belonging to two.
    private func isFenced(_ owner: String, _ claim: [UInt8]) async throws(AgentError) -> Bool {
        let current = try await stored(key(owner))
        if let vpc = current.vpc { return Self.claim(owner, vpc.id) != claim }
        return try await set(key(owner), over: current.version, to: nil)
    }

    private func claimOpen(for name: String, id: UInt64) async throws(AgentError) {
        let current = try await read(Self.openRegister)
        if let owner = Self.openName(in: current), let claim = current.payload {
            guard try await isFenced(owner, claim) else { throw .openTaken(owner: owner) }
        }
        let claim = Self.claim(name, id)
        guard try await set(Self.openRegister, over: current.version, to: claim) else {
            throw .contended(name: "the open VPC")
        }
    }

    private func releaseClaims(_ vpc: VPC) async throws(AgentError) {
        try await release("vni/\(vpc.vni)", of: vpc.name, id: vpc.id)
        if vpc.isOpen { try await release(Self.openRegister, of: vpc.name, id: vpc.id) }
    }

    /// Gives a register up that the VPC has claimed, unless another one has it by now.
    private func release(_ key: String, of name: String, id: UInt64) async throws(AgentError) {
        let current = try await read(key)
        guard current.payload == Self.claim(name, id) else { return }
        _ = try await set(key, over: current.version, to: nil)
    }

    private func stored(_ key: String) async throws(AgentError) -> (version: UInt64, vpc: VPC?) {
        let value = try await read(key)
        guard let payload = value.payload else { return (value.version, nil) }
        guard let vpc = try? VPC(encoded: payload) else {
            throw .registers(.refused("\(key) holds what this release cannot read"))
        }
        return (value.version, vpc)
    }

    private func read(_ key: String) async throws(AgentError) -> RegisterValue {
        do throws(RegisterFailure) { return try await peer.read(key) } catch {
            throw .registers(error)
        }
    }

    private func list(_ prefix: String) async throws(AgentError) -> [String] {
        do throws(RegisterFailure) { return try await peer.list(prefix) } catch {
            throw .registers(error)
        }
    }

    /// Whether the register was set; false when its version had moved on.
    private func set(
        _ key: String,
        over version: UInt64,
        to content: [UInt8]?
    ) async throws(AgentError) -> Bool {
        do throws(RegisterFailure) {
            switch try await peer.compareAndSet(key, expectedVersion: version, content: content) {
            case .committed: return true
            case .conflict: return false
            }
        } catch {
            throw .registers(error)
        }
    }

    private func cache(_ vpc: VPC) throws(AgentError) {
        guard cached(vpc.name) != vpc else { return }
        let row = StoredRow(
            space: Self.cacheSpace,
            key: Array(vpc.name.utf8),
            value: vpc.encoded
        )
        do throws(RowStoreError) { try store.write([row]) } catch { throw .storage(error) }
    }

    /// The VPCs as they were read here last, by name; one may have changed or gone since.
    func lastKnown() -> [VPC] {
        let rows = (try? store.rows(space: Self.cacheSpace)) ?? []
        return rows.compactMap { $0.value.flatMap { try? VPC(encoded: $0) } }
            .sorted { $0.name < $1.name }
    }

    private func cached(_ name: String) -> VPC? {
        guard let rows = try? store.rows(space: Self.cacheSpace) else { return nil }
        let row = rows.first { $0.key == Array(name.utf8) }
        return row?.value.flatMap { try? VPC(encoded: $0) }
    }
}
