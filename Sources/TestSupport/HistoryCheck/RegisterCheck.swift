/// Judges the register operations of a history, one register after the other.
package struct RegisterCheck: Sendable {
    /// A register that no order explains.
    package struct Violation: Hashable, Sendable {
        /// The register.
        package let key: String
        /// What cannot be explained: as few operations as the reduction came to.
        package let operations: [Operation]

        /// A line for each operation, in the order in which they began.
        package var text: String {
            let start = operations.map(\.begin).min() ?? 0
            let lines = operations.map { "  " + Self.line($0, since: start) }
            return "register \(key): no order of these operations explains what they were told\n"
                + lines.joined(separator: "\n")
        }

        private static func line(_ operation: Operation, since start: Int64) -> String {
            let from = milliseconds(operation.begin - start)
            let until =
                operation.end == .max ? "open" : milliseconds(operation.end - start) + " ms"
            let what: String
            if operation.function == .read {
                what = "read -> " + held(operation.output)
            } else {
                let asked =
                    "cas version \(operation.input.expected ?? 0) to "
                    + (operation.input.content ?? "nothing")
                let outcome: String =
                    switch (operation.kind, operation.output.isConflict) {
                    case (.ok, true): "conflict, holds " + held(operation.output)
                    case (.ok, _): "committed"
                    case (.info, _), (.invoke, _): "unknown"
                    case (.fail, _): "failed"
                    }
                what = asked + " -> " + outcome
            }
            return "[\(from) .. \(until)] process \(operation.process): \(what)"
        }

        private static func held(_ value: HistoryEvent.Value) -> String {
            "version \(value.version ?? 0), \(value.content ?? "nothing")"
        }

        private static func milliseconds(_ nanoseconds: Int64) -> String {
            let thousandths = nanoseconds / 1_000
            let rest = String(thousandths % 1_000)
            let zeros = String(repeating: "0", count: 3 - rest.count)
            return "\(thousandths / 1_000).\(zeros)\(rest)"
        }
    }

    /// The registers that were judged.
    package private(set) var keys = 0
    /// The operations on them, by how they ended.
    package private(set) var ok = 0
    package private(set) var failed = 0
    package private(set) var unknown = 0
    /// The registers that no order explains.
    package private(set) var violations: [Violation] = []
    /// The registers whose search was given up.
    package private(set) var undecided: [String] = []

    /// Judges; a register's search is given up after `stepsMax` steps or `limit`.
    package init(
        _ operations: [Operation],
        stepsMax: Int = 20_000_000,
        limit: Duration = .seconds(60)
    ) {
        var byKey: [String: [Operation]] = [:]
        for operation in operations
        where operation.function == .read || operation.function == .cas {
            byKey[operation.key, default: []].append(operation)
            switch operation.kind {
            case .ok: ok += 1
            case .fail: failed += 1
            case .info, .invoke: unknown += 1
            }
        }
        keys = byKey.count
        for (key, operations) in byKey.sorted(by: { $0.key < $1.key }) {
            let deadline = ContinuousClock.now.advanced(by: limit)
            var search = Linearizability(operations)
            // A committed change that tells another version than the next contradicts itself.
            let isSound = operations.allSatisfy(Self.isSound)
            let verdict =
                isSound
                ? search.search(stepsMax: stepsMax) { ContinuousClock.now > deadline } : .violated
            switch verdict {
            case .linearizable: continue
            case .unknown: undecided.append(key)
            case .violated:
                let reduced = Self.reduce(operations, stepsMax: stepsMax)
                violations.append(Violation(key: key, operations: reduced))
            }
        }
    }

    /// Whether everything was judged and explained.
    package var holds: Bool { violations.isEmpty && undecided.isEmpty }

    private static func isSound(_ operation: Operation) -> Bool {
        guard operation.function == .cas, operation.kind == .ok,
            operation.output.isConflict != true, let version = operation.output.version
        else { return true }
        return version == (operation.input.expected ?? 0) + 1
            && operation.output.content == operation.input.content
    }

    private static func isViolated(_ operations: [Operation], _ stepsMax: Int) -> Bool {
        guard operations.allSatisfy(isSound) else { return true }
        var search = Linearizability(operations)
        return search.search(stepsMax: stepsMax) == .violated
    }

    /// The shortest beginning of a history that cannot be explained, without the reads and the
    /// refusals that it takes nothing away from.
    ///
    /// What holds of a history holds of each beginning of it, so the shortest is found by halving.
    private static func reduce(_ operations: [Operation], stepsMax: Int) -> [Operation] {
        let ends = operations.filter { $0.kind == .ok }.map(\.end).sorted()
        var (low, high) = (0, ends.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if isViolated(prefix(operations, until: ends[middle]), stepsMax) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        guard ends.indices.contains(low) else { return operations }
        var kept = prefix(operations, until: ends[low])
        for operation in kept.reversed() where operation.kind != .fail {
            let isChange = operation.function == .cas && operation.output.isConflict != true
            guard !isChange || operation.kind == .info else { continue }
            let without = kept.filter { $0 != operation }
            if isViolated(without, stepsMax) { kept = without }
        }
        let shownMax = 24
        return Array(kept.filter { $0.kind != .fail }.suffix(shownMax))
    }

    /// What was known at an instant: what had not ended by then has no outcome yet.
    private static func prefix(_ operations: [Operation], until end: Int64) -> [Operation] {
        operations.filter { $0.begin <= end }.map { operation in
            guard operation.end > end else { return operation }
            return Operation(
                process: operation.process,
                function: operation.function,
                key: operation.key,
                input: operation.input,
                begin: operation.begin,
                kind: .info,
                output: HistoryEvent.Value(),
                end: .max
            )
        }
    }
}
