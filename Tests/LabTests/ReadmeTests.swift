import Foundation
import LabNet
import Testing

@Suite(
    "README's example works as it stands",
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct ReadmeTests {
    @Test("every line from `scripts/lab up` to `scripts/lab down`, typed into a shell")
    func example() throws {
        let path = Lab.root.appending(path: "README.md")
        let lines = try String(contentsOf: path, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let first = try #require(lines.firstIndex { $0.hasPrefix("    scripts/lab up") })
        let last = try #require(lines.firstIndex { $0.hasPrefix("    scripts/lab down") })
        // The example's lab has id 1; the test's own id keeps out of its reader's way.
        let id = Lab.testID + 2
        let script = lines[first...last].map { $0.dropFirst(4) }.joined(separator: "\n")
            .replacing("grlab1-", with: "grlab\(id)-")
        let output = try Lab.run(
            "/bin/bash",
            ["-euo", "pipefail", "-c", "cd '\(Lab.root.path)'\n\(script)"],
            environment: ["GENIE_LAB_ID": "\(id)"]
        )
        if output.status != 0 {
            _ = try Lab.run(Lab.root.path + "/scripts/lab", ["--id", "\(id)", "down"])
        }
        #expect(output.status == 0, "\(output.text)\(output.errors)")
        #expect(output.text.contains("red/web"))
        #expect(output.text.contains("1 received"))
    }
}
