package import RingIPAM
import RingPeer
package import RingRecords
package import RingRegisters

/// A known mistake that can be planted in a whole peer, so that the swarm shows it would find it.
package enum RingFlaw: Hashable, Sendable, CustomStringConvertible {
    /// One of the registers'.
    case register(RegisterFlaw)
    /// One of the allocator's.
    case address(IPAMFlaw)
    /// One of the records'.
    case record(RecordFlaw)
    /// What depends on a write is done before the write is durable, in every part of the peer.
    case fsyncForgotten

    /// All that are shown to be found.
    ///
    /// A pause that goes unnoticed is not yet: no crafted run shows it, and seeds seldom do.
    package static var all: [RingFlaw] {
        let shown = IPAMFlaw.allCases.filter { $0 != .pauseUnnoticed }
        return RegisterFlaw.allCases.map { .register($0) } + shown.map { .address($0) }
            + RecordFlaw.allCases.map { .record($0) } + [.fsyncForgotten]
    }

    /// The name on a command line: `registers.sealSkipped`.
    package var description: String {
        switch self {
        case .register(let flaw): "registers.\(flaw.rawValue)"
        case .address(let flaw): "addresses.\(flaw.rawValue)"
        case .record(let flaw): "records.\(flaw.rawValue)"
        case .fsyncForgotten: "fsyncForgotten"
        }
    }

    /// Reads what ``description`` says; nil for anything else.
    package init?(_ name: String) {
        let known = Self.all + [.address(.pauseUnnoticed)]
        guard let flaw = known.first(where: { $0.description == name }) else { return nil }
        self = flaw
    }

    /// The test whose crafted run catches the mistake, where random seeds show it seldom or never;
    /// nil where seeds have to.
    package var craftedRun: String? {
        switch self {
        case .register(.copyFromOne): "ConsensusTests"
        case .register(.oldCopyServes): "StewardTests"
        case .register(.inheritedCountsAsChosen): "InheritedValueTests"
        case .address(.pauseUnnoticed), .register, .fsyncForgotten: nil
        case .address: "AddressFlawTests"
        case .record: "RecordScenarioTests"
        }
    }

    func plant(in settings: inout PeerProcess.Settings) {
        switch self {
        case .register(let flaw): settings.parameters.registers.flaws.append(flaw)
        case .address(let flaw): settings.parameters.ipam.flaws.append(flaw)
        case .record(let flaw): settings.parameters.records.flaws.append(flaw)
        case .fsyncForgotten: settings.forgetsToSync = true
        }
    }
}
