extension AcceptanceListTests {
    /// What CNI-Genie was for, G1 to G24.
    static let genie: [Item] = [
        Item(
            id: "G1",
            what: "one plugin for a pod",
            tests: [
                "A1.1: cni, networks and default_plugin, each with what a pod gets"
            ]
        ),
        Item(
            id: "G2",
            what: "several plugins for a pod",
            tests: [
                "three interfaces of three plugins: each answers through itself, one default route"
            ]
        ),
        Item(
            id: "G3",
            what: "one plugin twice",
            tests: [
                "the same network twice has two interfaces and two addresses, and DEL frees both"
            ]
        ),
        Item(
            id: "G4",
            what: "names of interfaces",
            tests: [
                "N12: the interface asked for is given once, whoever else asks for it",
                "A1.1: cni, networks and default_plugin, each with what a pod gets",
            ]
        ),
        Item(
            id: "G5",
            what: "default plugins",
            tests: [
                "A1.1: cni, networks and default_plugin, each with what a pod gets"
            ]
        ),
        Item(
            id: "G6",
            what: "no default",
            tests: [
                "no network at all is an error that says where one is looked for"
            ]
        ),
        Item(
            id: "G7",
            what: "the least loaded",
            tests: [
                "definitions, logical networks, the namespace's word and the least loaded network",
                "cAdvisor tells what interfaces carry; where it does not, the node's counters do",
            ]
        ),
        Item(
            id: "G8",
            what: "annotations without an API server",
            tests: [
                "K8S_ANNOT is JSON, in which a semicolon parts nothing",
                "three interfaces of three plugins: each answers through itself, one default route",
            ]
        ),
        Item(
            id: "G9",
            what: "multi-ip-preferences",
            tests: [
                "multi-ip-preferences: nothing for one network, the first address of each for more"
            ]
        ),
        Item(
            id: "G10",
            what: "one merged result",
            tests: [
                "a merged result keeps every address on its own interface, and one default route"
            ]
        ),
        Item(
            id: "G11",
            what: "roll-back",
            tests: [
                "each plugin fails, before and after its work: ADD undoes all, DEL is tried again"
            ]
        ),
        Item(
            id: "G12",
            what: "NPWG networks",
            tests: [
                "N1, N2: a list of names and a list of objects say the same"
            ]
        ),
        Item(
            id: "G13",
            what: "NPWG status",
            tests: [
                "N17, N19, N20: one entry an attachment, one default, the pod's own interface"
            ]
        ),
        Item(
            id: "G14",
            what: "a definition without a configuration",
            tests: [
                "N3: the definition's own configuration, else the list on the disk with that name"
            ]
        ),
        Item(
            id: "G15",
            what: "wanted addresses",
            tests: [
                "definitions, logical networks, the namespace's word and the least loaded network",
                "groups with exclusions, wanted addresses, ipam and its check",
            ]
        ),
        Item(
            id: "G16",
            what: "the cluster's network",
            tests: [
                "A1.1 row 1: NPWG's annotation goes before cni, beside the default network"
            ]
        ),
        Item(
            id: "G17",
            what: "plugins that need no file",
            tests: [
                "bridge and macvlan need no file; the interface asked for is theirs"
            ],
            missing: "sriov: it needs a device that has it"
        ),
        Item(
            id: "G18",
            what: "dedicated logical networks",
            tests: [
                "dedicated: the physical network brings the plugin, the part its addresses",
                "definitions, logical networks, the namespace's word and the least loaded network",
            ]
        ),
        Item(
            id: "G19",
            what: "shared logical networks",
            tests: [
                "shared: two logical networks with two plugins have each its own range and interface"
            ]
        ),
        Item(
            id: "G20",
            what: "admission",
            tests: [],
            missing: "needs an API server"
        ),
        Item(
            id: "G21",
            what: "policy between networks",
            tests: [],
            missing: "needs an API server"
        ),
        Item(
            id: "G22",
            what: "plugins of others",
            tests: [
                "containerd and podman: three interfaces of three plugins, ping and TCP over each",
                "C13: behind a bridge genie adds to its result; before a portmap it is the result",
            ]
        ),
        Item(
            id: "G23",
            what: "hostPort",
            tests: [
                "portMappings, bandwidth and mac reach the chain members that declare them"
            ]
        ),
        Item(
            id: "G24",
            what: "installer",
            tests: [],
            missing: "there is none yet"
        ),
    ]
}
