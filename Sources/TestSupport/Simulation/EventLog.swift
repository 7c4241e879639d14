import Determinism

/// What was delivered so far: a rolling hash, and lines for people when somebody wants them.
///
/// Two runs with equal hashes delivered the same things to the same processes at the same times.
package struct EventLog: Sendable {
    /// The rolling hash of everything delivered.
    package private(set) var value: UInt64 = StableHash.mix(0)
    /// The number of events delivered.
    package private(set) var count = 0
    /// Where readable lines go; nil for a run that nobody reads.
    package var write: (@Sendable (String) -> Void)?

    mutating func add(_ time: Int64, _ node: Int, _ kind: Event.Kind, _ word: UInt64) {
        let head = UInt64(bitPattern: time) &* 31 &+ UInt64(node) << 8 &+ UInt64(kind.rawValue)
        value = StableHash.mix(StableHash.mix(value ^ head) ^ word)
        count += 1
    }

    func line(_ time: Int64, _ node: Int, _ text: @autoclosure () -> String) {
        guard let write else { return }
        let seconds = String(time / 1_000_000)
        let rest = String(time % 1_000_000 + 1_000_000).dropFirst()
        write("\(seconds).\(rest)  n\(node)  \(text())")
    }
}
