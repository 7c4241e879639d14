import Determinism

/// Inputs that follow from a seed: what was good, cut, altered and joined.
package struct FuzzMutation: Sendable {
    private let seeds: [[UInt8]]
    private var generator: SeededGenerator

    /// Bytes that codecs have an opinion on.
    private static let edges: [UInt8] = [0x00, 0x01, 0x7f, 0x80, 0xff]

    /// Makes the inputs of `target` that follow from `seed`.
    package init(_ target: FuzzTarget, seed: UInt64) {
        seeds = target.seeds.map(\.bytes)
        generator = SeededGenerator(seed: seed)
    }

    /// The next input, at most 8 KiB.
    package mutating func next() -> [UInt8] {
        var input = pick()
        for _ in 0..<draw(1...3) { alter(&input) }
        return Array(input.prefix(8_192))
    }

    private mutating func alter(_ input: inout [UInt8]) {
        let kind = draw(0...6)
        guard !input.isEmpty else {
            input = pick()
            return
        }
        let index = draw(0...input.count - 1)
        switch kind {
        case 0: input[index] ^= 1 << UInt8(draw(0...7))
        case 1: input[index] = Self.edges[draw(0...Self.edges.count - 1)]
        case 2: input[index] = UInt8(draw(0...255))
        case 3: input.removeSubrange(index..<min(input.count, index + draw(1...16)))
        case 4: input = Array(input[..<index])
        case 5:
            // A field of eight bytes at an end of its range.
            let edge = Self.edges[draw(0...Self.edges.count - 1)]
            for place in index..<min(input.count, index + 8) { input[place] = edge }
        default: input = input[..<index] + pick().suffix(draw(1...64))
        }
    }

    private mutating func pick() -> [UInt8] { seeds[draw(0...seeds.count - 1)] }

    private mutating func draw(_ range: ClosedRange<Int>) -> Int {
        Int.random(in: range, using: &generator)
    }
}
