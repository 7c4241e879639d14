/// The keys that seal datagrams change as everything else in the configuration does: each change is
/// the next epoch.
///
/// A rotation is three changes: install the new key, use it, remove the old one. After each of them
/// peers of that epoch and of the one before understand one another; who waits between the changes
/// until every peer has followed loses nobody.
extension RingConfiguration {
    /// The configuration in which datagrams of one more key are opened.
    ///
    /// `secret` is the name of the key that comes from the cluster's secret. Refused where the keys
    /// are others than the `expected` ones, if any are named.
    package func installing(
        _ id: RingKey.ID,
        _ origin: RingKey.Origin,
        expected: [RingKey.ID]? = nil,
        secret: RingKey.ID
    ) -> Change {
        let present = gossipKeys.all(secret: secret)
        if let same = present.first(where: { $0.id == id }) {
            return same.origin == origin ? .unchanged : .refused(.keyClash(id))
        }
        if let expected, expected.map(\.number).sorted() != present.map(\.id.number).sorted() {
            return .refused(.otherKeys(known: present.map(\.id)))
        }
        guard present.count < RingKeys.countMax else { return .refused(.keysFull) }
        let added = RingKey(id: id, origin: origin, epoch: epoch + 1)
        return next(
            gossipKeys: RingKeys(
                keys: present + [added],
                sealingEpoch: gossipKeys.sealingEpoch
            )
        )
    }

    /// The configuration in which the key of that name seals; unchanged where `isForward` and one
    /// that was installed later seals already.
    package func using(
        _ id: RingKey.ID,
        isForward: Bool = false,
        secret: RingKey.ID
    ) -> Change {
        var keys = gossipKeys.all(secret: secret)
        guard let index = keys.firstIndex(where: { $0.id == id }) else {
            return .refused(.unknownKey(id, known: keys.map(\.id)))
        }
        guard index > 0, !isForward || keys[0].epoch <= keys[index].epoch else { return .unchanged }
        keys.insert(keys.remove(at: index), at: 0)
        return next(gossipKeys: RingKeys(keys: keys, sealingEpoch: epoch + 1))
    }

    /// The configuration in which datagrams of the key of that name are opened no longer.
    package func removing(_ id: RingKey.ID, secret: RingKey.ID) -> Change {
        var keys = gossipKeys.all(secret: secret)
        guard let index = keys.firstIndex(where: { $0.id == id }) else {
            return .refused(.unknownKey(id, known: keys.map(\.id)))
        }
        guard index > 0 else { return .refused(.keyInUse(id)) }
        keys.remove(at: index)
        return next(
            gossipKeys: RingKeys(keys: keys, sealingEpoch: gossipKeys.sealingEpoch)
        )
    }
}
