import Determinism
import HistoryCheck

/// Draws histories that an atomic register gives: each operation takes effect at one moment between
/// its beginning and its end, and some are never heard of again.
struct AtomicRegister {
    private struct Running {
        let process: Int
        let isRead: Bool
        let expected: UInt64
        let content: String
        let actsAt: Int64
        let endsAt: Int64
        var answer: HistoryEvent.Value?
        let isForgotten: Bool
    }

    private var generator: SeededGenerator
    private var version: UInt64 = 0
    private var content: String?
    private var now: Int64 = 0
    private var running: [Running] = []
    private var nextProcess = 0
    private var written = 0
    private(set) var events: [HistoryEvent] = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    /// A history of `count` operations, of which `width` at the most overlap.
    static func history(
        seed: UInt64,
        count: Int = 60,
        width: Int = 5,
        forgottenPercent: Int = 5
    ) -> [HistoryEvent] {
        var register = AtomicRegister(seed: seed)
        for _ in 0..<count {
            while register.running.filter({ !$0.isForgotten }).count >= width { register.step() }
            register.begin(forgottenPercent: forgottenPercent)
        }
        while !register.running.isEmpty { register.step() }
        return register.events
    }

    private mutating func begin(forgottenPercent: Int) {
        now += Int64.random(in: 1...4, using: &generator)
        let isRead = Bool.random(using: &generator)
        let isForgotten = Int.random(in: 0..<100, using: &generator) < forgottenPercent
        let guess = Bool.random(using: &generator) ? version : version + 1
        let actsAt = now + Int64.random(in: 1...20, using: &generator)
        written += 1
        let operation = Running(
            process: nextProcess,
            isRead: isRead,
            expected: guess,
            content: "c\(written)",
            actsAt: isForgotten && Bool.random(using: &generator) ? .max : actsAt,
            endsAt: actsAt + Int64.random(in: 1...20, using: &generator),
            isForgotten: isForgotten
        )
        nextProcess += 1
        running.append(operation)
        events.append(
            HistoryEvent(
                process: operation.process,
                .invoke,
                isRead ? .read : .cas,
                key: "k",
                isRead ? .init() : .init(expected: guess, content: operation.content),
                at: now
            )
        )
    }

    /// Lets the next thing happen: an operation takes effect, or it ends.
    private mutating func step() {
        var best: (index: Int, time: Int64, acts: Bool)?
        for index in running.indices {
            let acts = running[index].answer == nil && running[index].actsAt != .max
            let time = acts ? running[index].actsAt : running[index].endsAt
            if time < best?.time ?? .max { best = (index, time, acts) }
        }
        guard let (index, time, acts) = best else { return }
        now = max(now + 1, time)
        if acts { running[index].answer = act(running[index]) } else { end(index) }
    }

    private mutating func act(_ operation: Running) -> HistoryEvent.Value {
        if operation.isRead { return .init(version: version, content: content) }
        guard operation.expected == version else {
            return .init(version: version, content: content, isConflict: true)
        }
        version += 1
        content = operation.content
        return .init(version: version, content: content)
    }

    private mutating func end(_ index: Int) {
        let operation = running.remove(at: index)
        guard !operation.isForgotten else { return }
        events.append(
            HistoryEvent(
                process: operation.process,
                .ok,
                operation.isRead ? .read : .cas,
                key: "k",
                operation.answer ?? .init(),
                at: now
            )
        )
    }
}
