package import Determinism
import Wire

/// Names one compare-and-set, so that repeating it cannot apply it twice.
package struct OperationID: Hashable, Sendable {
    /// The node that asked.
    package let node: NodeID
    /// The start of its process.
    package let boot: UInt64
    /// Its number within that start.
    package let number: UInt64

    /// Makes a name.
    package init(node: NodeID, boot: UInt64, number: UInt64) {
        self.node = node
        self.boot = boot
        self.number = number
    }

    /// Names nothing: the value of a register that was never written.
    package static let none = OperationID(node: NodeID(high: 0, low: 0), boot: 0, number: 0)
}

/// What a register holds.
package struct RegisterValue: Hashable, Sendable {
    /// The number of changes so far; zero while it was never written.
    package let version: UInt64
    /// The change that wrote it.
    package let operation: OperationID
    /// The content; nil while it was never written, and after it was deleted.
    package let payload: [UInt8]?

    /// Makes a value.
    package init(version: UInt64, operation: OperationID, payload: [UInt8]?) {
        self.version = version
        self.operation = operation
        self.payload = payload
    }

    /// The value of a register that was never written.
    package static let never = RegisterValue(version: 0, operation: .none, payload: nil)

    /// The longest content: a ring configuration of 8,192 members with names of usual length.
    package static let payloadLengthMax = 1 << 20
    /// The longest name of a register, in bytes.
    package static let keyLengthMax = 255

    func write(to writer: inout ByteWriter) {
        writer.write(version)
        writer.write(operation.node)
        writer.write(operation.boot)
        writer.write(operation.number)
        writer.write(payload != nil)
        writer.write(counted: payload ?? [])
    }

    init(from reader: inout ByteReader) throws(WireError) {
        version = try reader.readInteger("register version")
        operation = OperationID(
            node: try reader.readNodeID("operation node"),
            boot: try reader.readInteger("operation boot"),
            number: try reader.readInteger("operation number")
        )
        let isPresent = try reader.readFlag("has payload")
        let bytes = try reader.readCounted("payload", max: Self.payloadLengthMax)
        guard isPresent || bytes.isEmpty else { throw .malformed(field: "has payload") }
        payload = isPresent ? Array(bytes) : nil
    }
}

/// A value together with the ballot under which an acceptor took it.
package struct AcceptedValue: Hashable, Sendable {
    /// The ballot.
    package let ballot: Ballot
    /// The value.
    package let value: RegisterValue

    /// Makes the pair.
    package init(ballot: Ballot, value: RegisterValue) {
        self.ballot = ballot
        self.value = value
    }
}
