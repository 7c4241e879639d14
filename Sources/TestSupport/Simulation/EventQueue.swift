/// What is to happen at a point of the world's time.
struct Event {
    /// The kinds of events; what `value` names depends on the kind.
    enum Kind: UInt8 {
        /// A process's timer; `value` is the number of its arming.
        case timer
        /// A datagram arrives; `value` is its place among the datagrams under way.
        case datagram
        /// A frame arrives; `value` is its place among the frames under way.
        case frame
        /// A write becomes durable; `value` is the life of the process that made it.
        case disk
        /// A host answers that a port is closed; `value` is the address asked.
        case portClosed
        /// A stream that stands still is given up; `value` is the stream.
        case streamGivenUp
        /// A fault begins; `value` is its number.
        case faultBegins
        /// A fault ends; `value` is its number.
        case faultEnds
        /// A process starts; only logged, since whoever starts it does so at once.
        case processStarts
    }

    /// Microseconds of the world's clock.
    let time: Int64
    /// The order of making, which decides between events of one time.
    let order: UInt64
    /// What happens.
    let kind: Kind
    /// To whom.
    let node: Int32
    /// See ``Kind``.
    let value: Int32

    func isBefore(_ other: Event) -> Bool {
        time != other.time ? time < other.time : order < other.order
    }
}

/// The events to come, earliest first; equal times in the order of making.
///
/// - Complexity: O(log n) for each event, by a heap of four children a place.
struct EventQueue {
    private var heap: ContiguousArray<Event> = []
    private var nextOrder: UInt64 = 0

    /// The number of events to come.
    var count: Int { heap.count }

    /// The time of the earliest event.
    var firstTime: Int64? { heap.first?.time }

    mutating func add(_ kind: Event.Kind, at time: Int64, node: Int, value: Int32) {
        let event = Event(
            time: time,
            order: nextOrder,
            kind: kind,
            node: Int32(truncatingIfNeeded: node),
            value: value
        )
        nextOrder += 1
        var place = heap.count
        heap.append(event)
        while place > 0 {
            let parent = (place - 1) >> 2
            guard event.isBefore(heap[parent]) else { break }
            heap[place] = heap[parent]
            place = parent
        }
        heap[place] = event
    }

    mutating func popFirst() -> Event? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        let count = heap.count
        guard count > 0 else { return first }
        var place = 0
        while true {
            let firstChild = place << 2 + 1
            guard firstChild < count else { break }
            var smallest = firstChild
            for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + 4, count))
            where heap[child].isBefore(heap[smallest]) {
                smallest = child
            }
            guard heap[smallest].isBefore(last) else { break }
            heap[place] = heap[smallest]
            place = smallest
        }
        heap[place] = last
        return first
    }
}

/// Values under way, each under a small number that its event names.
struct Slab<Element> {
    private var elements: ContiguousArray<Element?> = []
    private var free: ContiguousArray<Int32> = []

    mutating func add(_ element: Element) -> Int32 {
        if let place = free.popLast() {
            elements[Int(place)] = element
            return place
        }
        elements.append(element)
        return Int32(elements.count - 1)
    }

    mutating func take(_ place: Int32) -> Element {
        guard let element = elements[Int(place)] else {
            preconditionFailure("a value under way is taken once")
        }
        elements[Int(place)] = nil
        free.append(place)
        return element
    }
}

extension Slab: Sendable where Element: Sendable {}
