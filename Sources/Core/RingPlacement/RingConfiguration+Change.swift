package import Determinism
package import RingRegisters

extension RingConfiguration {
    /// What a wanted change makes of a configuration.
    package enum Change: Hashable, Sendable {
        /// The configuration with the change in it and the next epoch.
        case changed(RingConfiguration)
        /// Everything is already as wanted; no new epoch is needed.
        case unchanged
        /// The change cannot be made to this configuration.
        case refused(Refusal)
    }

    /// Why a change cannot be made.
    package enum Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// Another entry has this identity; it is updated, not added.
        case alreadyMember(NodeID)
        /// No member has this identity.
        case notMember(NodeID)
        /// The ring is as large as it may be.
        case full
        /// The member holds registers; the stewards have to change first.
        case isSteward(NodeID)
        /// The stewards' epoch is not the one that follows.
        case stewardEpoch(wanted: UInt64, given: UInt64)
        /// No epoch is left.
        case epochsExhausted
        /// No gossip key has this name.
        case unknownKey(RingKey.ID, known: [RingKey.ID])
        /// The gossip key seals; another has to be used first.
        case keyInUse(RingKey.ID)
        /// Another gossip key has this name.
        case keyClash(RingKey.ID)
        /// The ring has as many gossip keys as it may have.
        case keysFull
        /// The ring has other gossip keys than expected.
        case otherKeys(known: [RingKey.ID])

        package var description: String {
            switch self {
            case .alreadyMember(let id):
                "node \(id) is a member with other facts; update it instead of adding it"
            case .notMember(let id): "node \(id) is not a member; add it first"
            case .full:
                "the ring has \(RingConfiguration.memberCountMax) members, the most it may have; "
                    + "remove one first"
            case .isSteward(let id):
                "node \(id) holds registers; choose stewards without it first"
            case .stewardEpoch(let wanted, let given):
                "steward epoch \(given) does not follow, \(wanted) does; read the configuration again"
            case .epochsExhausted: "the ring has no epoch left; start a new ring"
            case .unknownKey(let id, let known):
                "there is no gossip key \(id) (known: "
                    + known.map(\.description).joined(separator: ", ")
                    + "); name one of these, or install it first"
            case .keyInUse(let id):
                "gossip key \(id) seals what peers send; use another before removing it"
            case .keyClash(let id):
                "another gossip key has the name \(id) already; install a different one"
            case .keysFull:
                "the ring has \(RingKeys.countMax) gossip keys, the most it may have; remove one "
                    + "first"
            case .otherKeys(let known):
                "somebody else changed the gossip keys meanwhile: there are "
                    + known.map(\.description).joined(separator: ", ") + " now; look at them again"
            }
        }
    }

    /// The configuration with one more member.
    package func adding(_ member: RingMember) -> Change {
        if let present = self.member(member.id) {
            return present == member ? .unchanged : .refused(.alreadyMember(member.id))
        }
        guard members.count < Self.memberCountMax else { return .refused(.full) }
        return next(members: members + [member])
    }

    /// The configuration without a member.
    ///
    /// A steward is refused: without its entry nobody would find the registers it holds.
    package func removing(_ id: NodeID) -> Change {
        guard member(id) != nil else { return .unchanged }
        guard stewards.steward(on: id) == nil else { return .refused(.isSteward(id)) }
        return next(
            members: members.filter { $0.id != id },
            leaving: leaving.filter { $0 != id }
        )
    }

    /// The configuration with other facts about one member.
    package func updating(_ member: RingMember) -> Change {
        guard let present = self.member(member.id) else { return .refused(.notMember(member.id)) }
        guard present != member else { return .unchanged }
        var changed = members
        changed[position(of: member.id)] = member
        return next(members: changed)
    }

    /// The configuration with a younger group of stewards; groups between may be passed over.
    package func replacing(stewards wanted: StewardSet) -> Change {
        guard wanted != stewards else { return .unchanged }
        for steward in wanted.members where member(steward.node) == nil {
            return .refused(.notMember(steward.node))
        }
        guard wanted.epoch > stewards.epoch else {
            return .refused(.stewardEpoch(wanted: stewards.epoch + 1, given: wanted.epoch))
        }
        return next(stewards: wanted)
    }

    /// The configuration with all of `wanted` as they are given, new or known, and with a younger
    /// group of stewards, in one epoch however many there are.
    ///
    /// New members for which there is no room are left out, and so is a group that cannot follow.
    package func settling(_ wanted: [RingMember], stewards group: StewardSet? = nil) -> Change {
        var changed = members
        var added: [RingMember] = []
        for member in wanted {
            let index = position(of: member.id)
            if index < members.count, members[index].id == member.id {
                changed[index] = member
            } else if !added.contains(where: { $0.id == member.id }),
                members.count + added.count < Self.memberCountMax
            {
                added.append(member)
            }
        }
        let isKnown = (group?.members ?? []).allSatisfy { steward in
            member(steward.node) != nil || added.contains { $0.id == steward.node }
        }
        let follows = (group?.epoch ?? 0) > stewards.epoch && isKnown
        guard !added.isEmpty || follows || changed != members else { return .unchanged }
        return next(members: changed + added, stewards: follows ? group : nil)
    }

    func next(
        members: [RingMember]? = nil,
        stewards: StewardSet? = nil,
        gossipKeys: RingKeys? = nil,
        leaving: [NodeID]? = nil
    ) -> Change {
        guard epoch < Self.epochMax else { return .refused(.epochsExhausted) }
        return .changed(
            RingConfiguration(
                ringID: ringID,
                epoch: epoch + 1,
                slotCount: slotCount,
                replicationFactor: replicationFactor,
                members: members ?? self.members,
                stewards: stewards ?? self.stewards,
                gossipKeys: gossipKeys ?? self.gossipKeys,
                registry: registry,
                leaving: leaving ?? self.leaving,
                unknownFields: unknownFields
            )
        )
    }
}
