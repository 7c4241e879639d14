/// Judges the records of a history: what was acknowledged is seen by everybody in the end, and what
/// was removed by nobody.
///
/// - Source: Jepsen's `set-full`, with removal.
package struct RecordCheck: Sendable {
    /// A record that is not as it should be.
    package struct Violation: Hashable, Sendable {
        /// How.
        package enum Kind: String, Hashable, Sendable {
            /// It was acknowledged, never removed, and is not there in the end.
            case lost
            /// It was removed, and is there in the end.
            case resurrected
        }

        /// How it is wrong.
        package let kind: Kind
        /// The record.
        package let record: String
        /// Who saw it so.
        package let observer: String

        /// What happened, for people.
        package var text: String { "record \(record): \(kind.rawValue), as \(observer) sees it" }
    }

    private struct Life {
        var acknowledgedAt: Int64?
        var removalBegunAt: Int64?
        var removedAt: Int64?
    }

    private struct Sight {
        let observer: String
        let begin: Int64
        let isFinal: Bool
        let records: Set<String>
    }

    /// Records that were acknowledged.
    package private(set) var acknowledged = 0
    /// Records whose removal was acknowledged.
    package private(set) var removed = 0
    /// Sights in which an acknowledged record was missing that was seen there later, or elsewhere.
    package private(set) var stale = 0
    /// Sights in which a removed record was still there.
    package private(set) var lingering = 0
    /// What is wrong in the end.
    package private(set) var violations: [Violation] = []
    /// For each acknowledged record and observer the time until it was seen in every sight, in
    /// milliseconds, in rising order.
    package private(set) var latenciesMilliseconds: [Double] = []

    /// Judges.
    package init(_ operations: [Operation]) {
        var lives: [String: Life] = [:]
        var sights: [Sight] = []
        for operation in operations {
            switch operation.function {
            case .add where operation.kind == .ok:
                lives[operation.key, default: Life()].acknowledgedAt = operation.end
            case .remove:
                let begun = lives[operation.key]?.removalBegunAt ?? .max
                lives[operation.key, default: Life()].removalBegunAt = min(begun, operation.begin)
                if operation.kind == .ok {
                    let earlier = lives[operation.key]?.removedAt ?? .max
                    lives[operation.key]?.removedAt = min(earlier, operation.end)
                }
            case .observe where operation.kind == .ok:
                sights.append(
                    Sight(
                        observer: operation.key,
                        begin: operation.begin,
                        isFinal: operation.output.isFinal ?? false,
                        records: Set(operation.output.records ?? [])
                    )
                )
            case .add, .observe, .read, .cas, .alloc, .free, .stamp, .epoch, .nemesis: continue
            }
        }
        let byObserver = Dictionary(grouping: sights, by: \.observer)
            .sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.sorted { $0.begin < $1.begin }) }
        for (record, life) in lives.sorted(by: { $0.key < $1.key }) {
            if life.removedAt != nil { removed += 1 }
            if life.acknowledgedAt != nil { acknowledged += 1 }
            for (observer, sights) in byObserver { judge(record, life, observer, sights) }
        }
        latenciesMilliseconds.sort()
    }

    private mutating func judge(
        _ record: String,
        _ life: Life,
        _ observer: String,
        _ sights: [Sight]
    ) {
        // One that was never acknowledged may still be under way when its removal ends.
        if let removedAt = life.removedAt, life.acknowledgedAt != nil {
            var isThere = false
            for sight in sights where sight.begin > removedAt {
                isThere = sight.records.contains(record)
                if isThere { lingering += 1 }
                if isThere, sight.isFinal { break }
            }
            let isFinal = sights.contains { $0.isFinal && $0.begin > removedAt }
            if isThere, isFinal { add(.resurrected, record, observer) }
        }
        guard let acknowledgedAt = life.acknowledgedAt else { return }
        let until = life.removalBegunAt ?? .max
        let due = sights.filter { $0.begin > acknowledgedAt && $0.begin < until }
        var lastMissing: Int64?
        for sight in due where !sight.records.contains(record) {
            lastMissing = sight.begin
            stale += 1
        }
        if let last = due.last, last.isFinal, !last.records.contains(record) {
            add(.lost, record, observer)
            return
        }
        let stableFrom = due.first { $0.begin > lastMissing ?? acknowledgedAt }?.begin
        guard let stableFrom else { return }
        let isAtOnce = lastMissing == nil
        latenciesMilliseconds.append(
            isAtOnce ? 0 : Double(stableFrom - acknowledgedAt) / 1_000_000
        )
    }

    private mutating func add(
        _ kind: Violation.Kind,
        _ record: String,
        _ observer: String
    ) {
        violations.append(Violation(kind: kind, record: record, observer: observer))
    }

    /// The latency that so many per cent do not exceed; nil where there is none.
    package func latency(percent: Double) -> Double? {
        guard !latenciesMilliseconds.isEmpty else { return nil }
        let rank = Int((percent / 100 * Double(latenciesMilliseconds.count)).rounded(.up))
        return latenciesMilliseconds[max(0, rank - 1)]
    }
}
