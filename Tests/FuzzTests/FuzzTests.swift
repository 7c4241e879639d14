import Foundation
import Fuzzing
import Testing

@Suite("What comes from outside breaks no decoder, and nothing behind it")
struct FuzzTests {
    private static let corpus = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz/Corpus")

    /// Records the law that an input breaks; whether it breaks none.
    private func expectLaws(
        _ target: FuzzTarget,
        _ input: [UInt8],
        isDeep: Bool = true,
        _ name: String
    ) -> Bool {
        do throws(FuzzFinding) {
            try target.run(input, isDeep: isDeep)
            return true
        } catch {
            Issue.record("\(target.rawValue), \(name): \(error)")
            return false
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
            _ = expectLaws(target, seed.bytes, seed.name)
            let step = max(1, seed.bytes.count / 256)
            for length in stride(from: 0, to: seed.bytes.count, by: step) {
                let cut = Array(seed.bytes.prefix(length))
                guard expectLaws(target, cut, isDeep: false, "\(seed.name) cut at \(length)")
                else { break }
            }
        }
    }

    /// What is behind the decoder costs hundreds of times as much, so not every input goes there.
    @Test("mutations of the seeds break no law", arguments: FuzzTarget.allCases)
    func mutations_breakNoLaw(target: FuzzTarget) {
        let seed: UInt64 = 20_260_101
        var mutation = FuzzMutation(target, seed: seed)
        for step in 0..<20_000 {
            let name = "seed \(seed) step \(step)"
            guard expectLaws(target, mutation.next(), isDeep: step % 250 == 0, name) else { return }
        }
    }
}
