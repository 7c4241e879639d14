/// Bytes that wait for the socket, in order.
struct OutgoingBuffer {
    private var bytes: [UInt8] = []
    private var head = 0

    /// What is taken from the front is given back to the allocator in steps of this size.
    private static let compactByteCount = 1 << 20

    /// The number of bytes that wait.
    var count: Int { bytes.count - head }

    /// Appends `count` bytes, which `fill` writes.
    mutating func append(_ count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        bytes += [UInt8](unsafeUninitializedCapacity: count) { chunk, initializedCount in
            fill(
                UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(chunk)[..<count]
                )
            )
            initializedCount = count
        }
    }

    /// Calls `body` with everything that waits.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[head...])) }
    }

    /// Drops `count` bytes from the front.
    mutating func removeFirst(_ count: Int) {
        precondition(count <= self.count, "only what waits can go")
        head += count
        if head == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= Self.compactByteCount)
            head = 0
        } else if head >= Self.compactByteCount, head >= bytes.count / 2 {
            bytes.removeSubrange(..<head)
            head = 0
        }
    }
}
