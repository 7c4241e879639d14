/// Whether operations on one versioned register can be put in an order that explains what each
/// process was told, with each operation at one moment between its beginning and its end.
///
/// An operation whose outcome is unknown may take effect at any moment after it began, or never.
///
/// The search walks the list of beginnings and ends in the order of time. A beginning that the
/// state allows is taken, and its pair is lifted out of the list; an end that is met while its
/// beginning is not taken yet is a dead end: the last one taken is put back, and the walk goes on
/// behind it. What was once reached (the state together with what was taken) is not tried again.
/// - Source: Lowe, "Testing for linearizability" (2017), section 3, after Wing and Gong (1993); the
///   list as in Athalye's Porcupine.
package struct Linearizability {
    /// What a search found.
    package enum Verdict: Hashable, Sendable {
        /// There is an order.
        case linearizable
        /// There is none.
        case violated
        /// The search was given up.
        case unknown
    }

    /// What a register holds.
    struct State: Hashable {
        var version: UInt64
        /// A number for each content; zero for none.
        var content: Int
    }

    private enum Call {
        case read(State)
        case change(expected: UInt64, content: Int)
        case refused(expected: UInt64, holds: State)
    }

    private struct Reached: Hashable {
        let state: State
        let taken: [UInt64]
    }

    private let calls: [Call]
    private let isOpen: [Bool]
    /// By place in the list: the call, and whether it is its beginning.
    private var places: [(call: Int, isBegin: Bool)] = []
    private var endPlace: [Int]
    private var next: [Int]
    private var previous: [Int]
    private var endsLeft = 0
    /// The steps that the search took.
    private(set) var steps = 0

    /// Takes the operations on one register; those that failed for certain do not matter.
    init(_ operations: [Operation]) {
        var numbers: [String: Int] = [:]
        func number(_ content: String?) -> Int {
            guard let content else { return 0 }
            if let known = numbers[content] { return known }
            numbers[content] = numbers.count + 1
            return numbers.count
        }
        let relevant = operations.filter { operation in
            operation.kind != .fail && !(operation.function == .read && operation.kind == .info)
        }
        calls = relevant.map { operation in
            let seen = State(
                version: operation.output.version ?? 0,
                content: number(operation.output.content)
            )
            let expected = operation.input.expected ?? 0
            if operation.function == .read { return .read(seen) }
            if operation.output.isConflict == true {
                return .refused(expected: expected, holds: seen)
            }
            return .change(expected: expected, content: number(operation.input.content))
        }
        isOpen = relevant.map { $0.kind == .info }
        // At the same instant beginnings come first: the two may have overlapped.
        var marks = relevant.indices.map { (time: relevant[$0].begin, rank: 0, call: $0) }
        marks += relevant.indices.filter { relevant[$0].kind != .info }
            .map { (time: relevant[$0].end, rank: 1, call: $0) }
        marks.sort { ($0.time, $0.rank, $0.call) < ($1.time, $1.rank, $1.call) }
        endPlace = Array(repeating: -1, count: relevant.count)
        // Place 0 stands before the first, and one more behind the last.
        places = [(call: -1, isBegin: false)]
        for mark in marks {
            if mark.rank == 1 {
                endPlace[mark.call] = places.count
                endsLeft += 1
            }
            places.append((call: mark.call, isBegin: mark.rank == 0))
        }
        next = (0...places.count).map { $0 + 1 }
        previous = (0...places.count).map { $0 - 1 }
    }

    /// Searches; gives up after so many steps.
    mutating func search(stepsMax: Int = .max, isPastDeadline: () -> Bool = { false }) -> Verdict {
        var state = State(version: 0, content: 0)
        var taken = [UInt64](repeating: 0, count: (calls.count + 63) / 64)
        var reached: Set<Reached> = [Reached(state: state, taken: taken)]
        var stack: [(place: Int, state: State)] = []
        var place = next[0]
        while endsLeft > 0 {
            steps += 1
            if steps >= stepsMax || (steps % 4_096 == 0 && isPastDeadline()) { return .unknown }
            let (call, isBegin) = places[place]
            guard isBegin else {
                guard let last = stack.popLast() else { return .violated }
                state = last.state
                let undone = places[last.place].call
                taken[undone / 64] &= ~(1 << UInt64(undone % 64))
                putBack(last.place)
                place = next[last.place]
                continue
            }
            if let after = apply(call, to: state) {
                taken[call / 64] |= 1 << UInt64(call % 64)
                if reached.insert(Reached(state: after, taken: taken)).inserted {
                    stack.append((place, state))
                    state = after
                    lift(place)
                    place = next[0]
                    continue
                }
                taken[call / 64] &= ~(1 << UInt64(call % 64))
            }
            place = next[place]
        }
        return .linearizable
    }

    /// The state after a call; nil where the call cannot have been told what it was told.
    private func apply(_ call: Int, to state: State) -> State? {
        switch calls[call] {
        case .read(let seen): return seen == state ? state : nil
        case .refused(let expected, let holds):
            return holds == state && holds.version != expected ? state : nil
        case .change(let expected, let content):
            // One of unknown outcome that changes nothing need not be taken at all.
            guard state.version == expected else { return nil }
            return State(version: expected + 1, content: content)
        }
    }

    private mutating func unlink(_ place: Int) {
        next[previous[place]] = next[place]
        previous[next[place]] = previous[place]
    }

    private mutating func relink(_ place: Int) {
        next[previous[place]] = place
        previous[next[place]] = place
    }

    private mutating func lift(_ place: Int) {
        unlink(place)
        let end = endPlace[places[place].call]
        guard end >= 0 else { return }
        unlink(end)
        endsLeft -= 1
    }

    /// The exact reverse of ``lift(_:)``: the links of what is out of the list still say where.
    private mutating func putBack(_ place: Int) {
        let end = endPlace[places[place].call]
        if end >= 0 {
            relink(end)
            endsLeft += 1
        }
        relink(place)
    }
}
