package import Determinism
import RingPeer
package import RingRegisters

/// A register that is followed: what it held last, and who waits for more.
final class FollowedRegister {
    /// Whether the node itself follows it.
    var isAgents = false
    var latest: RegisterValue?
    var waiters: [Int: AsyncStream<Void>.Continuation] = [:]
    var keptUntil = ContinuousClock.now
}

extension PeerService {
    /// How long a register is followed on for those who ask through the node API.
    private static let registerKept = Duration.seconds(30)
    /// The most registers that are followed for those who ask through the node API: the rest is
    /// for the node itself, whatever clients do.
    package static let registersAskedMax = RegisterFollowing.keysMax / 2

    /// Follows these registers for the node itself, and no others; ``registerChanges`` yields when
    /// one of them has changed, and at the first time that one is heard of.
    ///
    /// - Returns: those that could not be followed because there are too many.
    package func follow(registers keys: SortedSet<String>) -> [String] {
        for (key, followed) in registers where followed.isAgents && !keys.contains(key) {
            followed.isAgents = false
            unfollowUnused(key)
        }
        var refused: [String] = []
        for key in keys.elements {
            guard let followed = follow(key, known: 0) else {
                refused.append(key)
                continue
            }
            followed.isAgents = true
        }
        return refused
    }

    /// What a register that is followed held last, as far as this node has heard.
    package func followed(register key: String) -> RegisterValue? { registers[key]?.latest }

    /// Waits until a register has a later version than `version`, for `limit` at the most; ends as
    /// well when the task is cancelled and when the peer stops.
    ///
    /// - Returns: false where ``registersAskedMax`` others are followed for those who ask.
    package func waitForRegister(
        _ key: String,
        after version: UInt64,
        limit: Duration
    ) async -> Bool {
        let hasRoom =
            registers[key] != nil
            || registers.values.count { !$0.isAgents } < Self.registersAskedMax
        guard hasRoom, let followed = follow(key, known: version) else { return false }
        let deadline = ContinuousClock.now + limit
        let number = nextWatcher
        nextWatcher += 1
        while followed.latest?.version ?? 0 <= version, !isStopped, !Task.isCancelled {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { break }
            let (stream, continuation) = AsyncStream<Void>.makeStream(
                bufferingPolicy: .bufferingNewest(1)
            )
            followed.waiters[number] = continuation
            await first(of: stream, or: left)
            followed.waiters[number] = nil
        }
        guard !Task.isCancelled else {
            // Nobody is left to ask again.
            unfollowUnused(key)
            return true
        }
        followed.keptUntil = .now + Self.registerKept
        Task { [weak self] in
            try? await Task.sleep(for: Self.registerKept + .seconds(1))
            await self?.unfollowUnused(key)
        }
        return true
    }

    /// The registers that are followed.
    package func registersFollowed() -> Int { registers.count }

    private func follow(_ key: String, known version: UInt64) -> FollowedRegister? {
        if let followed = registers[key] { return followed }
        guard registers.count < RegisterFollowing.keysMax else { return nil }
        let followed = FollowedRegister()
        registers[key] = followed
        let now = now
        change { _ = $0.follow(register: key, known: version, now: now) }
        return followed
    }

    private func unfollowUnused(_ key: String) {
        guard let followed = registers[key], !followed.isAgents, followed.waiters.isEmpty,
            followed.keptUntil <= .now
        else { return }
        registers[key] = nil
        let now = now
        change { $0.unfollow(register: key, now: now) }
    }

    /// Notes what a register holds: told by the stewards, or read here.
    func noteRegister(_ key: String, _ value: RegisterValue) {
        guard let followed = registers[key], value.version > followed.latest?.version ?? 0 else {
            return
        }
        followed.latest = value
        for waiter in followed.waiters.values { waiter.yield() }
        if followed.isAgents { registerSignal.yield() }
    }
}
