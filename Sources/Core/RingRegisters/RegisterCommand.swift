/// What can be asked of registers.
package enum RegisterCommand: Hashable, Sendable {
    /// The value now, linearizable.
    case read(key: String)
    /// Sets the register if its version is still the expected one; nil deletes.
    case compareAndSet(key: String, expectedVersion: UInt64, payload: [UInt8]?, OperationID)
    /// The names of the registers that begin so and hold content; a steward that was cut off may
    /// have told of one that was deleted meanwhile, which a read shows.
    case list(prefix: String)
}

/// How a command ended.
package enum RegisterOutcome: Hashable, Sendable {
    /// What the register holds.
    case value(RegisterValue)
    /// The change took effect; the register held this then.
    case committed(RegisterValue)
    /// The change had no effect: the register holds this, of another version.
    case conflict(RegisterValue)
    /// The change may or may not have taken effect.
    case indeterminate
    /// No majority answered; nothing changed.
    case unavailable
    /// The command can never succeed.
    case refused(RegisterRefusal)
    /// The names that were asked for, ascending.
    case keys([String])
}

/// Why a command can never succeed.
package enum RegisterRefusal: Hashable, Sendable, CustomStringConvertible {
    /// The name is longer than a register's may be.
    case keyTooLong
    /// The content is longer than a register's may be.
    case payloadTooLong
    /// So many commands are under way already; try again when some have ended.
    case tooManyCommands(Int)

    package var description: String {
        switch self {
        case .keyTooLong: "its name is longer than \(RegisterValue.keyLengthMax) bytes"
        case .tooManyCommands(let count):
            "\(count) commands are under way here already: try again in a moment"
        case .payloadTooLong: "its content is longer than \(RegisterValue.payloadLengthMax) bytes"
        }
    }
}
