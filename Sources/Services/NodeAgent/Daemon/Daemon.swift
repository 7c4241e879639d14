import Dispatch
import Glibc
import Logging
import PeerService
import PeerTransport
import Platform
import SQLiteRows

/// Runs the parts of `genied` in order: database, sockets, dataplane, node API, ring.
///
/// Database and sockets come first, since they show whether another daemon runs here. The dataplane
/// comes before the ring: pods that are here keep their connections whatever becomes of it.
struct Daemon: Sendable {
    let options: DaemonOptions

    /// Everything that only a start needs was used by then.
    private static let settledAfter = Duration.seconds(5)

    /// How long runtimes' calls that are under way may take once the daemon is to end; the least
    /// that supervisors wait is 10 s (podman).
    private static let callWait = Duration.seconds(8)

    /// How long a killed process may take to let go of its files.
    private static let lockWait = Duration.seconds(2)

    init(_ options: DaemonOptions) {
        self.options = options
    }

    /// Runs until SIGTERM or SIGINT; leaves the ring politely then.
    ///
    /// - Throws: what keeps the daemon from starting, or from going on.
    func run() async throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "genie.daemon")
        logger.logLevel = options.logLevel
        let store = try await openStore(logger)
        let peer = PeerService(
            settings: options.peer,
            store: store,
            logger: Self.logger("genie.peer", options.logLevel)
        )
        let agent = try NodeAgent(
            settings: options.agent,
            peer: peer,
            store: store,
            logger: Self.logger("genie.agent", options.logLevel)
        )
        if options.peer.secret.isInsecure {
            logger.warning("running without a secret: anybody who reaches the ports can join")
        }
        try await peer.open()
        try await agent.start()
        let api = NodeAPI(agent: agent, settings: options.agent, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await api.run {} }
            group.addTask {
                try await peer.join()
                try await agent.run()
            }
            if let address = options.agent.metricsAddress {
                let metrics = NodeMetrics(agent: agent, peer: peer)
                let logger = Self.logger("genie.metrics", options.logLevel)
                group.addTask { try await metrics.serve(at: address, logger: logger) }
            }
            group.addTask { throw await peer.waitForFailure() }
            group.addTask {
                try await Task.sleep(for: Self.settledAfter)
                ProcessMemory.releaseCleanPages()
                // The group ends with its first task, and this one is no reason to.
                try await Task.sleep(for: .seconds(Int64.max / 2))
            }
            group.addTask { await Signals.wait() }
            // The first to end decides: a signal ends the rest, and so does an error, thrown on.
            let first = await group.nextResult()
            logger.info("leaving")
            if case .success = first { await agent.leave(within: Self.callWait) }
            await peer.stop()
            group.cancelAll()
            try first?.get()
        }
        try store.close()
    }

    /// Opens the database; one that a daemon has which is being killed is free in a moment.
    private func openStore(_ logger: Logger) async throws -> RowStore {
        let start = ContinuousClock.now
        var isTold = false
        while true {
            do throws(RowStoreError) { return try RowStore(path: options.databasePath) } catch {
                guard case .locked = error, start.duration(to: .now) < Self.lockWait else {
                    throw error
                }
                if !isTold { logger.notice("waiting for another process to close the database") }
                isTold = true
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private static func logger(_ label: String, _ level: Logger.Level) -> Logger {
        var logger = Logger(label: label)
        logger.logLevel = level
        return logger
    }
}

/// SIGTERM and SIGINT, as something to wait for.
enum Signals {
    static func wait() async {
        signal(SIGPIPE, SIG_IGN)
        let (stream, continuation) = AsyncStream<Void>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in continuation.yield() }
            source.activate()
            return source
        }
        for await _ in stream { break }
        for source in sources { source.cancel() }
    }
}
