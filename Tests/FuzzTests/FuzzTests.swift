import Foundation
import Fuzzing
import Testing

@Suite("What comes from outside breaks no decoder, and nothing behind it")
struct FuzzTests {
    private static let corpus = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/Corpus")

    private func expectLaws(_ target: FuzzTarget, _ input: [UInt8], _ name: String) {
        do throws(FuzzFinding) {
            try target.run(input)
        } catch {
            Issue.record("\(target.rawValue), \(name): \(error)")
        }
    }

    @Test("the corpus is what the seeds make, and breaks no law", arguments: FuzzTarget.allCases)
    func corpus_isCurrent(target: FuzzTarget) throws {
        let folder = Self.corpus.appending(path: target.rawValue)
        if ProcessInfo.processInfo.environment["GENIE_WRITE_CORPUS"] != nil {
            try? FileManager.default.removeItem(at: folder)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for seed in target.seeds {
                try Data(seed.bytes).write(to: folder.appending(path: seed.name))
            }
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(names == target.seeds.map(\.name).sorted(), "run again with GENIE_WRITE_CORPUS=1")
        for seed in target.seeds {
            let bytes = Array(try Data(contentsOf: folder.appending(path: seed.name)))
            #expect(bytes == seed.bytes, "\(seed.name): run again with GENIE_WRITE_CORPUS=1")
            expectLaws(target, seed.bytes, seed.name)
            for length in 0..<min(seed.bytes.count, 64) {
                expectLaws(
                    target,
                    Array(seed.bytes.prefix(length)),
                    "\(seed.name) cut at \(length)"
                )
            }
        }
    }

    @Test("mutations of the seeds break no law", arguments: FuzzTarget.allCases)
    func mutations_breakNoLaw(target: FuzzTarget) {
        let seed: UInt64 = 20_260_101
        var mutation = FuzzMutation(target, seed: seed)
        for step in 0..<20_000 {
            expectLaws(target, mutation.next(), "seed \(seed) step \(step)")
        }
    }
}
