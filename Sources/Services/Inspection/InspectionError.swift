import LocalAPI
import LocalSocket

/// Why a command could not do what it was asked.
enum InspectionError: Error, CustomStringConvertible {
    /// The socket did not answer.
    case unanswered(LocalSocketError)
    /// The daemon refused.
    case refused(ErrorAnswer)
    /// The daemon answered something that this release cannot read.
    case unreadable(path: String, status: Int, detail: String)
    /// A file could not be written.
    case unwritable(path: String, detail: String)
    /// A file could not be read, or holds something else.
    case unreadableFile(path: String, detail: String)
    /// Several steps were wanted, and not all were done.
    case unfinished(reason: String, done: String, next: String)
    /// A register has another version than the expected one.
    case conflict(RegisterStatus, expectedVersion: UInt64)
    /// Lost registers are founded anew by somebody's word only.
    case recoveryRefused(RecoveryStatus)
    /// A pod's packets cannot be captured.
    case uncapturable(pod: String, detail: String)
    /// A register may have been set, or not.
    case indeterminate(key: String, reason: String)

    /// The exit status: 1, 2 for what could not be meant, or one of their own for how a
    /// compare-and-set may end.
    var exitStatus: Int32 {
        switch self {
        case .indeterminate: 3
        case .conflict: 4
        case .refused(let answer): answer.code.hasSuffix("malformed") ? 2 : 1
        case .unanswered, .unreadable, .unwritable, .unreadableFile, .unfinished,
            .recoveryRefused, .uncapturable:
            1
        }
    }

    var description: String {
        switch self {
        case .unanswered(let error): error.description
        case .refused(let answer): answer.message
        case .unreadable(let path, let status, let detail):
            "cannot read the answer to \(path) (status \(status): \(detail)); genie-ring and genied "
                + "may be of different releases: compare them with 'genie-ring version'"
        case .unwritable(let path, let detail): "cannot write \(path): \(detail)"
        case .unreadableFile(let path, let detail): "cannot use \(path): \(detail)"
        case .unfinished(let reason, let done, let next): "\(reason). So far: \(done); \(next)"
        case .conflict(let register, let expected):
            "register \(register.key) was not set: it has version \(register.version), not "
                + "\(expected), and holds "
                + (register.isPresent ? String(register.shown.prefix(200)) : "nothing")
        case .recoveryRefused(let status): status.refusal
        case .uncapturable(let pod, let detail): "cannot capture '\(pod)': \(detail)"
        case .indeterminate(let key, let reason):
            "it is not known whether register \(key) was set (\(reason)): read it with 'genie-ring "
                + "register get \(key)' before trying again"
        }
    }
}
