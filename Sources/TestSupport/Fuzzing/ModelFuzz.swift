import Addressing
import NetModel
import RingIPAM

/// Laws: what decodes is the same after another turn; what a group says can be planned with.
///
/// The first byte chooses the kind, the rest is the content.
enum ModelFuzz {
    static func run(_ input: [UInt8]) throws(FuzzFinding) {
        guard let kind = input.first else { return }
        let content = Array(input.dropFirst())
        switch kind % 3 {
        case 0:
            guard let endpoint = try? Endpoint(encoded: content) else { return }
            try law((try? Endpoint(encoded: endpoint.encoded)) == endpoint, "\(endpoint)")
        case 1:
            guard let vpc = try? VPC(encoded: content) else { return }
            try law((try? VPC(encoded: vpc.encoded)) == vpc, "\(vpc)")
            for group in vpc.groups {
                for subnet in group.subnets {
                    let plan = BlockPlan(
                        pool: group.id,
                        subnet: subnet,
                        exclusions: group.exclusions
                    )
                    let last = plan.block(plan.countClamped - 1)
                    try law(subnet.contains(last.last), "\(last) of \(subnet)")
                    try law(plan.block(ofKey: plan.registerKey(last)) == last, "\(last)")
                }
            }
        default:
            guard let owner = try? BlockOwner(encoded: content) else { return }
            try law(owner.encoded == content, "an owner has one encoding: \(owner)")
        }
    }

    static var seeds: [FuzzSeed] {
        guard let vni = VNI(5), let group = try? GroupReference(vpc: "red", group: "web"),
            let subnet = Prefix(first: IPAddress(v4: 0x0a64_0000), length: 24),
            let pods = try? PodGroup(id: 9, name: "web", subnet: subnet),
            let mac = MACAddress(bytes: [2, 0, 0, 0, 0, 1])
        else { preconditionFailure("the examples are good") }
        let endpoint = Endpoint(
            group: group,
            vni: vni,
            address: IPAddress(v4: 0x0a64_0005),
            mac: mac,
            vtep: IPAddress(v4: 0x0a00_0001),
            fence: 1,
            containerID: "c",
            interfaceName: "eth0",
            podNamespace: "default",
            podName: "p",
            nodeName: "node-1"
        )
        let owned = BlockOwner(node: FuzzWorld.node(1), fence: 2)
        var seeds = [
            FuzzSeed("endpoint", [0] + endpoint.encoded),
            FuzzSeed("owner", [2] + owned.encoded),
            FuzzSeed("free-block", [2] + BlockOwner(node: nil, fence: 2).encoded),
            FuzzSeed(
                "draining-block",
                [2] + BlockOwner.draining(FuzzWorld.node(1), fence: 2, era: 3).encoded
            ),
        ]
        guard var vpc = try? VPC(name: "red", vni: vni, id: 7), (try? vpc.add(pods)) != nil else {
            preconditionFailure("the example is good")
        }
        seeds.append(FuzzSeed("vpc", [1] + vpc.encoded))
        return seeds
    }
}
