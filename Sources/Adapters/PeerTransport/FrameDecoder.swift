/// Cuts a byte stream into frames: a 32-bit big-endian length, and so many bytes.
package struct FrameDecoder {
    /// What the front of the stream holds.
    package enum Step: Equatable {
        /// A whole frame, taken off.
        case frame([UInt8])
        /// The rest has to come yet.
        case incomplete
        /// A frame longer than the limit: the stream cannot be followed any further.
        case oversized(length: Int)
    }

    /// The length of the length.
    package static let headerByteCount = 4

    private let lengthMax: Int
    private var bytes: [UInt8] = []
    private var head = 0

    /// An emptied buffer of more than this goes back to the allocator.
    private static let keptByteCount = 64 << 10

    /// Makes a decoder for frames of up to `lengthMax` bytes.
    package init(lengthMax: Int) {
        self.lengthMax = lengthMax
    }

    /// The four bytes that go before a frame of `length` bytes.
    package static func header(length: Int) -> [UInt8] {
        UInt64(length).bigEndianBytes.suffix(headerByteCount)
    }

    /// Takes bytes of the stream.
    package mutating func append(_ content: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: content)
    }

    /// Takes the next frame off the front.
    package mutating func next() -> Step {
        guard bytes.count - head >= Self.headerByteCount else { return wait() }
        let start = head + Self.headerByteCount
        let length = Int(UInt64(bigEndian: bytes[head..<start]))
        // Judged before its bytes come: nothing is kept for a frame that will be refused.
        guard length <= lengthMax else { return .oversized(length: length) }
        guard bytes.count - start >= length else { return wait() }
        head = start + length
        return .frame(Array(bytes[start..<head]))
    }

    private mutating func wait() -> Step {
        if head == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= Self.keptByteCount)
        } else if head > 0 {
            bytes.removeSubrange(..<head)
        }
        head = 0
        return .incomplete
    }
}
