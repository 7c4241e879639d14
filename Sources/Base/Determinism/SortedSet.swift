/// A set that is always walked in order; the standard set's order differs between processes.
package struct SortedSet<Element: Comparable> {
    private var map = SortedMap<Element, Void>()

    /// Makes an empty set.
    package init() {}

    /// Makes a set of the given elements.
    package init(_ elements: some Sequence<Element>) {
        for element in elements { insert(element) }
    }

    /// The number of elements.
    package var count: Int { map.count }

    /// Whether there is no element.
    package var isEmpty: Bool { map.isEmpty }

    /// The elements, ascending.
    package var elements: [Element] { map.keys }

    /// The smallest element; nil when there is none.
    package var first: Element? { map.first { _ in true }?.key }

    /// Whether `element` is in the set.
    package func contains(_ element: Element) -> Bool { map[element] != nil }

    /// Adds an element.
    package mutating func insert(_ element: Element) { map[element] = () }

    /// Removes an element.
    package mutating func remove(_ element: Element) { map[element] = nil }
}

extension SortedSet: Sendable where Element: Sendable {}

extension SortedSet: Equatable {
    package static func == (lhs: SortedSet, rhs: SortedSet) -> Bool {
        lhs.elements == rhs.elements
    }
}
