import Foundation
import Testing

/// The checkout, as text.
private enum Checkout {
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func files(under folder: String, ending: [String]) throws -> [String] {
        let start = root.appending(path: folder)
        let all = try FileManager.default.subpathsOfDirectory(atPath: start.path)
        return all.filter { path in ending.contains { path.hasSuffix($0) } }
            .map { "\(folder)/\($0)" }.sorted()
    }

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The modules that a Swift file imports.
    static func imports(_ path: String) throws -> [String] {
        try text(path).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"), index <= 2, words.count == index + 2,
                !line.hasPrefix(" "), !line.hasPrefix("//")
            else { return nil }
            return String(words[index + 1])
        }
    }

    /// The modules of a layer: its folders.
    static func modules(_ layer: String) throws -> Set<String> {
        let url = root.appending(path: "Sources/\(layer)")
        return Set(try FileManager.default.contentsOfDirectory(atPath: url.path))
    }
}

@Suite("The house is in order: arrows, bans, sizes")
struct TidyTests {
    private static let baseModules: Set<String> = ["Addressing", "Wire", "Determinism"]

    private func check(_ layer: String, _ isAllowed: (_ module: String, _ import: String) -> Bool)
        throws
    {
        for path in try Checkout.files(under: "Sources/\(layer)", ending: [".swift"]) {
            let module = String(path.split(separator: "/")[2])
            for name in try Checkout.imports(path) where !isAllowed(module, name) {
                Issue.record("\(path) imports \(name)")
            }
        }
    }

    @Test("base imports base and the standard library only")
    func baseArrows() throws {
        try check("Base") { _, name in Self.baseModules.contains(name) }
    }

    @Test(
        "cores import base, RingPeer the ring's five, and the ring and the network not each other"
    )
    func coreArrows() throws {
        try check("Core") { module, name in
            Self.baseModules.contains(name) || (module == "RingPeer" && name.hasPrefix("Ring"))
                // A configuration names the stewards, whose group is the registers' own.
                || (module == "RingPlacement" && name == "RingRegisters")
                // What is selected are configurations of the protocol.
                || (module == "NetSelection" && name == "CNIProtocol")
        }
    }

    /// The node has one database, and its parts number their rows without knowing of each other.
    @Test("no two parts of a node keep their rows under one number")
    func rowSpaces() throws {
        let constant = try Regex(
            "(?:identity|cache)?[sS]pace = ([0-9]+)",
            as: (Substring, Substring).self
        )
        let entry = try Regex("case [a-z]+ = ([0-9]+)", as: (Substring, Substring).self)
        var numbers: [Int] = []
        for path in try Checkout.files(under: "Sources/Services", ending: [".swift"]) {
            let text = try Checkout.text(path)
            numbers += text.matches(of: constant).compactMap { Int($0.output.1) }
        }
        let effects = try Checkout.text("Sources/Core/RingPeer/PeerEffect.swift")
        let spaces = effects.drop { $0 != "{" }
        numbers += spaces.matches(of: entry).compactMap { Int($0.output.1) }
        #expect(numbers.count >= 10, "\(numbers)")
        #expect(Set(numbers).count == numbers.count, "\(numbers.sorted())")
    }

    @Test("adapters import no core, no service, and one another only as C shims")
    func adapterArrows() throws {
        let cores = try Checkout.modules("Core")
        let services = try Checkout.modules("Services")
        let adapters = try Checkout.modules("Adapters").filter { !$0.hasPrefix("C") }
        try check("Adapters") { module, name in
            !cores.contains(name) && !services.contains(name)
                && (!adapters.contains(name) || name == module)
        }
    }

    @Test("of the services only the node agent imports another, the peer; executables import one")
    func serviceArrows() throws {
        let services = try Checkout.modules("Services")
        try check("Services") { module, name in
            !services.contains(name) || (module == "NodeAgent" && name == "PeerService")
        }
        // Programs for developers are made of what tests are made of.
        let parts = services.union(try Checkout.modules("TestSupport"))
        for path in try Checkout.files(under: "Sources/Executables", ending: [".swift"]) {
            let imported = try Checkout.imports(path).filter { parts.contains($0) }
            #expect(imported.count == 1, "\(path)")
            #expect(try Checkout.text(path).split(separator: "\n").count <= 40, "\(path)")
        }
    }

    /// What would make a core behave differently from one run to the next, and what to use instead.
    private static let bans: [(pattern: String, instead: String)] = [
        ("import Foundation", "the standard library"), ("import Dispatch", "effects"),
        ("import Glibc", "an adapter"), ("import Logging", "events"),
        ("Date\\(", "an Instant argument"), ("ContinuousClock", "an Instant argument"),
        ("UUID\\(", "a generator argument"), ("SystemRandomNumberGenerator", "SeededGenerator"),
        ("\\.randomElement\\(\\)", "randomElement(using:)"),
        ("\\.shuffled\\(\\)", "shuffled(using:)"),
        ("\\bTask\\b *[{.]", "effects"), ("\\basync\\b", "effects"), ("\\bprint\\(", "events"),
        ("\\bDictionary<", "SortedMap"), ("\\bSet<", "SortedSet"),
        (": \\[[A-Z][A-Za-z]*: ", "SortedMap"), ("\\bfatalError\\(", "precondition"),
        ("\\blog2?\\(", "an integer table"), ("\\bpow\\(", "an integer table"),
    ]

    @Test("base and cores use nothing that differs between two runs", arguments: bans.indices)
    func banned(index: Int) throws {
        let (pattern, instead) = Self.bans[index]
        let expression = try Regex(pattern)
        for layer in ["Sources/Base", "Sources/Core"] {
            for path in try Checkout.files(under: layer, ending: [".swift"]) {
                for (number, line) in try Checkout.text(path).split(
                    separator: "\n",
                    omittingEmptySubsequences: false
                )
                .enumerated()
                where !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") {
                    if line.contains(expression) {
                        Issue.record("\(path):\(number + 1) has \(pattern); use \(instead)")
                    }
                }
            }
        }
    }

    /// Swift 6.3 compiles it through witness tables otherwise: the simulator took 2.7 times as long.
    @Test("code that is open to other modules is public, so that it is specialized there")
    func inlinableIsPublic() throws {
        let expression = try Regex("@inlinable\\s+package ")
        for path in try Checkout.files(under: "Sources", ending: [".swift"]) {
            #expect(!(try Checkout.text(path).contains(expression)), "\(path)")
        }
    }

    @Test(
        "no file is longer than 500 lines, no comment than 100 characters (the formatter holds the code)"
    )
    func sizes() throws {
        let swift = try Checkout.files(under: "Sources", ending: [".swift"])
        let rest = try Checkout.files(under: "bpf", ending: [".c", ".h"])
        for path in swift + rest {
            let lines = try Checkout.text(path).split(
                separator: "\n",
                omittingEmptySubsequences: false
            )
            #expect(lines.count <= 500, "\(path) has \(lines.count) lines")
            for (number, line) in lines.enumerated()
            where line.drop(while: { $0 == " " }).hasPrefix("//") {
                #expect(line.count <= 100, "\(path):\(number + 1)")
            }
        }
    }

    @Test("what README tells people to run is there")
    func readmeCommands() throws {
        let text = try Checkout.text("README.md")
        let expression = try Regex("scripts/([a-z]+)", as: (Substring, Substring).self)
        let named = Set(text.matches(of: expression).map { String($0.output.1) })
        for script in named {
            let path = Checkout.root.appending(path: "scripts/\(script)").path
            #expect(FileManager.default.isExecutableFile(atPath: path), "scripts/\(script)")
        }
        #expect(named.isSuperset(of: ["demo", "test", "lab", "setup", "check"]))
    }
}
