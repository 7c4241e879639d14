import Addressing
import Determinism
import Dispatch
package import Logging
import PeerTransport
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
package import SQLiteRows
import Wire

/// Runs one ``RingPeer/Peer``: sockets in, effects out, on one serial queue.
///
/// Writes go to the database on a queue of their own, those that wait together in one transaction;
/// what depends on a write is carried out when it is on the disk. A write that fails ends the peer:
/// what it has promised in memory must not outlive what it can keep.
package actor PeerService {
    nonisolated let executor = QueueExecutor(label: "genie.peer")

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    let settings: PeerSettings
    let store: RowStore
    let logger: Logger
    let storageQueue = DispatchQueue(label: "genie.storage")
    var identity: PeerIdentity?
    var stored: [PeerRow] = []
    var storedConfiguration: RingConfiguration?
    var peer: Peer?
    var seal: DatagramSeal?
    var keysEpoch: UInt64 = 0
    var enteredAt = Instant.zero
    var datagrams: DatagramSocket?
    var streams: StreamTransport?
    var timer: (any DispatchSourceTimer)?
    /// The deadline that the timer is set for; nil once it has gone off.
    var timerSetFor: Instant?
    var refusals = Refusals()
    var refusalLog = RefusalLog()
    var outbox = FrameOutbox()
    /// Frames from this node to itself, which are taken in once what is under way is carried out.
    var ownFrames: [[UInt8]] = []
    var isTakingOwnFrames = false
    /// Counts the changes of the peer.
    var turnCount: UInt64 = 0
    var unwritten = WriteBacklog()
    var isWriting = false
    var isWriteDue = false
    var callers: [RequestToken: CheckedContinuation<PeerAnswer, Never>] = [:]
    var nextToken: RequestToken = 1
    var connectedSeeds: [SocketAddress: ConnectionID] = [:]
    var joined: CheckedContinuation<Void, any Error>?
    var failure: (any Error)?
    var failed: [CheckedContinuation<any Error, Never>] = []
    var isStopped = false
    var memberLog = MemberLog(process: 0)
    var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
    var nextWatcher = 0
    /// Topics that the node itself follows, beside those that people do.
    var agentTopics = SortedSet<Topic>()
    var topics = SortedMap<Topic, FollowedTopic>()
    /// The revision that a log of a topic was given last; one that an earlier process gave is
    /// never taken for one of ours.
    var topicCounter: UInt64 = 0
    var topicResyncs: UInt64 = 0
    var registers = SortedMap<String, FollowedRegister>()
    let registerSignal: AsyncStream<Void>.Continuation
    private let signal: AsyncStream<Void>.Continuation

    /// Yields after anything changed that ``snapshot()`` shows; changes that come together yield
    /// once.
    package nonisolated let changes: AsyncStream<Void>

    /// Yields after a register changed that the node itself follows; changes that come together
    /// yield once.
    package nonisolated let registerChanges: AsyncStream<Void>

    /// Makes a peer that does nothing until ``open()``.
    package init(settings: PeerSettings, store: RowStore, logger: Logger) {
        self.settings = settings
        self.store = store
        self.logger = logger
        (changes, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (registerChanges, registerSignal) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
    }

    /// Reads what is durable, raises the boot counter and opens the sockets.
    ///
    /// - Throws: ``PeerServiceError``, ``PeerTransport/TransportError`` or
    ///   ``SQLiteRows/RowStoreError``.
    package func open() throws {
        let durable = try DurableState(startingFrom: store)
        let identity = PeerIdentity(
            node: durable.node,
            storage: durable.storage,
            boot: durable.boot,
            name: settings.nodeName,
            zone: settings.zone,
            metadata: settings.metadata,
            weight: RingMember.weightDefault,
            address: settings.listen
        )
        self.identity = identity
        memberLog = MemberLog(process: UInt64.random(in: 1..<1 << 31))
        stored = durable.rows
        storedConfiguration = durable.configuration
        guard durable.configuration != nil || settings.isFounder || !settings.seeds.isEmpty else {
            throw PeerServiceError.noRing
        }
        if durable.configuration == nil, settings.isFounder, !settings.seeds.isEmpty {
            throw PeerServiceError.bootstrapAndJoin
        }
        try openSockets(identity)
        logger.info(
            "peer started",
            metadata: [
                "node": "\(identity.node)", "boot": "\(identity.boot)",
                "address": "\(identity.address)",
            ]
        )
    }

    /// Takes part in a ring; returns once this peer belongs to one.
    ///
    /// - Throws: ``PeerServiceError`` where the seeds belong to another ring.
    package func join() async throws {
        guard let identity else { preconditionFailure("a peer is opened before it joins") }
        if let configuration = storedConfiguration {
            try enter(configuration)
            greetSeeds()
        } else if settings.isFounder {
            var generator = SystemRandomNumberGenerator()
            try found(identity, RingID(using: &generator))
        } else {
            guard !isStopped else { throw CancellationError() }
            try await withCheckedThrowingContinuation { continuation in
                joined = continuation
                greetSeeds()
            }
        }
    }

    /// Waits until the peer cannot go on, and says why.
    package func waitForFailure() async -> any Error {
        if let failure { return failure }
        if isStopped { return CancellationError() }
        return await withCheckedContinuation { failed.append($0) }
    }

    /// Says good-bye to the others and closes everything; what is written stays written.
    package func stop() async {
        guard !isStopped else { return }
        let now = now
        change { $0.leave(now: now) }
        // Until the last write is down: whoever waits for it is answered, and the file is whole.
        while isWriting || isWriteDue { try? await Task.sleep(for: .milliseconds(5)) }
        isStopped = true
        timer?.cancel()
        datagrams?.close()
        streams?.stop()
        signal.finish()
        registerSignal.finish()
        for register in registers.values {
            for waiter in register.waiters.values { waiter.finish() }
        }
        for watcher in watchers.values { watcher.finish() }
        for topic in topics.values {
            for waiter in topic.waiters.values { waiter.finish() }
        }
        joined?.resume(throwing: CancellationError())
        joined = nil
        for waiter in failed { waiter.resume(returning: CancellationError()) }
        failed = []
        interruptCallers()
    }

    private func found(_ identity: PeerIdentity, _ ring: RingID) throws {
        let configuration = Peer.founding(identity, ring: ring, slotCount: settings.slotCount)
        try store.write([
            StoredRow(
                space: PeerRow.Space.configuration.rawValue,
                key: [],
                value: configuration.encoded
            )
        ])
        logger.notice("founded ring", metadata: ["ring": "\(ring)"])
        try enter(configuration)
    }

    /// Becomes a peer of the ring that `configuration` belongs to.
    func enter(_ configuration: RingConfiguration) throws {
        guard let identity else { return }
        var generator = SystemRandomNumberGenerator()
        do {
            peer = try Peer(
                identity: identity,
                configuration: configuration,
                rows: stored,
                seed: generator.next(),
                now: now
            )
        } catch {
            throw PeerServiceError.unreadableRow(path: store.path, field: error.description)
        }
        stored = []
        enteredAt = now
        adoptKeys(configuration)
        logger.info(
            "entered ring",
            metadata: [
                "ring": "\(configuration.ringID)", "epoch": "\(configuration.epoch)",
            ]
        )
        notifyChange()
        change { $0.tick(now: now) }
    }

    func notifyChange() {
        signal.yield()
    }

    var now: Instant {
        Instant(microseconds: Int64(DispatchTime.now().uptimeNanoseconds / 1_000))
    }

    /// Lets the peer act, carries out what it wants done, and sets the timer anew.
    func change(_ body: (inout Peer) -> Void) {
        guard !isStopped, failure == nil, let end = peer?.act(body) else { return }
        // Before anything is sent: a datagram never names an epoch whose keys are not in force.
        if end.epoch > keysEpoch, let configuration = peer?.configuration {
            adoptKeys(configuration)
        }
        turnCount += 1
        let turn = turnCount
        carryOut(end.effects)
        // What was carried out may have led to a later change, which has set it since.
        if turn == turnCount { setTimer(end.deadline) }
    }

    private func setTimer(_ deadline: Instant) {
        guard !isStopped, deadline != timerSetFor else { return }
        // Setting it costs two wake-ups, and most datagrams change nothing about it.
        timerSetFor = deadline
        let wait = max(1_000, deadline.since(now).microseconds)
        timer?.schedule(
            deadline: .now() + .microseconds(Int(min(wait, 1_000_000))),
            leeway: .microseconds(500)
        )
    }

    private func openSockets(_ identity: PeerIdentity) throws {
        let queue = executor.queue
        let seal = DatagramSeal(
            keyring: Keyring(settings.secret.gossipKey),
            clusterLabel: PeerSettings.clusterLabel
        )
        self.seal = seal
        datagrams = try DatagramSocket(
            queue: queue,
            bind: settings.listen,
            seal: seal,
            onReceived: { @Sendable [weak self] batch in
                self?.assumeIsolated { $0.receive(batch) }
            },
            onPortClosed: { @Sendable [weak self] address in
                self?.assumeIsolated { service in
                    let now = service.now
                    service.change { $0.portClosed(at: address, now: now) }
                }
            },
            onUnknownKey: { @Sendable [weak self] address in
                self?.assumeIsolated { service in
                    let now = service.now
                    service.change { $0.unknownKey(from: address, now: now) }
                }
            }
        )
        streams = try StreamTransport(
            queue: queue,
            identity: identity.node,
            secret: settings.secret,
            clusterLabel: PeerSettings.clusterLabel,
            listen: settings.listen,
            onEvent: { @Sendable [weak self] event in
                self?.assumeIsolated { $0.take(event) }
            }
        )
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { @Sendable [weak self] in
            self?.assumeIsolated { service in
                service.timerSetFor = nil
                let now = service.now
                service.change { $0.tick(now: now) }
            }
        }
        timer.activate()
        self.timer = timer
    }
}

/// How the peer stands after it acted.
private struct PeerTurn {
    let effects: [PeerEffect]
    let deadline: Instant
    let epoch: UInt64
}

extension Peer {
    /// Changes the peer where it is: it has a hundred parts, and a copy would count each of them.
    fileprivate mutating func act(_ body: (inout Peer) -> Void) -> PeerTurn {
        body(&self)
        defer { effects = [] }
        return PeerTurn(effects: effects, deadline: deadline, epoch: configuration.epoch)
    }
}
