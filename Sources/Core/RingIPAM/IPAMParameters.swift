package import Determinism

/// A known mistake in allocators that can be planted, so that tests show it would be found.
///
/// Never set outside of tests: nothing reads one from a file, an option or the network.
package enum IPAMFlaw: String, CaseIterable, Hashable, Sendable {
    /// An address is told before it is durable.
    case assignedBeforeDurable
    /// A release is told before it is durable.
    case releasedBeforeDurable
    /// A freed address is given out again at once.
    case quarantineSkipped
    /// A claim that another won counts as won.
    case duplicateClaimIsOwn
    /// A claim keeps the fence that the last owner had.
    case fenceNotRaised
    /// A process trusts its disk without asking the boot register.
    case bootUnchecked
    /// Blocks of an era that the disk does not remember are given out from.
    case oldEraAdopted
    /// A node that does not answer is taken for one that was removed.
    case reclaimedOnSilence
    /// A block is free as soon as it was taken or given back.
    case drainSkipped
    /// A block is given back although pods have addresses of it.
    case releasedInUse
    /// Of two addresses the first stays taken when there is no second.
    case halfPairKept
    /// A process that was stopped claims without a look at its boot register.
    case pauseUnnoticed
}

/// The knobs of the allocator; the defaults are those of `genied`.
package struct IPAMParameters: Sendable {
    /// How long a freed address rests: 60 s, longer than any map lags behind.
    package var rest = Span.seconds(60)
    /// How long a block that its owner gave back drains.
    package var releaseDrain = Span.seconds(60)
    /// How long a block of a removed node drains: 10 min.
    package var reclaimDrain = Span.seconds(600)
    /// A block that is empty for so long, and that the pool can do without, is given back.
    package var surplusAfter = Span.seconds(60)
    /// The last block of a pool that no pod uses is given back after so long.
    package var idleAfter = Span.seconds(600)
    /// How often blocks are looked through.
    package var upkeepInterval = Span.seconds(1)
    /// How often stewards look for nodes that were removed.
    package var reclaimInterval = Span.seconds(10)
    /// How often the boot register is read again.
    package var verifyInterval = Span.seconds(60)
    /// A process that did nothing for so long was stopped: it asks before it claims.
    package var pauseLongest = Span.seconds(5)
    /// For so long a subnet that had no block left is not asked again: 1 s.
    package var exhaustedFor = Span.seconds(1)
    /// How much longer it is left alone when no pod waits for an address of it.
    package var sparePause = Span.seconds(30)
    /// Planted mistakes; tests only.
    package var flaws: [IPAMFlaw] = []

    /// Makes the defaults.
    package init() {}
}
