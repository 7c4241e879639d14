import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "Registers through genie-ring on real daemons",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct RegisterLabTests {
    @Test("set, compared, listed, watched, deleted; what is Genie Ring's own is refused")
    func registers() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID + 2) { lab in
            try setAndCompare(lab)
            try listAndDelete(lab)
            try refuse(lab)
            try watch(lab)
        }
    }

    private func setAndCompare(_ lab: Lab) throws {
        let never = try lab.ring(1, "register", "get", "app/a", as: RegisterStatus.self)
        #expect(never.version == 0)
        #expect(!never.isPresent)
        let set = try lab.ring(1, "register", "set", "app/a", "one", as: RegisterStatus.self)
        #expect(set.version == 1)
        #expect(set.text == "one")
        let late = try lab.ring(1, "register", "cas", "app/a", "--expect", "0", "two")
        #expect(late.status == 4)
        #expect(late.errors.contains("it has version 1, not 0, and holds one"))
        let next = try lab.ring(1, "register", "cas", "app/a", "--expect", "1", "two")
        #expect(next.status == 0, "\(next.errors)")
        let now = try lab.ring(1, "register", "get", "app/a", as: RegisterStatus.self)
        #expect(now.version == 2)
        #expect(now.text == "two")
    }

    private func listAndDelete(_ lab: Lab) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try Data([0xff, 0x00]).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let bytes = try lab.ring(1, "register", "set", "app/b", "--file", file.path)
        #expect(bytes.status == 0, "\(bytes.errors)")
        let read = try lab.ring(1, "register", "get", "app/b", as: RegisterStatus.self)
        #expect(read.text == nil)
        #expect(read.base64 == "/wA=")
        let both = try lab.ring(1, "register", "list", "app/", as: RegisterList.self)
        #expect(both.keys == ["app/a", "app/b"])
        let gone = try lab.ring(1, "register", "set", "app/b", "--delete")
        #expect(gone.status == 0, "\(gone.errors)")
        let one = try lab.ring(1, "register", "list", "app/", as: RegisterList.self)
        #expect(one.keys == ["app/a"])
    }

    private func refuse(_ lab: Lab) throws {
        for key in ["ring/config", "vpc/red", "ipam/1/0"] {
            let output = try lab.ring(1, "register", "cas", key, "--expect", "0", "x")
            #expect(output.status == 1)
            #expect(output.errors.contains("Genie Ring's own"), "\(output.errors)")
        }
        let forced = try lab.ring(1, "register", "set", "vni/7", "x", "--force")
        #expect(forced.status == 0, "\(forced.errors)")
        let nothing = try lab.ring(1, "register", "cas", "app/a", "--expect", "2")
        #expect(nothing.status == 2)
        let config = try lab.ring(1, "register", "get", "ring/config", as: RegisterStatus.self)
        #expect(config.version > 0 || !config.isPresent)
    }

    /// The agent holds the question until there is a later version.
    private func watch(_ lab: Lab) throws {
        let script = """
            : > /run/genie/watch
            genie-ring register watch app/w -o json > /run/genie/watch &
            watcher=$!
            await() {
                for _ in {1..200}; do
                    (($(wc -l < /run/genie/watch) >= $1)) && return
                    sleep 0.1
                done
            }
            await 1
            genie-ring register set app/w first >/dev/null
            await 2
            genie-ring register set app/w second >/dev/null
            await 3
            kill $watcher
            wait $watcher
            cat /run/genie/watch
            """
        let output = try lab.run(on: 1, ["bash", "-c", script])
        let lines = try output.text.split(separator: "\n").map {
            try JSONDecoder().decode(RegisterStatus.self, from: Data($0.utf8))
        }
        #expect(lines.map(\.version) == [0, 1, 2], "\(output.errors)")
        #expect(lines.last?.text == "second")
    }
}
