import Addressing
import Determinism
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters

/// What of a world's peers a measurement looks at, read in place: a copy of each would cost more
/// than the run.
extension World<PeerProcess> {
    /// Whether the first `count` nodes have one configuration with all of them in it, and know all.
    mutating func isOneRing(of count: Int) -> Bool {
        let epoch = epoch(0)
        for node in 0..<count {
            let isIn = nodes[node].process?.isWhole(epoch: epoch, count: count) ?? false
            if !isIn { return false }
        }
        return true
    }

    /// How far the first `count` nodes are, for people.
    mutating func census(of count: Int) -> String {
        var epochs: [UInt64: Int] = [:]
        var known: [Int: Int] = [:]
        for node in 0..<count {
            guard let (epoch, members, present) = nodes[node].process?.readCensus() else {
                continue
            }
            epochs[epoch, default: 0] += 1
            known[min(members, present), default: 0] += 1
        }
        return
            "epochs \(epochs.sorted { $0.key < $1.key }), known \(known.sorted { $0.key < $1.key })"
    }

    /// Whether all of the first `nodes` nodes have a later epoch.
    mutating func haveEpoch(after epoch: UInt64, nodes count: Int) -> Bool {
        (0..<count).allSatisfy { self.epoch($0) > epoch }
    }

    /// The epoch of a node; 0 while it is down.
    mutating func epoch(_ node: Int) -> UInt64 { nodes[node].process?.readCensus().epoch ?? 0 }

    /// The slots that new owners still take over, over the first `nodes` nodes.
    mutating func slotsArriving(nodes count: Int) -> Int {
        var sum = 0
        for node in 0..<count { sum += nodes[node].process?.readSlotsArriving() ?? 0 }
        return sum
    }

    /// The number of stewards that node 0 knows.
    var stewardCount: Int { process(0)?.peer.configuration.stewards.members.count ?? 0 }

    /// An estimate of what one peer's tables take in memory: elements times their size in Swift's
    /// arrays, and the bytes of records and rows.
    mutating func tableBytes(_ node: Int) -> [(name: String, bytes: Int)] {
        guard let peer = process(node)?.peer else { return [] }
        let members = peer.membership.presentCount
        let entry = MemoryLayout<Membership.Member>.stride + 8 + 16 + 8
        let configured = peer.configuration.members.count
        let sets = peer.records.store.topicNames.flatMap { peer.records.store.sets($0) }
        let records = sets.reduce(0) { sum, set in
            sum + MemoryLayout<OriginSet>.stride + 64
                + set.records.reduce(0) {
                    $0 + MemoryLayout<OriginSet.Record>.stride + 32 + $1.content.count
                }
        }
        let slots = peer.placement.slotCount
        return [
            ("members", members * entry),
            ("configuration", configured * MemoryLayout<RingMember>.stride),
            // Ids, hash seeds and weights of members; owners of slots as numbers, and as lists.
            (
                "placement",
                configured * (16 + 8 + 8 + 8) + slots * peer.placement.ownerCount * 2
                    + configured * 16 + slots * (8 + 32 + 16 * peer.placement.ownerCount)
            ),
            ("records", records),
            ("addresses", peer.pool.inUse.count * 160 + peer.pool.blocks.count * 96),
        ]
    }
}

extension PeerProcess {
    /// Epoch, members of the configuration, and members that are present.
    mutating func readCensus() -> (epoch: UInt64, members: Int, present: Int) {
        (
            peer.configuration.epoch, peer.configuration.members.count,
            peer.membership.presentCount
        )
    }

    mutating func isWhole(epoch: UInt64, count: Int) -> Bool {
        readCensus() == (epoch, count, count)
    }

    mutating func readSlotsArriving() -> Int { peer.records.status.slotsArriving }
}

extension Traffic {
    /// What messages are for, as the frame's kinds tell.
    enum Kind: String, CaseIterable {
        case datagrams
        case membership = "membership over streams"
        case welcomes
        case configurations = "whole configurations"
        case changes = "changes of the configuration"
        case requests = "configuration requests"
        case registers
        case records

        /// The first bytes of frames; see ``RingPeer/PeerFrame``.
        var frames: [UInt8] {
            switch self {
            case .datagrams: [0]
            case .membership: [1, 3, 4, 9, 10]
            case .welcomes: [2]
            case .configurations: [6]
            case .changes: [13]
            case .requests: [5, 14]
            case .registers: [7]
            case .records: [8]
            }
        }
    }

    func bytes(_ kind: Kind, since before: Traffic) -> Double {
        kind.frames.reduce(0) {
            $0 + Double(amount(kind: $1).bytes - before.amount(kind: $1).bytes)
        }
    }

    func messages(_ kind: UInt8, _ inner: UInt8, since before: Traffic) -> Double {
        Double(
            amount(kind: kind, inner: inner).messages
                - before.amount(kind: kind, inner: inner).messages
        )
    }
}
