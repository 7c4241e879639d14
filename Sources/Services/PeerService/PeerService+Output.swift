import Addressing
import Determinism
import Dispatch
import Logging
import PeerTransport
import RingMembership
import RingPeer
import RingPlacement
import RingRegisters
import SQLiteRows

extension PeerService {
    func carryOut(_ effects: [PeerEffect]) {
        var packets: [(bytes: [UInt8], to: SocketAddress)] = []
        for effect in effects {
            switch effect {
            case .datagram(let bytes, let address): packets.append((bytes, address))
            case .frame(let bytes, let node, let address): send(bytes, to: node, at: address)
            case .persist(let rows, let then) where rows.isEmpty && !isWriting && unwritten.isEmpty:
                // It waits for the writes before it only, and there are none.
                carryOut(then)
            case .persist(let rows, let then): unwritten.add(rows, then: then)
            case .answer(let token, let answer):
                callers.removeValue(forKey: token)?.resume(returning: answer)
            case .event(let event): note(event)
            }
        }
        if !packets.isEmpty { datagrams?.send(packets) }
        writeSoon()
        takeOwnFrames()
    }

    /// Behind what is being done: the peer is never entered twice.
    private func takeOwnFrames() {
        guard let node = identity?.node, !isTakingOwnFrames else { return }
        isTakingOwnFrames = true
        while !ownFrames.isEmpty {
            let frames = ownFrames
            ownFrames = []
            let now = now
            change { peer in
                for frame in frames { _ = peer.receive(frame: frame, from: node, now: now) }
            }
        }
        isTakingOwnFrames = false
    }

    private func send(_ bytes: [UInt8], to node: NodeID, at address: SocketAddress) {
        if node == identity?.node { return ownFrames.append(bytes) }
        switch streams?.send(bytes, to: node) {
        case .sent, nil: break
        case .notConnected:
            if outbox.keep(bytes, for: node, at: address) { streams?.dial(address) }
        case .queueFull, .oversized:
            logger.warning(
                "frame not sent",
                metadata: ["peer": "\(node.short)", "bytes": "\(bytes.count)"]
            )
        }
    }

    /// Writes what waits once what the queue has to do already is done: it may have more to write,
    /// and whoever misses a transaction waits for all of it and for the next.
    private func writeSoon() {
        guard !isWriting, !isWriteDue, !unwritten.isEmpty else { return }
        isWriteDue = true
        executor.queue.async { @Sendable [weak self] in
            self?.assumeIsolated { service in
                service.isWriteDue = false
                service.writeNext()
            }
        }
    }

    /// Writes what waits in one transaction, then carries out what waited for it.
    private func writeNext() {
        guard !isWriting, !unwritten.isEmpty, failure == nil else { return }
        isWriting = true
        let batch = unwritten.takeAll()
        let rows = batch.flatMap(\.rows).map {
            StoredRow(space: $0.space.rawValue, key: $0.key, value: $0.value)
        }
        let (store, queue) = (store, executor.queue)
        storageQueue.async { @Sendable [weak self] in
            let result = Result { () throws(RowStoreError) in try store.write(rows) }
            let then = batch.flatMap(\.then)
            // Straight to the peer's queue: a task would go by way of the shared pool of threads.
            queue.async { @Sendable [weak self] in
                self?.assumeIsolated { $0.written(result, then: then) }
            }
        }
    }

    private func written(_ result: Result<Void, RowStoreError>, then: [PeerEffect]) {
        isWriting = false
        switch result {
        case .success:
            carryOut(then)
            writeSoon()
        case .failure(let error):
            fail(PeerServiceError.storageFailed(error))
        }
    }

    private func note(_ event: PeerEvent) {
        switch event {
        case .member(let member):
            memberLog.note(member, at: Self.wallClock)
            tellWatchers()
            logger.info(
                "member changed",
                metadata: [
                    "peer": "\(member.fact.id.short)", "name": "\(member.fact.name)",
                    "status": "\(member.fact.status)", "boot": "\(member.fact.boot)",
                    "incarnation": "\(member.fact.incarnation)",
                ]
            )
        case .datagramsBlocked(let member):
            logger.warning(
                "member answers over TCP only: let UDP through between the nodes' ring ports",
                metadata: [
                    "peer": "\(member.fact.id.short)", "name": "\(member.fact.name)",
                    "address": "\(member.fact.address)",
                ]
            )
        case .configuration(let configuration):
            logger.info(
                "ring configuration in force",
                metadata: [
                    "epoch": "\(configuration.epoch)", "members": "\(configuration.members.count)",
                ]
            )
        case .register(let key, let value): noteRegister(key, value)
        case .records(let set): noteTopic(set)
        case .recordsRetired(let topic, let node): noteTopicRetired(topic, node)
        case .synced(let topic): noteTopicComplete(topic)
        case .identityTaken:
            // Written down: the next start would raise the boot counter past the other's.
            try? DurableState.markTaken(store)
            fail(PeerServiceError.identityTaken(path: store.path))
        case .twin:
            fail(PeerServiceError.twin(path: store.path))
        case .registerUnreadable(let key):
            logger.error(
                "register unreadable: it was written by a later release, which this node needs",
                metadata: ["register": "\(key)"]
            )
        case .registersGivenUp(let storage):
            logger.warning(
                """
                registers of this node were given up: the ring was recovered without them; it goes \
                on as a member, and its database is another storage from now on
                """,
                metadata: ["storage": "\(storage)"]
            )
        case .registryForked(let node, let registry):
            logger.error(
                """
                peer follows another registry: the ring was recovered twice; keep one side, and on \
                each node of the other stop genied, move its data directory away and let it join anew
                """,
                metadata: ["peer": "\(node.short)", "registry": "\(registry.short)"]
            )
        case .refusedFrame(let node, let reason):
            refusals.frames += 1
            logger.log(
                level: refusalLog.level(of: reason, from: node, now: now),
                "frame refused",
                metadata: ["peer": "\(node.short)", "reason": "\(reason)"]
            )
        }
        notifyChange()
    }

    /// Answers everybody who waits: what they asked for may be done, or may yet be by others.
    func interruptCallers() {
        for (token, caller) in callers {
            callers[token] = nil
            caller.resume(returning: .register(.indeterminate))
        }
    }

    func fail(_ error: any Error) {
        guard failure == nil else { return }
        failure = error
        interruptCallers()
        logger.critical("peer cannot go on", metadata: ["reason": "\(error)"])
        for waiter in failed { waiter.resume(returning: error) }
        failed = []
    }
}
