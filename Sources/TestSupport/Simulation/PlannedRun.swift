package import Determinism

/// A kind of run that a seed describes: it draws a plan, and the plan is run to a verdict.
///
/// Everything follows from the plan and the planted mistakes: two runs of the same give the same
/// hash.
package protocol PlannedRun: Sendable {
    /// The mistakes that can be planted.
    associatedtype Flaw: Sendable

    /// What a seed draws.
    static func plan(seed: UInt64) -> FaultPlan
    /// What a seed draws, in a line for people.
    static func summary(seed: UInt64) -> String
    /// The words that run a seed again, behind `scripts/sim`.
    static func replayCommand(seed: UInt64) -> String

    /// Prepares a run; `write` gets a line for each event when somebody wants to read them.
    init(_ plan: FaultPlan, flaws: [Flaw], write: (@Sendable (String) -> Void)?)
    /// Runs the plan to its end, or to the first broken law.
    mutating func run() -> RunVerdict
}

/// A broken law.
package struct RunFailure: Hashable, Sendable, CustomStringConvertible {
    /// The law's name.
    package let law: String
    /// When.
    package let at: Instant
    /// What was seen.
    package let text: String

    /// Makes one.
    package init(law: String, at: Instant, text: String) {
        self.law = law
        self.at = at
        self.text = text
    }

    package var description: String {
        "\(law) broken at \(at.since(.zero).milliseconds) ms: \(text)"
    }
}

/// What became of a run.
package struct RunVerdict: Sendable {
    /// The first broken law; nil when all held.
    package var failure: RunFailure?
    /// The hash of everything delivered.
    package var hash: UInt64
    /// The number of events delivered.
    package var events: Int
    /// How long after the faults everybody was of one mind; nil when nobody came so far.
    package var healedAfter: Span?
    /// What was done in the run, by name: a run in which nothing happens keeps every law.
    package var counts = SortedMap<String, Int>()
}
