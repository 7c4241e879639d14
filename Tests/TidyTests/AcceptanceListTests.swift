import Foundation
import Testing

/// The lists of what a dataplane (E), a CNI plugin (C), a plugin for many networks (N), whoever
/// gives out addresses (I) and an heir of CNI-Genie (G) have to do: which test covers what.
///
/// The tables are held to the sources: each name must be a piece of a test's or a suite's title.
@Suite("The lists of what has to be right, and the tests that cover it")
struct AcceptanceListTests {
    struct Item: CustomTestStringConvertible, Sendable {
        let id: String
        let what: String
        let tests: [String]
        /// What of it no test covers, and why.
        var missing: String?

        var testDescription: String { "\(id) \(what)" }
    }

    /// The title of every test and suite, but for these lists', a line each.
    private static let titles: String = {
        let lists = URL(filePath: #filePath).deletingLastPathComponent()
        let tests = lists.deletingLastPathComponent()
        let names =
            FileManager.default.enumerator(atPath: tests.path)?
            .compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".swift") && !$0.hasPrefix(lists.lastPathComponent) }
            .sorted()
            .compactMap { try? String(contentsOf: tests.appending(path: $0), encoding: .utf8) }
            // What is quoted behind the word, on its line or the next.
            .flatMap { $0.matches(of: /@(?:Test|Suite)\(\s*"((?:[^"\\]|\\.)*)"/).map(\.output.1) }
            .joined(separator: "\n")
    }()

    @Test(
        "each item has tests that exist, or says what is missing",
        arguments: dataplane + plugin + networks + addresses + genie
    )
    func covered(item: Item) {
        #expect(!item.tests.isEmpty || item.missing != nil)
        for test in item.tests {
            #expect(Self.titles.contains(test), "no test is called \"\(test)\"")
        }
    }

    @Test("the lists are whole")
    func whole() {
        #expect(Self.dataplane.map(\.id) == (1...23).map { "E\($0)" })
        #expect(Self.plugin.map(\.id) == (1...20).map { "C\($0)" })
        #expect(Self.networks.map(\.id) == (1...29).map { "N\($0)" })
        #expect(Self.addresses.map(\.id) == (1...15).map { "I\($0)" })
        #expect(Self.genie.map(\.id) == (1...24).map { "G\($0)" })
    }
}
