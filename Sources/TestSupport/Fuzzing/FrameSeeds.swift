import Determinism
import RingIPAM
import RingMembership
import RingPeer
import RingPlacement
import RingRecords
import RingRegisters
import Wire

/// Conversations to start from, one of each kind of message.
enum FrameSeeds {
    static var all: [FuzzSeed] { peers + registers + records + recoveries }

    private static func seed(
        _ name: String,
        from speaker: UInt8,
        _ frames: [PeerFrame]
    ) -> FuzzSeed {
        var writer = ByteWriter()
        writer.write(speaker)
        for frame in frames {
            let bytes = frame.encoded
            writer.write(UInt16(bytes.count))
            writer.write(raw: bytes)
        }
        return FuzzSeed(name, writer.bytes)
    }

    /// The change from the configuration that the peer has to the next one, if it has one.
    private static var change: [PeerFrame] {
        let (from, to) = (
            FuzzWorld.configuration(epoch: 2), FuzzWorld.configuration(epoch: 3, weight: 7)
        )
        return [ConfigurationDelta(from: from, to: to, digest: to.digest)].compactMap { delta in
            delta.map { .configurationChange($0) }
        }
    }

    private static func admission(of number: UInt64, by speaker: UInt8, _ name: String) -> FuzzSeed
    {
        let member = RingMember(
            id: FuzzWorld.node(number),
            name: "node-\(number)",
            zone: "a",
            address: FuzzWorld.address(number)
        )
        return seed(name, from: speaker, [.admission(epoch: 2, member)])
    }

    private static var peers: [FuzzSeed] {
        let newer = FuzzWorld.configuration(epoch: 3)
        let other = RingID(bits: FuzzWorld.node(99))
        let sums = (0..<MemberDigests.bucketCount).map { UInt64($0) }
        let facts = [FuzzWorld.fact(1, .suspect), FuzzWorld.fact(2), FuzzWorld.fact(6)]
        return [
            seed("hello", from: 6, [.hello(ring: nil, sender: FuzzWorld.fact(6))]),
            seed(
                "hello-of-another-ring",
                from: 6,
                [.hello(ring: other, sender: FuzzWorld.fact(6))]
            ),
            seed("hello-in-anothers-name", from: 6, [.hello(ring: nil, sender: FuzzWorld.fact(2))]),
            seed("welcome", from: 2, [.welcome(newer, facts)]),
            seed("refusal", from: 2, [.refusal(.ring, ring: other, reason: "another ring")]),
            seed(
                "sums-of-members",
                from: 4,
                [.membership(.summary(sums, sender: FuzzWorld.fact(4)))]
            ),
            seed(
                "sums-in-anothers-name",
                from: 4,
                [.membership(.summary(sums, sender: FuzzWorld.fact(2)))]
            ),
            seed(
                "facts-of-members",
                from: 4,
                [.membership(.facts(facts, wanted: [0, 1, 63, 255]))]
            ),
            seed("probe", from: 4, [.probe(sequence: 5, epoch: 3)]),
            seed("probe-answer", from: 4, [.probeAnswer(sequence: 5, epoch: 2, FuzzWorld.fact(4))]),
            seed("configuration-request", from: 4, [.configurationRequest(epoch: 1)]),
            seed("change-of-configuration", from: 4, change),
            admission(of: 6, by: 6, "admission"),
            admission(of: 6, by: 4, "admission-in-anothers-name"),
            seed("configuration", from: 3, [.configuration(newer)]),
        ]
    }

    private static var recoveries: [FuzzSeed] {
        let block = Testimony.Block(
            key: "ipam/5/0",
            owner: BlockOwner(node: FuzzWorld.node(2), fence: 3, era: 1)
        )
        let testimony = Testimony(
            epoch: 2,
            registry: FuzzWorld.ring.bits,
            group: FuzzWorld.stewards(epoch: 1),
            successor: FuzzWorld.stewards(epoch: 2),
            boot: BootRecord(boot: 3, token: 4, era: 1),
            blocks: [block]
        )
        let messages: [RecoveryMessage] = [
            .ask(round: 1, isBinding: false), .ask(round: 2, isBinding: true),
            .told(round: 1, testimony),
        ]
        let look = RegisterMessage.look(round: 5, epoch: 1, key: "k")
        let sealed = RegisterMessage.seal(
            round: 1,
            epoch: 1,
            next: FuzzWorld.stewards(epoch: RegistryEra.length)
        )
        return [
            seed("recovery", from: 2, messages.map { .recovery($0.encoded) }),
            seed("another-registry", from: 2, [.registerOf(FuzzWorld.node(9), look.encoded)]),
            seed(
                "sealed-for-a-recovery",
                from: 2,
                [.register(sealed.encoded), .register(look.encoded)]
            ),
        ]
    }

    private static func register(
        _ name: String,
        from speaker: UInt8,
        _ messages: [RegisterMessage]
    ) -> FuzzSeed {
        seed(name, from: speaker, messages.map { .register($0.encoded) })
    }

    private static var registers: [FuzzSeed] {
        let ballot = Ballot(epoch: 1, counter: 9, proposer: FuzzWorld.node(2), boot: 3)
        let operation = OperationID(node: FuzzWorld.node(2), boot: 3, number: 1)
        func accepted(_ version: UInt64, _ payload: [UInt8]?) -> AcceptedValue {
            let value = RegisterValue(version: version, operation: operation, payload: payload)
            return AcceptedValue(ballot: ballot, value: value)
        }
        let group = FuzzWorld.stewards(epoch: 2)
        let entry = RegisterEntry(key: "k", accepted: accepted(1, [7]))
        let newer = FuzzWorld.configuration(epoch: 3).encoded
        let older = FuzzWorld.configuration(epoch: 3, weight: 1).encoded
        // The rounds that the peer has under way: its configuration, its change, its list.
        return [
            register(
                "steward-asked",
                from: 4,
                [
                    .prepare(round: 1, epoch: 1, key: "k", ballot: ballot),
                    .accept(round: 2, epoch: 1, key: "k", accepted(1, [7]), next: ballot),
                    .look(round: 5, epoch: 1, key: "k"), .identify(round: 6),
                    .list(round: 3, epoch: 1, prefix: "k"),
                    .prepare(round: 4, epoch: 2, key: "k", ballot: ballot),
                ]
            ),
            register(
                "a-command-handed-on",
                from: 4,
                [
                    .perform(round: 1, .read(key: "k")),
                    .perform(
                        round: 2,
                        .compareAndSet(
                            key: "k",
                            expectedVersion: 0,
                            payload: [7],
                            operation
                        )
                    ),
                    .performed(round: 1, .value(.never)), .performed(round: 2, .indeterminate),
                ]
            ),
            register(
                "promises-of-a-configuration",
                from: 2,
                [.seen(round: 1, accepted(1, newer)), .accepted(round: 4)]
            ),
            register(
                "a-configuration-at-the-last-version",
                from: 2,
                [.seen(round: 1, accepted(.max, older)), .accepted(round: 4)]
                    + (4...8).map { .promise(round: $0, nil) }
            ),
            register(
                "a-change-of-stewards",
                from: 4,
                [
                    .seal(round: 1, epoch: 1, next: group), .seal(round: 1, epoch: 2, next: group),
                    .fetch(round: 2, epoch: 1, after: nil),
                    .install(round: 3, group, part: 0, [entry], isLast: false),
                    .install(round: 3, group, part: 1, [], isLast: true),
                    .wrongEpoch(round: 1, group), .notReady(round: 1), .sealed(round: 1),
                    .entries(round: 1, [entry], isLast: true), .installed(round: 1, part: 0),
                    .identity(round: 1, storage: FuzzWorld.storage(3)),
                ]
            ),
            register("promises-of-nothing", from: 2, (1...6).map { .promise(round: $0, nil) }),
            register(
                "a-change-made-already",
                from: 3,
                (1...6).map { .promise(round: $0, accepted(1, nil)) }
            ),
            register(
                "a-version-at-the-end",
                from: 3,
                (1...6).map { .promise(round: $0, accepted(.max - 1, [1])) }
            ),
            register(
                "refused",
                from: 2,
                [
                    .rejected(round: 1, promised: ballot), .wrongEpoch(round: 2, group),
                    .accepted(round: 2),
                ]
            ),
            register(
                "follower",
                from: 4,
                [
                    .follow(round: 1, epoch: 1, [FollowedVersion(key: "k", version: 0)]),
                    .prepare(round: 2, epoch: 1, key: "k", ballot: ballot),
                    .accept(round: 3, epoch: 1, key: "k", accepted(1, [7]), next: ballot),
                    .follow(round: 4, epoch: 1, []), .follow(round: 5, epoch: 2, []),
                ]
            ),
            register("news", from: 2, [.news(round: 1, [entry], isLast: true)]),
            register(
                "names-of-blocks",
                from: 2,
                (1...6).map { .keys(round: $0, ["ipam/1/0", "ipam/1/1", "ipam/1/x"]) }
            ),
        ]
    }

    private static func record(
        _ name: String,
        from speaker: UInt8,
        _ messages: [RecordMessage]
    ) -> FuzzSeed {
        seed(name, from: speaker, messages.map { .record($0.encoded) })
    }

    private static var records: [FuzzSeed] {
        let topic = FuzzWorld.topic
        let newer = OriginSet(
            topic: topic,
            origin: FuzzWorld.node(2),
            version: RecordVersion(boot: 3, sequence: 3),
            records: [OriginSet.Record(key: "b", content: [1])]
        )
        let own = OriginSet(
            topic: topic,
            origin: FuzzWorld.node(1),
            version: RecordVersion(boot: 3, sequence: 9),
            records: []
        )
        let summaries = [newer, own].map {
            SetSummary(topic: $0.topic, origin: $0.origin, version: $0.version)
        }
        let versions = [newer, own].map {
            OriginVersion(origin: $0.origin, version: $0.version)
        }
        let delta = SetDelta(from: FuzzWorld.sets[1], to: newer)
        let standing = RecordMessage.Standing(isWhole: false, sources: [FuzzWorld.node(4)])
        let snapshot = RecordMessage.snapshot(
            epoch: 2,
            topic: topic,
            standing,
            part: 0,
            revision: 9,
            sets: [newer]
        )
        let verdicts = (UInt32(0)..<5).map {
            RecordMessage.SlotVerdict(slot: $0, finding: $0 < 3 ? .same : .notHeld)
        }
        func topics(slot: UInt32) -> RecordMessage {
            .topics(
                epoch: 2,
                slot: slot,
                isWhole: true,
                after: Topic(""),
                isLast: true,
                topics: [.init(topic: topic, digest: 5)]
            )
        }
        let compared = RecordMessage.versions(epoch: 2, topic: topic, versions: versions)
        return [
            record("put", from: 2, [.put(epoch: 2, sets: [newer])]),
            record("put-of-own", from: 2, [.put(epoch: 2, sets: [own])]),
            record("put-delta", from: 2, [.putDelta(epoch: 2, delta)]),
            record("stored", from: 3, [.stored(epoch: 2, isOwner: true, summaries: summaries)]),
            record(
                "stored-former",
                from: 4,
                [.stored(epoch: 2, isOwner: false, summaries: summaries)]
            ),
            record("not-owner", from: 3, [.notOwner(epoch: 3, topic: topic)]),
            record("watch", from: 4, [.watch(epoch: 2, topic: topic, after: 0, known: versions)]),
            record(
                "watch-on",
                from: 4,
                [.watch(epoch: 2, topic: topic, after: 3 << 32, known: [])]
            ),
            record("snapshot-2", from: 2, [snapshot]),
            record("snapshot-3", from: 3, [snapshot]),
            record("change", from: 2, [.change(revision: 10, previous: 9, newer)]),
            record("change-delta", from: 2, [.changeDelta(revision: 10, previous: 9, delta)]),
            record("change-of-own", from: 2, [.change(revision: 10, previous: 9, own)]),
            record("resync", from: 2, [.resync(topic: topic)]),
            record("unwatch", from: 4, [.unwatch(topic: topic)]),
            record("read", from: 4, [.read(epoch: 2, request: 5, topic: topic)]),
            record(
                "contents",
                from: 2,
                (1...4).map {
                    .contents(
                        epoch: 2,
                        request: $0,
                        standing,
                        part: 0,
                        isLast: $0 != 2,
                        sets: [newer]
                    )
                }
            ),
            record(
                "digests",
                from: 2,
                [.digests(epoch: 2, slots: (0..<5).map { .init(slot: $0, digest: UInt64($0)) })]
            ),
            record("verdicts", from: 2, [.verdicts(epoch: 2, slots: verdicts)]),
            record("topics", from: 2, (0..<4).map { topics(slot: $0) } + [compared]),
            record("compare", from: 2, [.compare(epoch: 2, topics: [topic, topic])]),
            record("fetch", from: 3, [.fetch(epoch: 2, summaries: summaries + summaries)]),
            record("hint", from: 3, [.hint(epoch: 1, sets: [newer, own])]),
        ]
    }
}
