package import Determinism

extension Records {
    /// How many owners take part in a write or a read.
    package enum Level: Hashable, Sendable {
        /// Any one.
        case one
        /// So many that each read sees each write: the default.
        case quorum
        /// Every one.
        case all
    }

    /// Timing, quorums and bounds.
    package struct Parameters: Hashable, Sendable {
        /// What is due is looked for this often; everything urgent is done at once.
        ///
        /// The default is 250 ms.
        package var tickInterval = Span.milliseconds(250)
        /// Owners that must hold a publication before it counts.
        ///
        /// The default is 2 of 3.
        package var writeQuorum = 2
        /// An unacknowledged set is offered again after this long.
        ///
        /// The default is 500 ms.
        package var retryInterval = Span.milliseconds(500)
        /// A publication or read gives up after this long.
        ///
        /// The default is 2 s.
        package var requestTimeout = Span.seconds(2)
        /// A watch is renewed this often.
        ///
        /// The default is 5 s.
        package var watchRenewal = Span.seconds(5)
        /// A watcher that does not renew is dropped after this long.
        ///
        /// The default is 20 s.
        package var watchExpiry = Span.seconds(20)
        /// An owner that leaves a watch unanswered this long is passed over.
        ///
        /// The default is 1 s.
        package var watchTimeout = Span.seconds(1)
        /// Digests are compared with the next of the other owners this often; with so many more of
        /// them at a time that each has its turn within ``exchangeRound``.
        ///
        /// The default is 1 s.
        package var exchangeInterval = Span.seconds(1)
        /// Each other owner has its turn within this time: 25 s.
        package var exchangeRound = Span.seconds(25)
        /// A hand-over that is not done goes on this often.
        ///
        /// The default is 250 ms.
        package var handoverInterval = Span.milliseconds(250)
        /// Slots whose contents are compared with one peer at a time.
        ///
        /// The default is 16.
        package var handoversMax = 16
        /// What a peer hands over to others at the most, in bytes per second.
        ///
        /// The default is 16 MiB/s.
        package var handoverBytesPerSecond = 16 << 20
        /// A new owner does without former ones that do not answer for so long.
        ///
        /// The default is 5 s.
        package var handoverPatience = Span.seconds(5)
        /// A former owner keeps what it handed over for at least so long, and writes go to it for
        /// as long.
        ///
        /// The default is 30 s.
        package var formerOwnerGrace = Span.seconds(30)
        /// The most hints that are kept.
        ///
        /// The default is 4,096.
        package var hintsMax = 4_096
        /// The most bytes of sets that hints speak of.
        ///
        /// The default is 16 MiB.
        package var hintBytesMax = 16 << 20
        /// A hint is dropped after this long: comparing digests mends what it would have.
        ///
        /// The default is 10 min.
        package var hintAge = Span.seconds(600)
        /// The most topics of one watcher at an owner; further ones are not followed.
        ///
        /// The default is 16,384.
        package var watchesPerPeerMax = 16_384
        /// Mistakes for tests.
        package var flaws: [RecordFlaw] = []

        /// Makes the defaults.
        package init() {}
    }
}
