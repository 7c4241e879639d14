package import Determinism

/// A hash map by node whose layout follows from its history alone, so that every process with the
/// same history walks it alike.
///
/// Entries lie densely in ``keys`` and ``values``; a removal moves the last entry into the gap.
/// - Complexity: look-up, insertion and removal O(1).
package struct NodeMap<Value> {
    /// The keys, by position.
    package private(set) var keys: [NodeID] = []
    /// The values, by position.
    package private(set) var values: [Value] = []
    /// Open addressing with linear probing: position + 1, or 0 where nothing lies.
    private var table: [UInt32] = []

    /// Makes an empty map.
    package init() {}

    /// The number of entries.
    package var count: Int { keys.count }

    /// Whether there is no entry.
    package var isEmpty: Bool { keys.isEmpty }

    /// Where `key` lies; nil when it does not.
    package func position(of key: NodeID) -> Int? {
        guard !table.isEmpty else { return nil }
        let place = place(of: key)
        return table[place] == 0 ? nil : Int(table[place]) - 1
    }

    /// The value under `key`; nil reads as absent, and writing nil removes.
    package subscript(key: NodeID) -> Value? {
        get { position(of: key).map { values[$0] } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?): values[position] = value
            case (nil, let value?): append(key, value)
            case (.some, nil): remove(key)
            case (nil, nil): break
            }
        }
    }

    /// The value at a position.
    package subscript(position: Int) -> Value {
        get { values[position] }
        set { values[position] = newValue }
    }

    /// Adds an entry under a key that is not there; it lies last.
    package mutating func append(_ key: NodeID, _ value: Value) {
        if 4 * (count + 1) > 3 * table.count { grow() }
        let place = place(of: key)
        precondition(table[place] == 0, "a node has one entry")
        keys.append(key)
        values.append(value)
        table[place] = UInt32(count)
    }

    /// Removes an entry; what lay last lies where it lay.
    package mutating func remove(_ key: NodeID) {
        guard let position = position(of: key) else { return }
        vacate(place(of: key))
        let last = count - 1
        if position != last {
            table[place(of: keys[last])] = UInt32(position) + 1
            keys[position] = keys[last]
            values[position] = values[last]
        }
        keys.removeLast()
        values.removeLast()
    }

    /// Where the key lies in the table, or the free place where it would.
    private func place(of key: NodeID) -> Int {
        let mask = table.count - 1
        var place = home(of: key)
        while table[place] != 0, keys[Int(table[place]) - 1] != key { place = (place + 1) & mask }
        return place
    }

    private func home(of key: NodeID) -> Int {
        Int(truncatingIfNeeded: StableHash.mix(key.high ^ StableHash.mix(key.low)))
            & (table.count - 1)
    }

    /// Frees a place and closes the gap behind it, so that no search ends too early.
    private mutating func vacate(_ start: Int) {
        let mask = table.count - 1
        var hole = start
        var next = (hole + 1) & mask
        while table[next] != 0 {
            let home = home(of: keys[Int(table[next]) - 1])
            if (next - home) & mask >= (next - hole) & mask {
                table[hole] = table[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        table[hole] = 0
    }

    private mutating func grow() {
        table = [UInt32](repeating: 0, count: max(8, 2 * table.count))
        for (position, key) in keys.enumerated() { table[place(of: key)] = UInt32(position) + 1 }
    }
}

extension NodeMap: Sendable where Value: Sendable {}
