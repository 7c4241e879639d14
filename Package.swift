// swift-tools-version: 6.3;(experimentalCGen)
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let baseNames = ["Addressing", "Wire", "Determinism"]
let everyBase: [Target.Dependency] = baseNames.map { .byName(name: $0) }

func base(_ name: String) -> Target {
    .target(name: name, path: "Sources/Base/\(name)", swiftSettings: settings)
}
func core(_ name: String, _ more: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: everyBase + more,
        path: "Sources/Core/\(name)",
        swiftSettings: settings
    )
}
func tests(_ name: String, _ deps: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "\(name)Tests",
        dependencies: [.byName(name: name)] + everyBase + deps,
        path: "Tests/\(name)Tests",
        swiftSettings: settings
    )
}

let package = Package(
    name: "genie-ring",
    dependencies: [.package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0")],
    targets: baseNames.map(base) + [
        core("RingMembership"), core("RingRecords"), core("RingIPAM"), core("NetModel"),
        core("NetForwarding"), core("LocalAPI"),
        .target(name: "CLinux", path: "Sources/Adapters/CLinux"),
        .target(
            name: "Netlink",
            dependencies: ["Addressing", "Wire", "CLinux"],
            path: "Sources/Adapters/Netlink",
            swiftSettings: settings
        ),
        .testTarget(
            name: "NetlinkTests",
            dependencies: ["Netlink"] + everyBase,
            swiftSettings: settings
        ),
        .target(
            name: "SQLiteRows",
            dependencies: [.product(name: "GRDB", package: "GRDB.swift")],
            path: "Sources/Adapters/SQLiteRows",
            swiftSettings: settings
        ),
        .testTarget(name: "SQLiteRowsTests", dependencies: ["SQLiteRows"], swiftSettings: settings),
        .testTarget(name: "AddressingTests", dependencies: ["Addressing"], swiftSettings: settings),
        .testTarget(name: "WireTests", dependencies: everyBase, swiftSettings: settings),
        .testTarget(
            name: "DeterminismTests",
            dependencies: ["Determinism"],
            swiftSettings: settings
        ),
        tests("RingMembership"), tests("RingRecords"), tests("RingIPAM"), tests("NetModel"),
        tests("NetForwarding"),
    ]
)
