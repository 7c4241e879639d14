import CNIProtocol
import Determinism
import NetSelection
import Testing

@Suite("Logical networks: a part of a physical one, dedicated or shared")
struct LogicalNetworkTests {
    private static let bridge = ConfigurationFile(
        name: "40-inner.conf",
        text: """
            {"cniVersion":"1.0.0","name":"inner","type":"bridge","bridge":"br7","isGateway":true,\
            "ipam":{"type":"host-local","subnet":"10.1.0.0/16","rangeStart":"10.1.0.9",\
            "gateway":"10.1.0.1"}}
            """
    )
    private static let macvlan = ConfigurationFile(
        name: "50-outer.conf",
        text: """
            {"cniVersion":"1.0.0","name":"outer","type":"macvlan","master":"ens3",\
            "ipam":{"type":"host-local","ranges":[[{"subnet":"10.2.0.0/16"}]]}}
            """
    )
    private let world = World(files: [bridge, macvlan])

    private func object(
        _ logical: LogicalNetwork,
        _ physical: PhysicalNetwork?
    ) throws(SelectionError) -> NetworkList {
        var world = world.saying("networks", "part")
        world.pod.logicalNetworks["shop/part"] = logical
        world.pod.physicalNetworks["shop/whole"] = physical
        return try world.selection().networks[0].list
    }

    @Test("dedicated: the physical network brings the plugin, the part its addresses")
    func dedicated() throws {
        let physical = PhysicalNetwork(plugin: "inner", subnet: "10.3.0.0/16", isDedicated: true)
        let part = try object(
            LogicalNetwork(physicalNet: "whole", subnet: "10.3.7.0/24"),
            physical
        )
        let ipam = part.plugins[0].object["ipam"]
        #expect(ipam?["subnet"]?.string == "10.3.7.0/24")
        #expect(ipam?["rangeStart"] == nil && ipam?["gateway"] == nil)
        #expect(part.name == "inner.shop.part")
        let bridge = try #require(part.plugins[0].object["bridge"]?.string)
        #expect(bridge != "br7" && bridge.utf8.count <= 15)
        let whole = try object(LogicalNetwork(physicalNet: "whole"), physical)
        #expect(whole.plugins[0].object["ipam"]?["subnet"]?.string == "10.3.0.0/16")
    }

    @Test("shared: two logical networks with two plugins have each its own range and interface")
    func shared() throws {
        let physical = PhysicalNetwork(interface: "ens9", subnet: "10.4.0.0/16", isDedicated: false)
        let inner = try object(
            LogicalNetwork(physicalNet: "whole", subnet: "10.4.1.0/24", plugin: "inner"),
            physical
        )
        let outer = try object(
            LogicalNetwork(physicalNet: "whole", subnet: "10.4.2.0/24", plugin: "outer"),
            physical
        )
        #expect(inner.plugins[0].object["ipam"]?["subnet"]?.string == "10.4.1.0/24")
        let range = outer.plugins[0].object["ipam"]?["ranges"]?.text
        #expect(range == #"[[{"subnet":"10.4.2.0/24"}]]"#)
        #expect(outer.plugins[0].object["master"]?.string == "ens9")
    }

    @Test("a plugin of its own needs no physical network")
    func alone() throws {
        let list = try object(LogicalNetwork(plugin: "inner"), nil)
        #expect(list.text.contains("\"subnet\":\"10.1.0.0/16\"") && list.name == "inner")
    }

    @Test(
        "what does not fit together is refused, and says what",
        arguments: [
            (LogicalNetwork(), nil, "it names no plugin"),
            (LogicalNetwork(physicalNet: "other"), nil, "physical network shop/other"),
            (
                LogicalNetwork(physicalNet: "whole"),
                PhysicalNetwork(subnet: "10.3.0.0/16", isDedicated: true), "names no plugin"
            ),
            (
                LogicalNetwork(physicalNet: "whole", subnet: "10.3.0.0/24"),
                PhysicalNetwork(subnet: "10.3.0.0/16", isDedicated: false), "it names no plugin"
            ),
            (
                LogicalNetwork(physicalNet: "whole", plugin: "inner"),
                PhysicalNetwork(subnet: "10.3.0.0/16", isDedicated: false), "no sub_subnet"
            ),
            (
                LogicalNetwork(physicalNet: "whole", subnet: "10.0.0.0/8"),
                PhysicalNetwork(plugin: "inner", subnet: "10.3.0.0/16", isDedicated: true),
                "does not lie in"
            ),
            (
                LogicalNetwork(physicalNet: "whole", subnet: "fd00::/64"),
                PhysicalNetwork(plugin: "inner", subnet: "10.3.0.0/16", isDedicated: true),
                "does not lie in"
            ),
            (
                LogicalNetwork(physicalNet: "whole", subnet: "10.3.0.0"),
                PhysicalNetwork(plugin: "inner", subnet: "10.3.0.0/16", isDedicated: true),
                "is no CIDR"
            ),
            (LogicalNetwork(subnet: "10.3.0.0/24", plugin: "red/web"), nil, "its own subnet"),
        ] as [(LogicalNetwork, PhysicalNetwork?, String)]
    )
    func refused(logical: LogicalNetwork, physical: PhysicalNetwork?, reason: String) throws {
        let error = #expect(throws: SelectionError.self) { try object(logical, physical) }
        #expect(error.map { "\($0)".contains(reason) } == true, "\(String(describing: error))")
    }

    @Test("the objects are read as CNI-Genie's samples write them, the misspelt one too")
    func objects() throws {
        let spec = try JSONValue(
            parsing: """
                {"refer_nic":"eth0","sharedStaus":{"plugin":"weave","subnet":"10.32.0.0/12",\
                "dedicatedNet":true}}
                """
        )
        #expect(
            PhysicalNetwork(spec: spec)
                == PhysicalNetwork(
                    interface: "eth0",
                    plugin: "weave",
                    subnet: "10.32.0.0/12",
                    isDedicated: true
                )
        )
        let logical = try JSONValue(parsing: #"{"physicalNet":"p","sub_subnet":"10.32.1.0/24"}"#)
        #expect(
            LogicalNetwork(spec: logical)
                == LogicalNetwork(physicalNet: "p", subnet: "10.32.1.0/24")
        )
    }
}
