/// A sorted map for very many entries: they lie in chunks, so that a new one moves few others.
///
/// Walked in key order like ``SortedMap``, which is the better one up to some thousand entries.
/// - Complexity: look-up O(log n), insertion and removal O(n / chunk + chunk) moves of small
///   elements.
public struct SortedRows<Key: Comparable, Value> {
    @usableFromInline
    typealias Entry = (key: Key, value: Value)

    /// The most entries of one chunk; a full one is cut in half.
    @usableFromInline
    static var chunkMax: Int { 256 }

    /// Never empty ones, ascending.
    @usableFromInline
    var chunks: [[Entry]] = []

    @usableFromInline
    var entryCount = 0

    /// The number of entries.
    @inlinable
    public var count: Int { entryCount }

    /// Makes an empty map.
    @inlinable
    public init() {}

    /// Whether there is no entry.
    @inlinable
    public var isEmpty: Bool { count == 0 }

    /// The keys, ascending.
    @inlinable
    public var keys: [Key] { map(\.key) }

    /// The value under `key`; nil reads as absent, and writing nil removes.
    @inlinable
    public subscript(key: Key) -> Value? {
        get {
            guard let chunk = chunk(of: key) else { return nil }
            let place = Self.position(of: key, in: chunks[chunk])
            guard place < chunks[chunk].count, chunks[chunk][place].key == key else { return nil }
            return chunks[chunk][place].value
        }
        set {
            guard let chunk = chunk(of: key) ?? chunks.indices.last else {
                if let newValue { insert((key, newValue), chunk: 0, place: 0) }
                return
            }
            let place = Self.position(of: key, in: chunks[chunk])
            let isPresent = place < chunks[chunk].count && chunks[chunk][place].key == key
            switch (isPresent, newValue) {
            case (true, let value?): chunks[chunk][place].value = value
            case (true, nil): remove(chunk: chunk, place: place)
            case (false, let value?): insert((key, value), chunk: chunk, place: place)
            case (false, nil): break
            }
        }
    }

    /// The entries whose keys are not below `key`, ascending, each looked at only when it is asked
    /// for.
    @inlinable
    public func suffix(from key: Key) -> Iterator {
        guard let chunk = chunk(of: key) else { return Iterator(chunks: [], chunk: 0, place: 0) }
        let place = Self.position(of: key, in: chunks[chunk])
        return Iterator(chunks: chunks, chunk: chunk, place: place)
    }

    @inlinable
    mutating func insert(_ entry: Entry, chunk: Int, place: Int) {
        entryCount += 1
        guard !chunks.isEmpty else {
            chunks.append([entry])
            return
        }
        chunks[chunk].insert(entry, at: place)
        guard chunks[chunk].count > Self.chunkMax else { return }
        let half = chunks[chunk].count / 2
        let upper = Array(chunks[chunk][half...])
        chunks[chunk].removeSubrange(half...)
        chunks.insert(upper, at: chunk + 1)
    }

    @inlinable
    mutating func remove(chunk: Int, place: Int) {
        entryCount -= 1
        chunks[chunk].remove(at: place)
        if chunks[chunk].isEmpty { chunks.remove(at: chunk) }
    }

    /// The first chunk whose last key is not below `key`; nil where `key` lies behind all.
    @inlinable
    func chunk(of key: Key) -> Int? {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle][chunks[middle].count - 1].key < key {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < chunks.count ? low : nil
    }

    @inlinable
    static func position(of key: Key, in entries: [Entry]) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SortedRows: Sequence {
    /// Walks entries, ascending by key.
    public struct Iterator: IteratorProtocol, Sequence {
        @usableFromInline
        let chunks: [[(key: Key, value: Value)]]
        @usableFromInline
        var chunk: Int
        @usableFromInline
        var place: Int

        @inlinable
        init(chunks: [[(key: Key, value: Value)]], chunk: Int, place: Int) {
            self.chunks = chunks
            self.chunk = chunk
            self.place = place
        }

        /// The next entry.
        @inlinable
        public mutating func next() -> (key: Key, value: Value)? {
            while chunk < chunks.count {
                if place < chunks[chunk].count {
                    defer { place += 1 }
                    return chunks[chunk][place]
                }
                chunk += 1
                place = 0
            }
            return nil
        }
    }

    /// Walks all entries, ascending by key.
    @inlinable
    public func makeIterator() -> Iterator { Iterator(chunks: chunks, chunk: 0, place: 0) }
}

extension SortedRows: Sendable where Key: Sendable, Value: Sendable {}
