import Addressing
import Glibc
import Logging
import Netlink
import PeerService
import PeerTransport
import RingPlacement

/// Why the daemon cannot run as it was told.
enum DaemonError: Error, CustomStringConvertible {
    case notRoot
    case noSecret
    case secretAndInsecure
    case badAddress(String)
    case badSeed(String)
    case unresolvedSeed(String, detail: String)
    case badNodeName(String)
    case badZone(String)
    case badMetadata(String)
    case badSlots(Int)
    case noUplinkAddress(uplink: String)
    /// All nodes of a ring have addresses of one family.
    case otherFamily(IPAddress, seed: IPAddress)
    case noUplink(uplink: String, known: [String])
    case sameUplinkTwice(String)
    case unknownGroup(String)
    case badLogLevel(String)
    case badDataDirectory(String, detail: String)
    case badMetricsAddress(String)

    var description: String {
        switch self {
        case .notRoot:
            "genied needs root: it makes interfaces and loads BPF programs; start it with sudo or as "
                + "a privileged container"
        case .noSecret:
            "no secret: name the cluster's with --secret FILE (make one with 'genie-ring secret new "
                + "FILE'), or say --insecure to run without"
        case .secretAndInsecure: "--secret and --insecure exclude each other: give one"
        case .badAddress(let text):
            "--address '\(text)' is no address of a node: write it like 10.0.0.1 or "
                + "fd00::1"
        case .badSeed(let text): "--join '\(text)' is not HOST:PORT: write it like 10.0.0.1:7940"
        case .unresolvedSeed(let text, let detail):
            "--join '\(text)' cannot be resolved (\(detail)): name an address, or mend the name"
        case .badNodeName(let text):
            "node name '\(text)' is longer than 63 bytes or empty: choose one with --node-name"
        case .badMetadata(let text):
            "metadata '\(text)' is longer than \(PeerSettings.metadataBytesMax) bytes or has control "
                + "characters in it: say less with --metadata"
        case .badSlots(let count):
            "--slots \(count) is no power of two up to 65536: leave it out, or say 4096 for a ring of "
                + "more than 500 nodes"
        case .badZone(let text): "zone '\(text)' is longer than 63 bytes: choose a shorter one"
        case .noUplinkAddress(let uplink):
            "uplink \(uplink) has no address: give it one, or name it with --address"
        case .otherFamily(let own, let seed):
            "this node would be known as \(own), and the ring's \(seed) is of the other family: give the "
                + "uplink an address of that family, or name it with --address"
        case .noUplink(let uplink, let known):
            "there is no interface \(uplink): name the underlay's with --uplink (there are "
                + "\(known.joined(separator: ", ")))"
        case .sameUplinkTwice(let uplink): "--uplink \(uplink) is given twice: once is enough"
        case .unknownGroup(let name):
            "there is no group '\(name)' on this machine: make it, or leave --socket-group out"
        case .badLogLevel(let text):
            "--log-level '\(text)' is none of trace, debug, info, notice, warning, error"
        case .badMetricsAddress(let text):
            "--metrics-address '\(text)' is no address of this node: write it like 127.0.0.1, "
                + "127.0.0.1:7941 or [::1]:7941"
        case .badDataDirectory(let path, let detail):
            "cannot use data directory \(path) (\(detail)): name another with --data-dir"
        }
    }
}

/// The daemon's options, checked.
struct DaemonOptions: Sendable {
    let peer: PeerSettings
    let agent: AgentSettings
    let databasePath: String
    let logLevel: Logger.Level

    init(_ command: GeniedCommand) throws {
        guard geteuid() == 0 else { throw DaemonError.notRoot }
        guard let level = Logger.Level(rawValue: command.logLevel) else {
            throw DaemonError.badLogLevel(command.logLevel)
        }
        logLevel = level
        let name = command.nodeName ?? Self.hostName()
        guard (1...63).contains(name.utf8.count) else { throw DaemonError.badNodeName(name) }
        guard command.zone.utf8.count <= 63 else { throw DaemonError.badZone(command.zone) }
        guard command.metadata.utf8.count <= PeerSettings.metadataBytesMax,
            command.metadata.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }
            )
        else { throw DaemonError.badMetadata(String(command.metadata.prefix(80))) }
        guard PeerSettings.isSlotCount(command.slots) else {
            throw DaemonError.badSlots(command.slots)
        }
        let secret = try Self.secret(command)
        let address = try Self.address(command)
        peer = PeerSettings(
            listen: SocketAddress(address: address, port: command.port),
            seeds: try command.join.map(Self.resolve),
            isFounder: command.bootstrap,
            slotCount: command.slots,
            secret: secret,
            nodeName: name,
            zone: command.zone,
            metadata: command.metadata
        )
        let dataDirectory = try Self.prepare(command.dataDir)
        agent = AgentSettings(
            nodeName: name,
            uplinks: command.uplink,
            uplinkChoice: command.uplinkMode,
            hookChoice: command.tcHook,
            vtep: address,
            isAddressOfUplink: command.address == nil,
            socketPath: command.socket,
            socketGroupID: try command.socketGroup.map(Self.groupID),
            pinDirectory: command.pinDir,
            spoolDirectory: command.cniSpool,
            pluginLockPath: "\(dataDirectory)/plugins.lock",
            failedCallsDirectory: "\(dataDirectory)/cni-failed",
            podFactsPath: command.podFacts,
            publishLevel: command.publishLevel,
            metricsAddress: try command.metricsAddress.map(Self.metricsAddress),
            hasEndpointMetrics: command.endpointMetrics
        )
        databasePath = "\(dataDirectory)/genie.db"
    }

    private static func secret(_ command: GeniedCommand) throws -> ClusterSecret {
        switch (command.secret, command.insecure) {
        case (nil, false): throw DaemonError.noSecret
        case (.some, true): throw DaemonError.secretAndInsecure
        case (nil, true): return .insecure
        case (let path?, false): return try ClusterSecret(contentsOf: path)
        }
    }

    /// The address that was named, or one of the uplink; of the family that the seeds are of, since
    /// all nodes of a ring are of one.
    private static func address(_ command: GeniedCommand) throws -> IPAddress {
        // A name may stand for addresses of both families.
        let literal = command.join.compactMap { SocketAddress($0) }
        let families = Set(literal.map(\.address.isV4))
        let links = try uplinks(command)
        if let text = command.address {
            guard let address = IPAddress(text), address.isNodeAddress else {
                throw DaemonError.badAddress(text)
            }
            guard families.isEmpty || families.contains(address.isV4) else {
                throw DaemonError.otherFamily(address, seed: literal[0].address)
            }
            return address
        }
        guard links[0].name == command.uplink[0] else {
            let known = try Links.list().map(\.name)
            throw DaemonError.noUplink(uplink: command.uplink[0], known: known)
        }
        let addresses = try Links.addresses(links[0].index).map(\.address)
        let usable = addresses.filter(\.isNodeAddress)
        guard let first = usable.first(where: \.isV4) ?? usable.first else {
            throw DaemonError.noUplinkAddress(uplink: links[0].name)
        }
        guard !families.isEmpty, !families.contains(first.isV4) else { return first }
        guard let other = usable.first(where: { families.contains($0.isV4) }) else {
            throw DaemonError.otherFamily(first, seed: literal[0].address)
        }
        return other
    }

    /// The uplinks that are there, at least one: the node follows the others when they come.
    private static func uplinks(_ command: GeniedCommand) throws -> [LinkInfo] {
        let names = command.uplink
        if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
            throw DaemonError.sameUplinkTwice(twice)
        }
        let links = try Links.list()
        let present = names.compactMap { name in links.first { $0.name == name } }
        guard !present.isEmpty else {
            throw DaemonError.noUplink(uplink: names[0], known: links.map(\.name))
        }
        return present
    }

    /// An address as it stands, or the first address of a name, of IPv4 where it has one.
    private static func resolve(_ text: String) throws -> SocketAddress {
        if let address = SocketAddress(text) { return address }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...]), colon != text.startIndex
        else { throw DaemonError.badSeed(text) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(String(text[..<colon]), nil, &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard status == 0 else {
            throw DaemonError.unresolvedSeed(text, detail: String(cString: gai_strerror(status)))
        }
        var addresses: [IPAddress] = []
        var next = found
        while let entry = next?.pointee {
            if let address = entry.ai_addr.flatMap(Self.address) { addresses.append(address) }
            next = entry.ai_next
        }
        guard let first = addresses.first(where: \.isV4) ?? addresses.first else {
            throw DaemonError.unresolvedSeed(text, detail: "it has no address")
        }
        return SocketAddress(address: first, port: port)
    }

    private static func address(_ name: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        switch Int32(name.pointee.sa_family) {
        case AF_INET:
            name.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                IPAddress(v4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            name.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { name in
                withUnsafeBytes(of: name.pointee.sin6_addr) { IPAddress(bytes: $0) }
            }
        default: nil
        }
    }

    /// An address with its port, or with the usual one.
    private static func metricsAddress(_ text: String) throws -> SocketAddress {
        if let address = SocketAddress(text) { return address }
        guard let address = IPAddress(text) else { throw DaemonError.badMetricsAddress(text) }
        return SocketAddress(address: address, port: NodeMetrics.portDefault)
    }

    private static func groupID(_ name: String) throws -> UInt32 {
        guard let group = getgrnam(name) else { throw DaemonError.unknownGroup(name) }
        return group.pointee.gr_gid
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Makes the folder where it is missing; its parents must exist.
    private static func prepare(_ path: String) throws -> String {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw DaemonError.badDataDirectory(path, detail: String(cString: strerror(errno)))
        }
        guard access(path, W_OK) == 0 else {
            throw DaemonError.badDataDirectory(path, detail: String(cString: strerror(errno)))
        }
        return path
    }
}
