/// A decoder of bytes from outside, with the laws that it must keep for every input.
///
/// The same bodies run under libFuzzer (`scripts/fuzz`) and in the unit tests, there with inputs
/// that follow from a seed.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// A datagram of the membership protocol, opened.
    case membership
    /// Frames between peers: who says them, then each frame behind its length.
    case frames
    /// A sealed datagram, as the socket gives it; or a recipe to alter a genuine one.
    case sealed
    /// A byte stream, and how it is cut.
    case stream
    /// Rows of the node's database: a kind, then the row.
    case rows
    /// What the node's own layers keep in records and registers: a kind, then the content.
    case model
    /// Configurations of networks, and what pods say of those they want: a kind, then a text.
    case selection

    /// Holds one input against the laws: of the codec alone, or also of the value behind it.
    ///
    /// - Throws: the law that it breaks; a trap is a finding as well.
    package func run(_ input: [UInt8], isDeep: Bool = true) throws(FuzzFinding) {
        switch self {
        case .membership: try MembershipFuzz.run(input, isDeep: isDeep)
        case .frames: try FrameFuzz.run(input, isDeep: isDeep)
        case .sealed: try SealFuzz.run(input, isDeep: isDeep)
        case .stream: try StreamFuzz.run(input)
        case .rows: try RowFuzz.run(input, isDeep: isDeep)
        case .model: try ModelFuzz.run(input)
        case .selection: try SelectionFuzz.run(input)
        }
    }

    /// Inputs to start from, each with its purpose for a name.
    package var seeds: [FuzzSeed] {
        switch self {
        case .membership: MembershipFuzz.seeds
        case .frames: FrameFuzz.seeds
        case .sealed: SealFuzz.seeds
        case .stream: StreamFuzz.seeds
        case .rows: RowFuzz.seeds
        case .model: ModelFuzz.seeds
        case .selection: SelectionFuzz.seeds
        }
    }
}

/// An input to start from.
package struct FuzzSeed: Sendable {
    /// What it is for; the name of its file.
    package let name: String
    /// The input.
    package let bytes: [UInt8]

    init(_ name: String, _ bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }
}

/// A law that an input broke.
package struct FuzzFinding: Error, CustomStringConvertible {
    /// The law, and what was there instead.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Fails with the law unless it holds.
func law(_ holds: Bool, _ text: @autoclosure () -> String) throws(FuzzFinding) {
    guard holds else { throw FuzzFinding(text()) }
}
