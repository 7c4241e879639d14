package import Addressing
import Determinism

/// Where packets to whole groups are to go from this node: to each pod here, and to each other node
/// with pods of the group, which copies them on.
package struct GroupPlaces: Sendable {
    /// A pod group of a VPC.
    package struct Group: Hashable, Comparable, Sendable {
        /// The VPC.
        package let vni: VNI
        /// The number of ``ForwardingEntry/group``.
        package let number: UInt32

        /// Names a group.
        package init(vni: VNI, number: UInt32) {
            self.vni = vni
            self.number = number
        }

        package static func < (lhs: Group, rhs: Group) -> Bool {
            (lhs.vni, lhs.number) < (rhs.vni, rhs.number)
        }
    }

    private var interfaces = SortedMap<Group, SortedSet<UInt32>>()
    private var nodes = SortedMap<Group, SortedSet<IPAddress>>()

    /// Makes an empty plan.
    package init() {}

    /// Adds the place of an endpoint.
    package mutating func add(_ entry: ForwardingEntry) {
        let group = Group(vni: entry.vni, number: entry.group)
        switch entry.place {
        case .local(let interface): interfaces[group, default: SortedSet()].insert(interface)
        case .remote(let vtep): nodes[group, default: SortedSet()].insert(vtep)
        }
    }

    /// The places of each group that has a pod here; none where there are more than `limit`: half
    /// of a group is no group.
    package func places(limit: Int) -> [(group: Group, places: [ForwardingEntry.Place])] {
        interfaces.map { group, here in
            let places =
                here.elements.map { ForwardingEntry.Place.local(interface: $0) }
                + (nodes[group]?.elements ?? []).map { .remote(vtep: $0) }
            return (group, places.count <= limit ? places : [])
        }
    }
}
