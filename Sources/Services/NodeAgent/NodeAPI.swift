import Addressing
import BPFObjects
import CNIProtocol
import Determinism
import Foundation
import LocalAPI
import LocalServer
package import Logging
import NetModel
import PeerService
import RingMembership
import RingPlacement
import RingRecords

/// The node API: every path that `genie-ring` and `genie` ask for.
package struct NodeAPI: Sendable {
    let agent: NodeAgent
    let settings: AgentSettings
    let logger: Logger

    /// Makes the API of an agent.
    package init(agent: NodeAgent, settings: AgentSettings, logger: Logger) {
        self.agent = agent
        self.settings = settings
        self.logger = logger
    }

    /// Serves the socket until the task is cancelled; `isListening` is called once it answers.
    ///
    /// - Throws: where the socket cannot be had.
    package func run(isListening: @escaping @Sendable () -> Void) async throws {
        let server = LocalServer(
            path: settings.socketPath,
            groupID: settings.socketGroupID,
            logger: logger,
            isListening: isListening
        ) { request in
            await answer(request)
        }
        try await server.run()
    }

    private func answer(_ request: LocalServer.Request) async -> LocalServer.Response {
        do throws(AgentError) {
            return try await route(request)
        } catch {
            let body = ErrorAnswer(code: error.code, message: error.description)
            return Self.json(body, status: error.status)
        }
    }

    private func route(
        _ request: LocalServer.Request
    ) async throws(AgentError) -> LocalServer.Response {
        let parts = request.segments
        if parts.starts(with: ["v1", "watch"]) { return try await watch(request) }
        guard (2...3).contains(parts.count), parts[0] == "v1" else {
            throw .noSuchPath(request.path)
        }
        let name = parts.count == 3 ? parts[2] : nil
        switch (request.method, parts[1], name) {
        case ("GET", "version", nil): return Self.json(VersionStatus(node: settings.nodeName))
        case ("GET", "members", nil): return Self.json(try await agent.memberList())
        case ("GET", "members", "events"): return Self.json(try await memberEvents(request))
        case ("GET", "keys", nil):
            let isAgreed = request.queryValue("agreed") == "true"
            return Self.json(try await agent.keyList(isAgreed: isAgreed))
        case ("POST", "keys", nil):
            return Self.json(try await agent.installKey(try Self.readKey(request)))
        case ("PUT", "keys", "sealing"):
            return Self.json(try await agent.useKey(try Self.read(request)))
        case ("DELETE", "keys", let name?):
            let isForced = request.queryValue("force") == "true"
            return Self.json(try await agent.removeKey(name, isForced: isForced))
        case ("GET", "transport", nil): return Self.json(await agent.transportStatus())
        case ("GET", "ring", nil): return Self.json(try await agent.ringStatus())
        case ("GET", "ring", "recovery"): return Self.json(try await agent.recoveryStatus())
        case ("POST", "ring", "recovery"):
            return Self.json(try await agent.recover(try Self.read(request)))
        case ("GET", "dataplane", nil):
            let hasMaps = request.queryValue("maps") != "no"
            return Self.json(try await agent.dataplaneStatus(hasMaps: hasMaps))
        case ("POST", "trace", nil): return Self.json(try await agent.trace(try Self.read(request)))
        case ("GET", "trace", nil): return Self.json(try await agent.sightings())
        case ("GET", "endpoints", nil):
            return Self.json(
                try await agent.endpointList(
                    group: request.queryValue("group"),
                    try Self.consistency(request)
                )
            )
        case ("GET", "vpcs", nil):
            return Self.json(VPCList(vpcs: try await agent.catalog.vpcs().map(\.payload)))
        case ("POST", "vpcs", nil):
            let wanted: CreateVPC = try Self.read(request)
            let vpc = try await agent.catalog.createVPC(
                wanted.name,
                vni: wanted.vni,
                isOpen: wanted.isOpen ?? false
            )
            return Self.json(vpc.payload)
        case ("DELETE", "vpcs", let name?):
            try await agent.catalog.deleteVPC(name)
            return Self.json(VersionStatus(node: settings.nodeName))
        case ("POST", "groups", nil):
            return Self.json(try await createGroup(try Self.read(request)))
        case ("DELETE", "groups", let name?):
            try await deleteGroup(name)
            return Self.json(VersionStatus(node: settings.nodeName))
        case (_, "registers", let name): return try await registers(request, name)
        case ("GET", "ipam", nil):
            return Self.json(try await agent.ipamStatus(group: request.queryValue("group")))
        case ("GET", "ipam", "findings"):
            return Self.json(try await agent.ipamFindings(group: request.queryValue("group")))
        case ("DELETE", "nodes", let name?):
            let isForced = request.queryValue("force") == "true"
            return Self.json(try await agent.removeNode(name, isForced: isForced))
        case ("POST", "cni", nil): return await serveCNI(request)
        case ("POST", "cni", "replay"):
            return Self.json(try await agent.replay(try Self.read(request)))
        case ("GET", "pods", nil): return Self.json(await agent.podList())
        case ("DELETE", "pods", nil):
            return Self.json(try await agent.forget(pod: request.queryValue("pod") ?? ""))
        case ("GET", "pods", "explain"):
            return Self.json(try await agent.explain(pod: request.queryValue("pod") ?? ""))
        default: throw .noSuchPath("\(request.method) \(request.path)")
        }
    }

    private func registers(
        _ request: LocalServer.Request,
        _ name: String?
    ) async throws(AgentError) -> LocalServer.Response {
        switch (request.method, name) {
        case ("GET", nil):
            return Self.json(
                try await agent.registers(prefix: request.queryValue("prefix") ?? "")
            )
        case ("GET", let name?):
            return Self.json(
                try await agent.register(
                    name,
                    after: try Self.number("after", request),
                    waitMilliseconds: try Self.number("waitMilliseconds", request) ?? 0
                )
            )
        case ("POST", nil): return Self.json(try await agent.setRegister(try Self.read(request)))
        default: throw .noSuchPath("\(request.method) \(request.path)")
        }
    }

    private func memberEvents(
        _ request: LocalServer.Request
    ) async throws(AgentError) -> MemberEvents {
        try await agent.memberEvents(
            after: try Self.number("after", request),
            waitMilliseconds: try Self.number("waitMilliseconds", request) ?? 0
        )
    }

    static func number<Number: FixedWidthInteger>(
        _ name: String,
        _ request: LocalServer.Request
    ) throws(AgentError) -> Number? {
        guard let text = request.queryValue(name) else { return nil }
        guard let number = Number(text) else { throw .badRequest("\(name) is no number") }
        return number
    }

    private func createGroup(_ wanted: CreateGroup) async throws(AgentError) -> VPCList.GroupItem {
        let reference = try Self.reference(wanted.name)
        let subnet = try Self.subnet(wanted.subnet)
        let secondSubnet = try wanted.secondSubnet.map { text throws(AgentError) in
            try Self.subnet(text)
        }
        try await agent.refuse([subnet] + [secondSubnet].compactMap(\.self), in: reference)
        let group = try await agent.catalog.createGroup(
            reference,
            subnet: subnet,
            secondSubnet: secondSubnet,
            exclusions: try (wanted.exclusions ?? []).map { text throws(AgentError) in
                guard let range = AddressRange(text) else {
                    throw .model(.badExclusion(String(text.prefix(80))))
                }
                return range
            }
        )
        return group.payload(vpc: reference.vpc)
    }

    private func deleteGroup(_ name: String) async throws(AgentError) {
        let reference = try Self.reference(name)
        let vpc = try await agent.catalog.vpc(reference.vpc)
        do { _ = try vpc.group(reference.group) } catch { throw .model(error) }
        // An ADD that is under way looks at the group again after it has told of its endpoint:
        // either it is seen here, or it sees that the group is gone.
        let sets = try await agent.sets(reference, .quorum)
        // What a node tells that was taken out of the ring is void.
        let members = await agent.peer.snapshot()?.configuration
        // The nodes themselves go when the group does.
        let count = sets.filter { members?.member($0.origin) != nil }.flatMap(\.records)
            .compactMap { try? Endpoint(encoded: $0.content) }
            .count { $0.containerID != AttachmentKey.node.containerID }
        guard count == 0 else { throw .groupInUse(group: name, endpoints: count) }
        try await agent.catalog.deleteGroup(reference)
    }

    private func serveCNI(_ request: LocalServer.Request) async -> LocalServer.Response {
        let result: Result<[UInt8], CNIError>
        if let call = try? JSONDecoder().decode(CNICall.self, from: Data(request.body)) {
            result = await agent.serve(call)
        } else {
            result = .failure(
                CNIError(
                    .decodingFailure,
                    "the call cannot be read: genie and genied "
                        + "may be of different releases"
                )
            )
        }
        switch result {
        case .success(let bytes): return LocalServer.Response(status: 200, body: bytes)
        case .failure(let error): return Self.json(error, status: 422)
        }
    }

    private static func subnet(_ text: String) throws(AgentError) -> Prefix {
        guard let subnet = Prefix(text) else { throw .model(.badSubnet(String(text.prefix(80)))) }
        return subnet
    }

    private static func reference(_ name: String) throws(AgentError) -> GroupReference {
        do { return try GroupReference(name) } catch { throw .model(error) }
    }

    private static func read<Value: Decodable>(
        _ request: LocalServer.Request
    ) throws(AgentError) -> Value {
        do { return try NodeAgent.decode(Value.self, request.body) } catch {
            throw .badRequest("\(error)")
        }
    }

    /// Says nothing of what it cannot read, since that may be a key.
    private static func readKey(
        _ request: LocalServer.Request
    ) throws(AgentError) -> InstallKey {
        do {
            return try JSONDecoder().decode(InstallKey.self, from: Data(request.body))
        } catch {
            throw .badKey
        }
    }

    static func json(_ value: some Encodable, status: Int = 200) -> LocalServer.Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = (try? encoder.encode(value)).map(Array.init) ?? []
        return LocalServer.Response(status: status, body: body)
    }
}

extension VPC {
    var payload: VPCList.Item {
        VPCList.Item(
            name: name,
            vni: vni.number,
            isOpen: isOpen ? true : nil,
            groups: groups.map { $0.payload(vpc: name) }
        )
    }
}

extension PodGroup {
    func payload(vpc: String) -> VPCList.GroupItem {
        VPCList.GroupItem(
            vpc: vpc,
            name: name,
            subnet: subnet.description,
            gateway: gateway.description,
            secondSubnet: secondSubnet?.description,
            secondGateway: secondSubnet?.gateway.description,
            exclusions: exclusions.isEmpty ? nil : exclusions.map(\.description)
        )
    }
}
