package import Determinism
import Glibc

/// Programs that are run to their end.
package enum Command {
    /// Runs a program that must succeed, and gives back what it printed on standard output.
    ///
    /// - Throws: ``BenchError/failed(command:reason:output:)`` with all of its output.
    @discardableResult
    package static func run(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:],
        within span: Span = .seconds(60)
    ) throws(BenchError) -> String {
        try finish(Child(program, arguments, environment: environment), within: span)
    }

    /// The same while everything is being cleaned up.
    static func runLate(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws(BenchError) {
        try finish(Child(late: program, arguments, environment: environment), within: .seconds(60))
    }

    @discardableResult
    private static func finish(_ child: Child, within span: Span) throws(BenchError) -> String {
        let end = child.waitForEnd(within: span)
        let lines = child.lines()
        let reason: String
        switch end {
        case .exited(0):
            return lines.filter { !$0.isError }.map(\.text).joined(separator: "\n")
        case .exited(let status): reason = "ended with \(status)"
        case .signalled(let signal): reason = "was ended by signal \(signal)"
        case nil:
            child.send(SIGKILL)
            reason = "did not end within \(span.milliseconds) ms"
        }
        throw .failed(
            command: child.command,
            reason: reason,
            output: lines.map(\.text).joined(separator: "\n")
        )
    }
}
