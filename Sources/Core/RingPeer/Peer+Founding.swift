import Determinism
import RingIPAM
import RingPlacement
import RingRegisters

/// The founding of a registry, and the way of everybody else into it.
extension Peer {
    /// Begins a registry with what stewards had left and with what members told, durably before
    /// anybody hears of it.
    mutating func found(_ wanted: RingConfiguration, _ left: [RegisterEntry], now: Instant) {
        guard let job = recoveryJob, let report = job.report else { return }
        let entries = foundingEntries(wanted, left, job)
        vouching = nil
        var rows = acceptor.found(wanted.stewards, entries).map {
            PeerRow(space: .acceptor, key: $0.key, value: $0.value)
        }
        rows.append(PeerRow(space: .configuration, key: [], value: wanted.encoded))
        effects.append(.persist(rows, then: []))
        let others = configuration.members.map(\.id).filter { $0 != identity.node }
        // Found before adopted: a configuration never names stewards that are not there.
        recoveryJob = nil
        adopt(wanted, now: now)
        let frames = others.compactMap { frameEffect(.configuration(wanted), to: $0) }
        let answer = PeerEffect.answer(job.token, .recovery(.recovered(wanted, report)))
        effects.append(.persist([], then: frames + [answer]))
    }

    private mutating func foundingEntries(
        _ wanted: RingConfiguration,
        _ left: [RegisterEntry],
        _ job: RecoveryJob
    ) -> [RegisterEntry] {
        var values = SortedMap<String, RegisterValue>()
        for entry in left where entry.key != StewardJob.key {
            values[entry.key] = entry.accepted.value
        }
        var contents = SortedMap<String, [UInt8]?>()
        for (node, testimony) in job.told {
            let held = values[BootRecord.registerKey(node)]?.payload
                .flatMap { try? BootRecord(encoded: $0) }
            // A removal is somebody's word, whatever the node thinks, and a later life than the
            // node remembers is what it has to find.
            let isKnown = held.map { held in
                held.isRemoved
                    || testimony.boot.map { held.boot > $0.boot || held.era > $0.era } ?? true
            }
            if let boot = testimony.boot, isKnown != true {
                contents[BootRecord.registerKey(node)] = boot.encoded
            }
            for block in testimony.blocks {
                let known = contents[block.key] ?? values[block.key]?.payload
                let owner = known.flatMap { try? BlockOwner(encoded: $0) }
                // Of one fence the register's word counts: a block is free after it was owned.
                guard owner.map({ $0.fence < block.owner.fence }) ?? true else { continue }
                contents[block.key] = block.owner.encoded
            }
            let unasked = UnaskedNode.registerKey(node)
            if values[unasked]?.payload != nil { contents[unasked] = .some(nil) }
        }
        for member in configuration.members where job.told[member.id] == nil {
            contents[UnaskedNode.registerKey(member.id)] =
                BlockOwner(node: member.id, fence: 1).encoded
        }
        contents[Self.configurationKey] = wanted.encoded
        for (key, content) in contents {
            values[key] = RegisterValue(
                version: values[key]?.version ?? 0,
                operation: proposer.makeOperationID(),
                payload: content
            )
        }
        return values.map { key, value in
            RegisterEntry(key: key, accepted: accepted(value, wanted.stewards.epoch))
        }
    }

    private func accepted(_ value: RegisterValue, _ epoch: UInt64) -> AcceptedValue {
        let (version, isTooLarge) = value.version.addingReportingOverflow(RegistryEra.versionSkip)
        return AcceptedValue(
            // A proposer counts from one, so no other value ever has this ballot.
            ballot: Ballot(epoch: epoch, counter: 0, proposer: identity.node, boot: identity.boot),
            value: RegisterValue(
                version: isTooLarge ? .max : version,
                operation: value.operation,
                payload: value.payload
            )
        )
    }

    /// Has this peer follow the ring into a registry that was founded anew.
    mutating func enterRegistry(now: Instant) {
        stewardJob = StewardJob(nextAt: now)
        configurationJob.nextAt = now
        allocator.claimsBarredUntil = .zero
        allocator.registryCheck = RegistryCheck(settled: allocator.registryCheck.settled)
        allocator.nextUpkeepAt = now
        if recoveryJob != nil, let node = configuration.stewards.members.first?.node {
            endRecovery(.refused(.behind(node), recoveryJob?.report))
        }
        retireOldAcceptor()
    }

    /// Gives up registers of a registry before this one, with their storage's identity.
    ///
    /// What a recovery copied from is kept until three others have the copy: the founder is alone
    /// with it at first.
    mutating func retireOldAcceptor() {
        guard let group = acceptor.group,
            RegistryEra.number(of: group.epoch)
                < RegistryEra.number(of: configuration.stewards.epoch)
        else { return }
        // Nothing of it is served any more, so nobody has to vouch for it.
        vouching = nil
        acceptor.trust()
        let isCopied =
            acceptor.successor.map {
                RegistryEra.number(of: $0.epoch) > RegistryEra.number(of: group.epoch)
            } ?? false
        guard !isCopied || configuration.stewards.members.count >= 3 else { return }
        let storage = NodeID(using: &generator)
        let rows = acceptor.retire(becoming: storage).map {
            PeerRow(space: .acceptor, key: $0.key, value: $0.value)
        }
        effects.append(.persist(rows, then: [.event(.registersGivenUp(storage: storage))]))
    }

    // MARK: Frames about registers

    /// A message about registers in a frame that names the registry, unless it is the ring's first.
    func registerFrame(_ message: RegisterMessage) -> PeerFrame {
        let registry = configuration.registry
        return registry.recoveries == 0
            ? .register(message.encoded) : .registerOf(registry.id, message.encoded)
    }

    /// Whether a frame about registers is of this peer's registry; who speaks of another one is
    /// told of this one.
    mutating func isOfRegistry(_ id: NodeID?, _ peer: NodeID, now: Instant) -> Bool {
        let own = configuration.registry
        if own.recoveries == 0 ? id == nil : id == own.id { return true }
        tellRegistry(to: peer, now: now)
        return false
    }

    private mutating func tellRegistry(to peer: NodeID, now: Instant) {
        guard now >= nextRegistryTellAt else { return }
        nextRegistryTellAt = now.advanced(by: .milliseconds(500))
        send(.configuration(configuration), to: peer)
    }

    /// Takes in a peer's configuration: adopts one that supersedes, and mends the other's.
    mutating func consider(_ told: RingConfiguration, of peer: NodeID, now: Instant) {
        guard told.ringID == configuration.ringID else { return }
        noteEpoch(told.epoch, of: peer)
        if told.supersedes(configuration) { return adopt(told, now: now) }
        if configuration.registry.follows(told.registry) { tellRegistry(to: peer, now: now) }
        guard told.isForked(from: configuration), now >= nextForkToldAt else { return }
        nextForkToldAt = now.advanced(by: .seconds(10))
        // The other is to know it, too.
        send(.configuration(configuration), to: peer)
        effects.append(.event(.registryForked(peer, told.registry.id)))
    }
}
