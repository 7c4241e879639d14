package import Determinism

/// One thing that goes wrong, as a value: it can be printed, read back and run without a seed.
package struct Fault: Hashable, Sendable {
    /// What goes wrong; what ``nodes``, ``others`` and ``amount`` mean.
    package enum Kind: String, CaseIterable, Sendable {
        /// Datagrams are lost everywhere; amount in per mille.
        case loss
        /// Datagrams arrive twice; amount in per mille.
        case duplicate
        /// Some datagrams are overtaken by later ones, by up to 100 ms; amount in per mille.
        case reorder
        /// Every way takes up to so much longer; amount in milliseconds.
        case delay
        /// A byte of a datagram is changed, so that its seal is broken; amount in per mille.
        case corrupt
        /// What the nodes send is lost; amount in per mille.
        case mute
        /// What is sent to the nodes is lost; amount in per mille.
        case deaf
        /// What the nodes send to the others is lost; amount in per mille.
        case link
        /// Nothing passes between the nodes and the others.
        case partition
        /// Nothing passes from the nodes to the others; the other way is open.
        case oneway
        /// What the nodes send to the others is held back until the fault ends.
        case clog
        /// The processes stand still, as after SIGSTOP.
        case pause
        /// The processes end; their hosts answer that the port is closed.
        case crash
        /// The hosts are gone and answer nothing.
        case blackhole
        /// The processes say good-bye and end.
        case leave
        /// The clocks of the nodes run fast or slow; amount in parts per million.
        case drift
        /// The clocks of the nodes leap ahead, as after a machine slept; amount in milliseconds.
        case leap
        /// The processes end at a write that is under way: half of the amount, rounded down, is the
        /// number of writes that are let through before, and where the amount is odd that write is
        /// durable although nothing that waited for it was done.
        case crashAtWrite
        /// The hosts are gone and answer nothing, and an operator takes the nodes out of the ring.
        case remove
    }

    /// With what a node comes back after a crash.
    package enum Restart: String, CaseIterable, Sendable {
        /// Its disk as it was, without the writes that were not durable.
        case kept
        /// An empty disk: a new identity at the old address.
        case wiped
        /// A copy of the disk from before its last start.
        case rolledBack
        /// Its disk, at an address that nobody had before.
        case moved
    }

    /// Whether processes run on that others do not reach, and that do not hear of what changes.
    var cutsOff: Bool {
        switch kind {
        case .mute, .deaf, .link, .partition, .oneway, .clog, .pause: true
        default: false
        }
    }

    /// What goes wrong.
    package var kind: Kind
    /// To whom; empty where a kind concerns everybody.
    package var nodes: [Int] = []
    /// The other side, of kinds that have two.
    package var others: [Int] = []
    /// How strong; the unit depends on the kind.
    package var amount = 0
    /// How the nodes come back, of kinds that end processes.
    package var restart = Restart.kept

    /// Makes a fault.
    package init(
        _ kind: Kind,
        nodes: [Int] = [],
        others: [Int] = [],
        amount: Int = 0,
        restart: Restart = .kept
    ) {
        self.kind = kind
        self.nodes = nodes
        self.others = others
        self.amount = amount
        self.restart = restart
    }

    /// Whether the fault ends processes, which then start again at its end.
    package var endsProcesses: Bool {
        switch kind {
        case .crash, .blackhole, .leave, .crashAtWrite, .remove: true
        default: false
        }
    }
}

/// A fault with the time at which it begins and how long it lasts.
package struct TimedFault: Hashable, Sendable {
    /// From the start of the run to the start of the fault.
    package var at: Span
    /// From the start of the fault to its end.
    package var lasting: Span
    /// What goes wrong.
    package var fault: Fault

    /// Makes a timed fault.
    package init(at: Span, lasting: Span, _ fault: Fault) {
        self.at = at
        self.lasting = lasting
        self.fault = fault
    }
}

extension TimedFault: CustomStringConvertible {
    /// One line that ``init(_:)`` reads back: `at=1200ms for=3000ms partition nodes=0,1 others=2`.
    package var description: String {
        var words = ["at=\(at.milliseconds)ms", "for=\(lasting.milliseconds)ms"]
        words.append(fault.kind.rawValue)
        if !fault.nodes.isEmpty { words.append("nodes=\(Self.list(fault.nodes))") }
        if !fault.others.isEmpty { words.append("others=\(Self.list(fault.others))") }
        if fault.amount != 0 { words.append("amount=\(fault.amount)") }
        if fault.endsProcesses { words.append("restart=\(fault.restart.rawValue)") }
        return words.joined(separator: " ")
    }

    private static func list(_ numbers: [Int]) -> String {
        numbers.map(String.init).joined(separator: ",")
    }

    /// Reads a line that ``description`` wrote for a world of `count` nodes.
    ///
    /// Nil for anything else: a fault that is not read as it was meant would be another run.
    package init?(_ line: some StringProtocol, nodes count: Int) {
        let words = line.split(separator: " ")
        guard words.count >= 3, let at = Span(text: words[0], after: "at="),
            let lasting = Span(text: words[1], after: "for="),
            let kind = Fault.Kind(rawValue: String(words[2]))
        else { return nil }
        var fault = Fault(kind)
        var read: Set<String> = []
        for word in words.dropFirst(3) {
            guard let sign = word.firstIndex(of: "="), read.insert(String(word[..<sign])).inserted
            else { return nil }
            let value = word[word.index(after: sign)...]
            switch word[..<sign] {
            case "nodes":
                guard let nodes = Self.numbers(value, below: count) else { return nil }
                fault.nodes = nodes
            case "others":
                guard let others = Self.numbers(value, below: count) else { return nil }
                fault.others = others
            case "amount":
                guard let amount = Int(value), kind.amounts.contains(amount) else { return nil }
                fault.amount = amount
            case "restart":
                guard fault.endsProcesses, let restart = Fault.Restart(rawValue: String(value))
                else { return nil }
                fault.restart = restart
            default: return nil
            }
        }
        self.init(at: at, lasting: lasting, fault)
    }

    /// Node numbers behind commas; nil where one is none.
    private static func numbers(_ text: some StringProtocol, below count: Int) -> [Int]? {
        let words = text.split(separator: ",", omittingEmptySubsequences: false)
        let numbers = words.compactMap { Int($0) }.filter { (0..<count).contains($0) }
        return numbers.count == words.count ? numbers : nil
    }
}

extension Fault.Kind {
    /// The amounts that mean something.
    var amounts: ClosedRange<Int> {
        switch self {
        case .loss, .duplicate, .reorder, .corrupt, .mute, .deaf, .link: 0...1_000
        case .delay: 0...3_600_000
        case .drift: -100_000...100_000
        case .leap: 0...3_600_000
        case .crashAtWrite: 0...10_000
        case .partition, .oneway, .clog, .pause, .crash, .blackhole, .leave, .remove: 0...0
        }
    }
}

extension Span {
    /// The longest time in a plan: a year, so that no sum of times overflows.
    private static let planned = Int64(0)...(366 * 86_400_000)

    /// Reads whole milliseconds behind a prefix, written `at=1200ms`.
    init?(text: some StringProtocol, after prefix: String = "") {
        guard text.hasPrefix(prefix), text.hasSuffix("ms"),
            let count = Int64(text.dropFirst(prefix.count).dropLast(2)),
            Self.planned.contains(count)
        else { return nil }
        self = .milliseconds(count)
    }
}
