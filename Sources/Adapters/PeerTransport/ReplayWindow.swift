/// Which of a sender's counters were seen: the newest and the 1,023 below it.
///
/// What is older than the window counts as seen, so a datagram that was delayed by more than 1,023
/// others is lost, never taken twice.
/// - Source: RFC 4303 section 3.4.3; the blocks that are cleared whole are RFC 6479's.
struct ReplayWindow {
    /// The number of counters that the window tells apart.
    static let width: UInt64 = 1_024

    private var highest: UInt64 = 0
    private var words = [UInt64](repeating: 0, count: Int(blockCount))

    /// One block of 64 more than the window has: the newest block is only partly in use, and so is
    /// the oldest.
    private static let blockCount = width / 64 + 1

    /// Whether `counter` was not seen yet; counter 0 is never used.
    func isFresh(_ counter: UInt64) -> Bool {
        guard counter > 0 else { return false }
        if counter > highest { return true }
        guard highest - counter < Self.width else { return false }
        return words[Self.word(counter)] & Self.bit(counter) == 0
    }

    /// Marks a fresh counter as seen, once its datagram has proved genuine.
    mutating func mark(_ counter: UInt64) {
        precondition(isFresh(counter), "a counter is marked once")
        if counter > highest {
            let firstBlock = highest / 64 + 1
            let lastBlock = counter / 64
            if lastBlock >= firstBlock + Self.blockCount {
                for index in words.indices { words[index] = 0 }
            } else if firstBlock <= lastBlock {
                for block in firstBlock...lastBlock { words[Int(block % Self.blockCount)] = 0 }
            }
            highest = counter
        }
        words[Self.word(counter)] |= Self.bit(counter)
    }

    private static func word(_ counter: UInt64) -> Int { Int(counter / 64 % blockCount) }

    private static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter % 64) }
}
