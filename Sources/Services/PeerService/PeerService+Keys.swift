import Determinism
import Logging
import PeerTransport
import RingMembership
import RingPeer
package import RingPlacement
import RingRegisters

/// One gossip key of the ring, and who has it.
package struct KeyStatus: Hashable, Sendable {
    /// The key; who prints it shows no bytes.
    package let key: RingKey
    /// Whether it is the one that seals.
    package let isSealing: Bool
    /// The members that answer and are known to have it, this node included.
    package let holders: [String]
    /// The members that answer and are not known to have it.
    package let lacking: [String]
}

/// What a change of the keys came to.
package struct KeyChange: Hashable, Sendable {
    /// The key that it was about.
    package let id: RingKey.ID
    /// Whether anything changed.
    package let isChanged: Bool
    /// The epoch in which everything is as wanted.
    package let epoch: UInt64
}

/// Why a change of the keys was not made.
package enum KeyChangeFailure: Error, Hashable, Sendable {
    /// This node belongs to no ring yet.
    case notJoined
    /// The register did not do it.
    case registers(RegisterFailure)
    /// The register holds what this release cannot read.
    case unreadable
    /// Others kept changing the configuration.
    case contended
    /// It cannot be done to the keys as they are.
    case refused(RingConfiguration.Refusal)
    /// Members that answer are not known to have the key: they could not open what it seals.
    case lacking(RingKey.ID, members: [String])
    /// Members that answer may still seal with the key: nobody could open what they send.
    case sealing(RingKey.ID, members: [String])
}

extension PeerService {
    private static let attemptsMax = 8
    /// How long a member of the configuration of which nothing was heard counts as one that will
    /// answer: a peer that has just started knows nobody yet.
    private static let introduction = Span.seconds(10)
    /// Members asked at once for their epochs.
    private static let askedMax = 64

    /// The key that comes from the cluster's secret.
    var secretKey: RingKey.ID { RingKey.ID(number: settings.secret.gossipKey.id.number) }

    /// The keys in force, the first of which seals; empty before this node belongs to a ring.
    package func keys() -> (epoch: UInt64, keys: [KeyStatus]) {
        guard let peer else { return (0, []) }
        let keys = peer.configuration.gossipKeys.all(secret: secretKey)
        let status = keys.enumerated().map { index, key in
            let lacking = behind(key.epoch)
            let holders = living().filter { member in !lacking.contains { $0 == member } }
            return KeyStatus(
                key: key,
                isSealing: index == 0,
                holders: ([peer.identity.name] + holders.map(\.name)).sorted(),
                lacking: lacking.map(\.name).sorted()
            )
        }
        return (peer.configuration.epoch, status)
    }

    /// Reads the configuration's register and puts what it holds into force here, so that
    /// ``keys()`` tells of changes that other nodes made a moment ago.
    package func refreshKeys() async throws(KeyChangeFailure) {
        guard peer != nil else { throw .notJoined }
        adopt(try Self.agreed(try await readConfiguration()))
    }

    /// Has everybody open datagrams of one more key: the given one, or a new one from the operating
    /// system's generator; only beside exactly the `expected` ones, if any are named.
    package func installKey(
        _ given: RingKey.Bytes?,
        expected: [RingKey.ID]? = nil
    ) async throws(KeyChangeFailure) -> KeyChange {
        let key = given ?? Self.generate()
        let id = RingKey.ID(number: GossipKey(bytes: key.content).id.number)
        let secret = secretKey
        return try await changeKeys(id) { configuration throws(KeyChangeFailure) in
            configuration.installing(id, .generated(key), expected: expected, secret: secret)
        }
    }

    private static func generate() -> RingKey.Bytes {
        var generator = SystemRandomNumberGenerator()
        return RingKey.Bytes(
            (0..<RingKey.byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
        )
    }

    /// Has everybody seal with the key of that name.
    ///
    /// Refused with `.lacking` while a member that answers is not known to have the key, unless
    /// `isForced`; unchanged where `isForward` and a key that was installed later seals already.
    package func useKey(
        _ id: RingKey.ID,
        isForced: Bool,
        isForward: Bool = false
    ) async throws(KeyChangeFailure) -> KeyChange {
        let secret = secretKey
        return try await changeKeys(id) { configuration throws(KeyChangeFailure) in
            let change = configuration.using(id, isForward: isForward, secret: secret)
            let key = configuration.gossipKeys.all(secret: secret).first { $0.id == id }
            if case .changed = change, let key, !isForced {
                let lacking = behind(key.epoch)
                guard lacking.isEmpty else {
                    ask(lacking)
                    throw .lacking(id, members: lacking.map(\.name).sorted())
                }
            }
            return change
        }
    }

    /// Has nobody open datagrams of the key of that name any more.
    ///
    /// Refused with `.sealing` while a member that answers may still seal with it, unless
    /// `isForced`.
    package func removeKey(
        _ id: RingKey.ID,
        isForced: Bool
    ) async throws(KeyChangeFailure) -> KeyChange {
        let secret = secretKey
        return try await changeKeys(id) { configuration throws(KeyChangeFailure) in
            let change = configuration.removing(id, secret: secret)
            if case .changed = change, !isForced {
                let sealing = behind(configuration.gossipKeys.sealingEpoch)
                guard sealing.isEmpty else {
                    ask(sealing)
                    throw .sealing(id, members: sealing.map(\.name).sorted())
                }
            }
            return change
        }
    }

    /// Makes the seal's keys those of a configuration.
    func adoptKeys(_ configuration: RingConfiguration) {
        keysEpoch = configuration.epoch
        let keys = configuration.gossipKeys.all(secret: secretKey).map { key in
            switch key.origin {
            case .clusterSecret: settings.secret.gossipKey
            case .generated(let bytes): GossipKey(bytes: bytes.content)
            }
        }
        guard let seal else { return }
        guard let keyring = Keyring(keys) else {
            logger.error(
                "gossip keys refused: their names clash or there are too many; the old ones stay",
                metadata: ["epoch": "\(configuration.epoch)", "keys": "\(keys.count)"]
            )
            return
        }
        guard keyring.keys != seal.keyring.keys else { return }
        seal.adopt(keyring)
        logger.notice(
            "gossip keys changed",
            metadata: [
                "epoch": "\(configuration.epoch)", "sealing": "\(keyring.sealing.id)",
                "keys": "\(keyring.keys.count)",
            ]
        )
    }

    /// A member that answers, or that has not had time to.
    private struct Living: Hashable {
        let id: NodeID
        let name: String
    }

    private func living() -> [Living] {
        guard let peer else { return [] }
        var living = peer.membership.members.filter { !$0.fact.status.isGone }
            .map { Living(id: $0.fact.id, name: $0.fact.name) }
        guard now.since(enteredAt) < Self.introduction else { return living }
        for member in peer.configuration.members where member.id != peer.identity.node {
            guard peer.membership.member(member.id) == nil else { continue }
            living.append(Living(id: member.id, name: member.name))
        }
        return living
    }

    /// The living that were not heard to have reached an epoch.
    private func behind(_ epoch: UInt64) -> [Living] {
        guard let peer else { return [] }
        return living().filter { peer.heardEpoch(of: $0.id) < epoch }
    }

    /// In a large ring it takes minutes until everyone has sent a datagram to this very peer.
    private func ask(_ members: [Living]) {
        change { $0.askEpochs(of: members.shuffled().prefix(Self.askedMax).map(\.id)) }
    }

    /// Changes the configuration's register, and puts into force here what it then holds.
    ///
    /// Every change is one that can be made twice, so an unknown outcome is looked up by trying
    /// again.
    private func changeKeys(
        _ id: RingKey.ID,
        _ body: (RingConfiguration) throws(KeyChangeFailure) -> RingConfiguration.Change
    ) async throws(KeyChangeFailure) -> KeyChange {
        guard peer != nil else { throw .notJoined }
        var isUncertain = false
        for _ in 0..<Self.attemptsMax {
            let value = try await readConfiguration()
            let agreed = try Self.agreed(value)
            adopt(agreed)
            let wanted: RingConfiguration
            switch try body(agreed) {
            case .changed(let changed): wanted = changed
            case .unchanged:
                return KeyChange(id: id, isChanged: isUncertain, epoch: agreed.epoch)
            case .refused(.unknownKey) where isUncertain:
                // Removed, by the attempt whose outcome was unknown.
                return KeyChange(id: id, isChanged: true, epoch: agreed.epoch)
            case .refused(let refusal): throw .refused(refusal)
            }
            do throws(RegisterFailure) {
                let outcome = try await compareAndSet(
                    Peer.configurationKey,
                    expectedVersion: value.version,
                    content: wanted.encoded
                )
                guard case .committed = outcome else { continue }
            } catch {
                guard error == .indeterminate else { throw .registers(error) }
                isUncertain = true
                continue
            }
            adopt(wanted)
            return KeyChange(id: id, isChanged: true, epoch: wanted.epoch)
        }
        throw isUncertain ? .registers(.indeterminate) : .contended
    }

    private static func agreed(
        _ value: RegisterValue
    ) throws(KeyChangeFailure) -> RingConfiguration {
        // Nothing there yet: the founder is about to write it.
        guard let content = value.payload else { throw .registers(.unavailable) }
        guard let agreed = try? RingConfiguration(encoded: content[...]) else { throw .unreadable }
        return agreed
    }

    private func readConfiguration() async throws(KeyChangeFailure) -> RegisterValue {
        do throws(RegisterFailure) { return try await read(Peer.configurationKey) } catch {
            throw .registers(error)
        }
    }

    private func adopt(_ agreed: RingConfiguration) {
        let now = now
        change { $0.adopt(agreed: agreed, now: now) }
    }
}
