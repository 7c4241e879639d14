// swift-tools-version: 6.3;(experimentalCGen)
// experimentalCGen: the BPF objects are compiled by a build-tool plugin into C sources.
import PackageDescription

// The layers and their arrows (everything else is an error, and the functions below refuse it):
//   Executables -> one Service;  Services -> Core, Adapters, Base;  Core, Adapters -> Base.
// Core modules never import adapters, adapters never import one another except C shims, and the
// ring's cores and the network's cores do not know each other.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

let baseModules = ["Addressing", "Wire", "Determinism"]

/// Which cores a core may import; `RingPeer` is the ring's five made one, and selection reads and
/// makes configurations of the protocol.
let coreModules: [String: [String]] = [
    "RingMembership": [], "RingPlacement": ["RingRegisters"], "RingRegisters": [],
    "RingRecords": [],
    "RingIPAM": [],
    "RingPeer": [
        "RingMembership", "RingPlacement", "RingRegisters", "RingRecords", "RingIPAM",
    ],
    "NetModel": [], "NetForwarding": [], "CNIProtocol": [], "LocalAPI": [],
    "NetSelection": ["CNIProtocol"],
]

/// Which C shims an adapter is made of.
let adapterShims: [String: [String]] = [
    "Netlink": ["CLinux"], "BPFObjects": ["CBPFPrograms", "CGenieABI", "CLibBPF"],
    "Platform": ["CLinux"], "SQLiteRows": [], "PeerTransport": ["CLinux", "COpenSSL"],
    "LocalSocket": [],
    "LocalServer": [], "Telemetry": [], "PluginProcess": ["CLinux"],
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)

func names(_ modules: [String]) -> [Target.Dependency] { modules.map { .byName(name: $0) } }

func base(_ name: String) -> Target {
    // Wire writes what the other two are made of.
    .target(
        name: name,
        dependencies: name == "Wire" ? ["Addressing", "Determinism"] : [],
        path: "Sources/Base/\(name)",
        swiftSettings: settings
    )
}

func core(_ name: String) -> Target {
    .target(
        name: name,
        dependencies: names(baseModules + coreModules[name, default: []]),
        path: "Sources/Core/\(name)",
        swiftSettings: settings
    )
}

func adapter(_ name: String, _ library: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: names(baseModules + adapterShims[name, default: []]) + library,
        path: "Sources/Adapters/\(name)",
        swiftSettings: settings
    )
}

func service(_ name: String, _ modules: [String], _ library: [Target.Dependency] = []) -> Target {
    let isAgent = name == "NodeAgent"
    precondition(
        modules.allSatisfy {
            coreModules[$0] != nil || adapterShims[$0] != nil || (isAgent && $0 == "PeerService")
        },
        "\(name) may import cores and adapters only"
    )
    return .target(
        name: name,
        dependencies: names(baseModules + modules) + library,
        path: "Sources/Services/\(name)",
        swiftSettings: settings
    )
}

func tool(_ name: String, _ service: String, isStatic: Bool = false) -> Target {
    .executableTarget(
        name: name,
        dependencies: names([service]),
        path: "Sources/Executables/\(name)",
        swiftSettings: settings,
        linkerSettings: isStatic
            ? [.unsafeFlags(["-static-executable"], .when(configuration: .release))] : []
    )
}

func support(
    _ name: String,
    _ modules: [String],
    _ library: [Target.Dependency] = []
) -> Target {
    .target(
        name: name,
        dependencies: names(baseModules + modules) + library,
        path: "Sources/TestSupport/\(name)",
        swiftSettings: settings
    )
}

func tests(_ name: String, _ modules: [String], _ library: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name,
        dependencies: names(baseModules + modules) + library,
        path: "Tests/\(name)",
        swiftSettings: settings
    )
}

let package = Package(
    name: "genie-ring",
    products: [
        .executable(name: "genied", targets: ["genied"]),
        .executable(name: "genie", targets: ["genie"]),
        .executable(name: "genie-ring", targets: ["genie-ring"]),
        .executable(name: "genie-sim", targets: ["genie-sim"]),
        .executable(name: "genie-bench", targets: ["genie-bench"]),
        .executable(name: "genie-drill", targets: ["genie-drill"]),
        // Preloaded by the tests that take a daemon's power away.
        .library(name: "PowerSwitch", type: .dynamic, targets: ["CPowerSwitch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird",
            exact: "2.28.1",
            traits: []
        ),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    ],
    targets: baseModules.map(base) + coreModules.keys.sorted().map(core) + [
        .systemLibrary(name: "CGenieABI", path: "bpf/include"),
        .systemLibrary(
            name: "CLibBPF",
            path: "Sources/Adapters/CLibBPF",
            pkgConfig: "libbpf",
            providers: [.apt(["libbpf-dev"])]
        ),
        .systemLibrary(
            name: "COpenSSL",
            path: "Sources/Adapters/COpenSSL",
            pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]
        ),
        .plugin(name: "BPFCompile", capability: .buildTool(), path: "Sources/Plugins/BPFCompile"),
        .target(
            name: "CBPFPrograms",
            path: "Sources/Adapters/CBPFPrograms",
            plugins: ["BPFCompile"]
        ),
        .target(name: "CLinux", path: "Sources/Adapters/CLinux"),
        adapter("Netlink"),
        adapter("Platform"),
        adapter("BPFObjects"),
        adapter("SQLiteRows", [.product(name: "GRDB", package: "GRDB.swift")]),
        adapter("PeerTransport"),
        adapter("LocalSocket"),
        adapter("PluginProcess"),
        adapter(
            "LocalServer",
            [
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                logging,
            ]
        ),
        adapter("Telemetry"),
        service(
            "PeerService",
            coreModules["RingPeer", default: []] + ["RingPeer", "PeerTransport", "SQLiteRows"],
            [logging]
        ),
        service(
            "NodeAgent",
            [
                "PeerService", "RingPeer", "RingMembership", "RingPlacement", "RingRegisters",
                "RingRecords", "RingIPAM", "NetModel", "NetForwarding", "CNIProtocol", "LocalAPI",
                "Netlink", "BPFObjects", "SQLiteRows", "LocalSocket", "LocalServer",
                "PeerTransport", "Platform", "Telemetry", "NetSelection", "PluginProcess",
            ],
            [logging, argumentParser]
        ),
        service("CNIPlugin", ["CNIProtocol", "LocalSocket"]),
        service(
            "Inspection",
            ["LocalAPI", "LocalSocket", "Netlink", "PeerTransport"],
            [argumentParser]
        ),
        tool("genied", "NodeAgent"),
        tool("genie", "CNIPlugin", isStatic: true),
        tool("genie-ring", "Inspection"),
        tool("genie-bench", "Bench"),
        tool("genie-drill", "Drill"),
        support(
            "Simulation",
            coreModules["RingPeer", default: []] + ["HistoryCheck", "RingPeer", "Statistics"]
        ),
        support("SimulationTool", ["Simulation", "RingMembership"], [argumentParser]),
        tool("genie-sim", "SimulationTool"),
        support("LabNet", []),
        support("MetricsText", []),
        support(
            "Fuzzing",
            coreModules["RingPeer", default: []] + [
                "RingPeer", "NetModel", "PeerTransport", "CNIProtocol", "NetSelection",
            ]
        ),
        support("Statistics", []),
        support(
            "Bench",
            [
                "CBenchProcess", "CBenchTraffic", "CNetworkNamespace", "Statistics", "CGenieABI",
                "CLibBPF",
                "CNIProtocol", "LocalAPI", "LocalSocket", "PeerService", "PeerTransport",
                "PluginProcess", "RingIPAM", "RingPeer", "SQLiteRows",
            ],
            [argumentParser, logging]
        ),
        support("HistoryCheck", []),
        support(
            "Drill",
            ["Bench", "CNIProtocol", "HistoryCheck", "LocalAPI", "LocalSocket"],
            [argumentParser]
        ),
        .target(name: "CBenchProcess", path: "Sources/TestSupport/CBenchProcess"),
        .target(name: "CBenchTraffic", path: "Sources/TestSupport/CBenchTraffic"),
        .target(name: "CNetworkNamespace", path: "Sources/TestSupport/CNetworkNamespace"),
        .target(name: "CPowerSwitch", path: "Sources/TestSupport/CPowerSwitch"),
        .testTarget(name: "TidyTests", path: "Tests/TidyTests", swiftSettings: settings),
        tests("AddressingTests", []),
        tests("WireTests", []),
        tests("DeterminismTests", []),
        tests("RingMembershipTests", ["RingMembership"]),
        tests("RingPlacementTests", ["RingPlacement", "RingRegisters"]),
        tests("RingRegistersTests", ["RingRegisters"]),
        tests("RingRecordsTests", ["RingRecords"]),
        tests("RingIPAMTests", ["RingIPAM"]),
        tests(
            "RingPeerTests",
            coreModules["RingPeer", default: []] + ["RingPeer", "Simulation"]
        ),
        tests(
            "SimulationTests",
            [
                "HistoryCheck", "Simulation", "RingMembership", "RingPeer", "RingRegisters",
                "Statistics", "genie-sim",
            ]
        ),
        tests("NetModelTests", ["NetModel"]),
        tests("NetForwardingTests", ["NetForwarding"]),
        tests("CNIProtocolTests", ["CNIProtocol"]),
        tests("NetSelectionTests", ["NetSelection", "CNIProtocol"]),
        tests("SQLiteRowsTests", ["SQLiteRows"]),
        tests("NetlinkTests", ["Netlink"]),
        tests("PeerTransportTests", ["PeerTransport", "CLinux", "COpenSSL"]),
        tests("FuzzTests", ["Fuzzing", "RingRegisters"]),
        tests("LocalSocketTests", ["LocalSocket"]),
        tests("PluginProcessTests", ["PluginProcess"]),
        tests("LocalServerTests", ["LocalServer", "LocalSocket"], [logging]),
        tests("TelemetryTests", ["Telemetry", "MetricsText"]),
        tests(
            "PeerServiceTests",
            [
                "PeerService", "PeerTransport", "RingMembership", "RingPlacement", "RingRecords",
                "RingRegisters", "SQLiteRows",
            ],
            [logging]
        ),
        tests("CNIPluginTests", ["CNIPlugin", "CNIProtocol", "LocalSocket", "genie"]),
        tests("BenchTests", ["Bench", "Statistics", "genie-bench"]),
        tests("HistoryCheckTests", ["HistoryCheck"]),
        tests("DrillTests", ["Bench", "Drill", "HistoryCheck"]),
        tests(
            "LabTests",
            [
                "CGenieABI", "CLibBPF", "CNetworkNamespace", "LabNet", "LocalAPI", "MetricsText",
                "SQLiteRows", "genied", "genie", "genie-ring",
            ]
        ),
        tests(
            "DataplaneTests",
            ["BPFObjects", "CGenieABI", "CLibBPF", "CNetworkNamespace"]
        ),
    ]
)

// Links only with the fuzzer (`scripts/fuzz`), so it is there only when that asks for it.
if Context.environment["GENIE_FUZZ"] == "1" {
    package.targets.append(
        .executableTarget(
            name: "genie-fuzz",
            dependencies: ["Fuzzing"],
            path: "Sources/TestSupport/Fuzzer",
            swiftSettings: settings
        )
    )
}
