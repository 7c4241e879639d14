/// A map that is always walked in key order, so that two processes with equal state act alike.
///
/// Its code is open to other modules and public, since the compiler specializes nothing of a
/// `package` declaration elsewhere: each look-up would cost several times as much.
/// The standard dictionary's order differs from process to process and is banned from cores.
/// - Complexity: look-up O(log n), insertion and removal O(n) moves of small elements.
public struct SortedMap<Key: Comparable, Value> {
    @usableFromInline var entries: [(key: Key, value: Value)] = []

    /// Makes an empty map.
    @inlinable
    public init() {}

    /// The number of entries.
    @inlinable
    public var count: Int { entries.count }

    /// Whether there is no entry.
    @inlinable
    public var isEmpty: Bool { entries.isEmpty }

    /// The keys, ascending.
    @inlinable
    public var keys: [Key] { entries.map(\.key) }

    /// The values, in the order of their keys.
    @inlinable
    public var values: [Value] { entries.map(\.value) }

    /// The value under `key`; nil reads as absent, and writing nil removes.
    @inlinable
    public subscript(key: Key) -> Value? {
        get {
            let index = position(of: key)
            return index < entries.count && entries[index].key == key ? entries[index].value : nil
        }
        set {
            let index = position(of: key)
            let isPresent = index < entries.count && entries[index].key == key
            switch (isPresent, newValue) {
            case (true, let value?): entries[index].value = value
            case (true, nil): entries.remove(at: index)
            case (false, let value?): entries.insert((key, value), at: index)
            case (false, nil): break
            }
        }
    }

    /// The value under `key`, or `fallback` while there is none; writing stores it.
    ///
    /// A change of a part of the value is made in place, so what it holds is not copied.
    @inlinable
    public subscript(key: Key, default fallback: @autoclosure () -> Value) -> Value {
        get { self[key] ?? fallback() }
        _modify {
            let index = position(of: key)
            if index == entries.count || entries[index].key != key {
                entries.insert((key, fallback()), at: index)
            }
            yield &entries[index].value
        }
    }

    /// The entries whose keys are not below `key`, ascending.
    @inlinable
    public func suffix(from key: Key) -> ArraySlice<(key: Key, value: Value)> {
        entries[position(of: key)...]
    }

    /// Removes and returns the value under `key`.
    @discardableResult
    @inlinable
    public mutating func remove(_ key: Key) -> Value? {
        let value = self[key]
        self[key] = nil
        return value
    }

    /// Removes every entry for which `isUnwanted` holds.
    @inlinable
    public mutating func removeAll(where isUnwanted: (Key, Value) -> Bool) {
        entries.removeAll { isUnwanted($0.key, $0.value) }
    }

    @inlinable
    func position(of key: Key) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SortedMap: Sequence {
    /// Walks the entries, ascending by key.
    @inlinable
    public func makeIterator() -> IndexingIterator<[(key: Key, value: Value)]> {
        entries.makeIterator()
    }
}

extension SortedMap: Sendable where Key: Sendable, Value: Sendable {}

extension SortedMap: Equatable where Value: Equatable {
    /// Whether both hold the same values under the same keys.
    @inlinable
    public static func == (lhs: SortedMap, rhs: SortedMap) -> Bool {
        lhs.count == rhs.count
            && zip(lhs, rhs).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}
