/// Judges what never goes backward: for each observer and key the stamps only rise.
package struct MonotonicCheck: Sendable {
    /// A stamp that fell.
    package struct Violation: Hashable, Sendable {
        /// Who saw it.
        package let observer: Int
        /// What fell.
        package let key: String
        /// The stamp before.
        package let before: [UInt64]
        /// The stamp after it.
        package let after: [UInt64]

        /// What happened, for people.
        package var text: String {
            "\(key) went back from \(before) to \(after), as process \(observer) saw it"
        }
    }

    /// The stamps that were judged.
    package private(set) var count = 0
    /// Those that fell.
    package private(set) var violations: [Violation] = []

    /// Judges.
    package init(_ operations: [Operation]) {
        struct Place: Hashable {
            let observer: Int
            let key: String
        }
        var newest: [Place: [UInt64]] = [:]
        for operation in operations.stablySorted(by: \.begin)
        where operation.function == .stamp && operation.kind == .ok {
            guard let stamp = operation.output.stamp else { continue }
            count += 1
            let place = Place(observer: operation.process, key: operation.key)
            if let before = newest[place], stamp.lexicographicallyPrecedes(before) {
                violations.append(
                    Violation(
                        observer: operation.process,
                        key: operation.key,
                        before: before,
                        after: stamp
                    )
                )
            }
            newest[place] = stamp
        }
    }
}

/// Judges configurations: an epoch means the same to everybody, and each has one successor.
package struct EpochCheck: Sendable {
    /// An epoch that means two things.
    package struct Violation: Hashable, Sendable {
        /// Whose epochs they are; empty for those of the ring configuration.
        package let key: String
        /// The epoch.
        package let epoch: UInt64
        /// Its digests, in rising order.
        package let digests: [String]

        /// What happened, for people.
        package var text: String {
            (key.isEmpty ? "" : "\(key): ")
                + "epoch \(epoch) is \(digests.joined(separator: " to some, to others "))"
        }
    }

    /// The epochs of the ring configuration that were seen, in rising order.
    package let epochs: [UInt64]
    /// Epochs that mean more than one thing.
    package let violations: [Violation]

    /// Judges; an epoch with one digest is its predecessor's one successor.
    package init(_ operations: [Operation]) {
        var digests: [String: [UInt64: Set<String>]] = [:]
        for operation in operations where operation.function == .epoch && operation.kind == .ok {
            guard let epoch = operation.output.version, let digest = operation.output.content
            else { continue }
            digests[operation.key, default: [:]][epoch, default: []].insert(digest)
        }
        epochs = (digests[""] ?? [:]).keys.sorted()
        violations = digests.keys.sorted().flatMap { key in
            (digests[key] ?? [:]).filter { $0.value.count > 1 }.sorted { $0.key < $1.key }
                .map { Violation(key: key, epoch: $0.key, digests: $0.value.sorted()) }
        }
    }
}

/// Judges stamps that all observers take in real time: one that began after another had ended is
/// not behind it, whoever took the two.
package struct RealTimeCheck: Sendable {
    /// A stamp that is behind an earlier one.
    package struct Violation: Hashable, Sendable {
        /// The earlier one.
        package let before: Operation
        /// The one behind it.
        package let after: Operation

        /// What happened, for people.
        package var text: String {
            "\(after.key): process \(after.process) was told \(after.output.stamp ?? []) from "
                + "\(after.begin) ns on, process \(before.process) had been told "
                + "\(before.output.stamp ?? []) by \(before.end) ns"
        }
    }

    /// The stamps that were judged.
    package private(set) var count = 0
    /// Those that are behind.
    package private(set) var violations: [Violation] = []

    /// Judges.
    ///
    /// - Complexity: O(n log n).
    package init(_ operations: [Operation]) {
        let stamps = operations.filter { $0.function == .stamp && $0.kind == .ok }
        for (_, all) in Dictionary(grouping: stamps, by: \.key).sorted(by: { $0.key < $1.key }) {
            count += all.count
            let ended = all.stablySorted(by: \.end)
            var place = 0
            var newest: Operation?
            for operation in all.stablySorted(by: \.begin) {
                while place < ended.count, ended[place].end < operation.begin {
                    let stamp = ended[place].output.stamp ?? []
                    if newest?.output.stamp?.lexicographicallyPrecedes(stamp) ?? true {
                        newest = ended[place]
                    }
                    place += 1
                }
                guard let newest, let floor = newest.output.stamp,
                    (operation.output.stamp ?? []).lexicographicallyPrecedes(floor)
                else { continue }
                violations.append(Violation(before: newest, after: operation))
            }
        }
    }
}
