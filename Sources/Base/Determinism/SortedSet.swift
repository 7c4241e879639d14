/// A set that is always walked in order; the standard set's order differs between processes.
public struct SortedSet<Element: Comparable> {
    @usableFromInline var map = SortedMap<Element, Void>()

    /// Makes an empty set.
    @inlinable
    public init() {}

    /// Makes a set of the given elements.
    @inlinable
    public init(_ elements: some Sequence<Element>) {
        for element in elements { insert(element) }
    }

    /// The number of elements.
    @inlinable
    public var count: Int { map.count }

    /// Whether there is no element.
    @inlinable
    public var isEmpty: Bool { map.isEmpty }

    /// The elements, ascending.
    @inlinable
    public var elements: [Element] { map.keys }

    /// The smallest element; nil when there is none.
    @inlinable
    public var first: Element? { map.first { _ in true }?.key }

    /// Whether `element` is in the set.
    @inlinable
    public func contains(_ element: Element) -> Bool { map[element] != nil }

    /// Adds an element.
    @inlinable
    public mutating func insert(_ element: Element) { map[element] = () }

    /// Removes an element.
    @inlinable
    public mutating func remove(_ element: Element) { map[element] = nil }
}

extension SortedSet: Sendable where Element: Sendable {}

extension SortedSet: Equatable {
    /// Whether both hold the same elements.
    @inlinable
    public static func == (lhs: SortedSet, rhs: SortedSet) -> Bool {
        lhs.elements == rhs.elements
    }
}
