/// Judges the addresses of a history: nobody is given one that somebody certainly has.
///
/// A holder certainly has an address from the end of the call that gave it until the beginning of
/// the call that gives it back. What lies outside is left out: the two may have overlapped in truth
/// and nobody can tell.
package struct AddressCheck: Sendable {
    /// A time in which somebody certainly has an address.
    package struct Hold: Hashable, Sendable {
        /// The address.
        package let address: String
        /// Who has it.
        package let holder: String
        /// Since when, in nanoseconds.
        package let from: Int64
        /// Until when; the largest number where it was never given back.
        package let until: Int64
    }

    /// Two who had one address at one time.
    package struct Violation: Hashable, Sendable {
        /// Who had it first.
        package let first: Hold
        /// Who was given it as well, or too soon.
        package let second: Hold

        /// What happened, for people.
        package var text: String {
            "address \(first.address): \(second.holder) was given it at \(second.from) ns, while "
                + "\(first.holder) had it from \(first.from) ns until "
                + (first.until == .max ? "the end" : "\(first.until) ns")
        }
    }

    /// The times that were judged.
    package let holds: [Hold]
    /// Addresses that more than one had, one after the other.
    package private(set) var reused = 0
    /// Addresses that two had at once.
    package private(set) var violations: [Violation] = []
    /// Addresses that were given out again before they had rested.
    package private(set) var unrested: [Violation] = []

    /// Judges; an address that was given back rests for at least `rest` nanoseconds.
    ///
    /// - Complexity: O(n log n).
    package init(_ operations: [Operation], restNanoseconds rest: Int64 = 0) {
        var open: [String: (address: String, from: Int64)] = [:]
        var holds: [Hold] = []
        func end(_ holder: String, at time: Int64) {
            guard let hold = open.removeValue(forKey: holder), hold.from < time else { return }
            holds.append(
                Hold(address: hold.address, holder: holder, from: hold.from, until: time)
            )
        }
        // What is given back counts from the beginning of the call, also when it fails.
        var marks: [(time: Int64, isFree: Bool, operation: Operation)] = []
        for operation in operations {
            if operation.function == .free { marks.append((operation.begin, true, operation)) }
            if operation.function == .alloc, operation.kind == .ok {
                marks.append((operation.end, false, operation))
            }
        }
        // A node that was held up answers and is asked again in one instant: it gave first.
        marks.sort { ($0.time, $0.isFree ? 1 : 0) < ($1.time, $1.isFree ? 1 : 0) }
        for mark in marks {
            let holder = mark.operation.key
            if mark.isFree {
                end(holder, at: mark.time)
            } else if let address = mark.operation.output.content {
                // Asked again, a holder is told of what it has; another address ends the first.
                if let hold = open[holder], hold.address == address { continue }
                end(holder, at: mark.time)
                open[holder] = (address, mark.time)
            }
        }
        for holder in open.keys.sorted() { end(holder, at: .max) }
        self.holds = holds.sorted {
            ($0.address, $0.from, $0.holder) < ($1.address, $1.from, $1.holder)
        }
        var latest: Hold?
        for hold in self.holds {
            guard let last = latest, last.address == hold.address else {
                latest = hold
                continue
            }
            if hold.from < last.until {
                violations.append(Violation(first: last, second: hold))
            } else {
                reused += 1
                if hold.from - last.until < rest {
                    unrested.append(Violation(first: last, second: hold))
                }
            }
            if hold.until > last.until { latest = hold }
        }
    }
}
