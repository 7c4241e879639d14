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
func base(_ name: String) -> Target {
    .target(name: name, path: "Sources/Base/\(name)", swiftSettings: settings)
}
func tests(_ name: String, _ deps: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: deps, path: "Tests/\(name)", swiftSettings: settings)
}
let package = Package(
    name: "genie-ring",
    targets: baseNames.map(base) + [
        tests("AddressingTests", ["Addressing"]),
        tests("WireTests", ["Wire", "Determinism"]),
        tests("DeterminismTests", ["Determinism"]),
    ]
)
