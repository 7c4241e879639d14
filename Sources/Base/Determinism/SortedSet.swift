/// A set that is always walked in order; the standard set's order differs between processes.
package struct SortedSet<Element: Comparable> {
    @usableFromInline var map = SortedMap<Element, Void>()

    /// Makes an empty set.
    @inlinable
    package init() {}

    /// Makes a set of the given elements.
    @inlinable
    package init(_ elements: some Sequence<Element>) {
        for element in elements { insert(element) }
    }

    /// The number of elements.
    @inlinable
    package var count: Int { map.count }

    /// Whether there is no element.
    @inlinable
    package var isEmpty: Bool { map.isEmpty }

    /// The elements, ascending.
    @inlinable
    package var elements: [Element] { map.keys }

    /// The smallest element; nil when there is none.
    @inlinable
    package var first: Element? { map.first { _ in true }?.key }

    /// Whether `element` is in the set.
    @inlinable
    package func contains(_ element: Element) -> Bool { map[element] != nil }

    /// Adds an element.
    @inlinable
    package mutating func insert(_ element: Element) { map[element] = () }

    /// Removes an element.
    @inlinable
    package mutating func remove(_ element: Element) { map[element] = nil }
}

extension SortedSet: Sendable where Element: Sendable {}

extension SortedSet: Equatable {
    @inlinable
    package static func == (lhs: SortedSet, rhs: SortedSet) -> Bool {
        lhs.elements == rhs.elements
    }
}
