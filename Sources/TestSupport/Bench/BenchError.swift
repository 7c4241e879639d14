import Glibc

/// Why a benchmark could not measure.
package enum BenchError: Error, CustomStringConvertible {
    /// A program did not start.
    case notStarted(program: String, reason: String)
    /// A program ended with an error, or did not end in time.
    case failed(command: String, reason: String, output: String)
    /// Something that was waited for did not come.
    case timedOut(waitingFor: String, seconds: Double)
    /// A system call was refused.
    case refused(call: String, reason: String)
    /// What a program printed cannot be read.
    case unreadable(what: String, text: String)
    /// A member has ended although nothing was done to it.
    case memberGone(system: String, node: Int)
    /// The benchmark is being ended by a signal.
    case interrupted

    package var description: String {
        switch self {
        case .notStarted(let program, let reason):
            "cannot start \(program): \(reason)"
        case .failed(let command, let reason, let output):
            "'\(command)' \(reason): \(output)"
        case .timedOut(let what, let seconds):
            "waited \(seconds) s in vain for \(what)"
        case .refused(let call, let reason): "\(call) was refused: \(reason)"
        case .unreadable(let what, let text): "cannot read \(what): \(text)"
        case .memberGone(let system, let node):
            "\(system) on node \(node) has ended by itself: its output says why"
        case .interrupted: "interrupted"
        }
    }

    /// The error of the last system call on this thread, in words.
    static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }
}
