package import Addressing
package import Determinism

/// Where packets for an address of a VPC go: one wanted row of the endpoint map.
package struct ForwardingEntry: Hashable, Sendable {
    /// Where an endpoint is, seen from this node.
    package enum Place: Hashable, Sendable {
        /// On this node, behind the named host interface.
        case local(interface: UInt32)
        /// On another node.
        case remote(vtep: IPAddress)
    }

    /// The VPC.
    package let vni: VNI
    /// The pod's address.
    package let address: IPAddress
    /// The pod's Ethernet address.
    package let mac: MACAddress
    /// Where it is.
    package let place: Place
    /// The fence of its address block.
    package let fence: UInt64
    /// The number of its pod group; packets to the whole group go by it.
    package let group: UInt32

    /// Makes a row.
    package init(
        vni: VNI,
        address: IPAddress,
        mac: MACAddress,
        place: Place,
        fence: UInt64,
        group: UInt32 = 0
    ) {
        self.vni = vni
        self.address = address
        self.mac = mac
        self.place = place
        self.fence = fence
        self.group = group
    }

    /// The row's key; it cannot be made without the VNI.
    package var key: Key { Key(vni: vni, address: address) }

    /// The key of a row.
    package struct Key: Hashable, Comparable, Sendable {
        /// The VPC.
        package let vni: VNI
        /// The pod's address.
        package let address: IPAddress

        /// Makes a key.
        package init(vni: VNI, address: IPAddress) {
            self.vni = vni
            self.address = address
        }

        package static func < (lhs: Key, rhs: Key) -> Bool {
            lhs.vni == rhs.vni ? lhs.address < rhs.address : lhs.vni < rhs.vni
        }
    }
}

/// The rows that the endpoint map should hold, and the way there from what it holds.
package struct ForwardingPlan: Sendable {
    /// Rows by key.
    package private(set) var entries = SortedMap<ForwardingEntry.Key, ForwardingEntry>()

    /// Makes an empty plan.
    package init() {}

    /// Adds a row; of two with one key the one with the higher fence stays (allocator rule A5), and
    /// a local one beats a remote one of the same fence.
    package mutating func add(_ entry: ForwardingEntry) {
        if let held = entries[entry.key] {
            guard held.fence < entry.fence || (held.fence == entry.fence && held.isRemote) else {
                return
            }
        }
        entries[entry.key] = entry
    }

    /// A step towards the plan.
    package enum Step: Hashable, Sendable {
        /// Write this row.
        case put(ForwardingEntry)
        /// Remove the row of this key.
        case delete(ForwardingEntry.Key)
    }

    /// The steps from what a map holds to this plan; writes come before removals, so that an
    /// address that moved is never absent.
    ///
    /// `mayDelete` says whether a row that the plan lacks may go. A row whose group has not been
    /// heard of since the start must stay: it was right when it was written. `mayPut` says whether
    /// a row of the plan may take the place of another one, which is the second.
    package func steps(
        from present: [ForwardingEntry],
        mayPut: (ForwardingEntry, ForwardingEntry) -> Bool = { _, _ in true },
        mayDelete: (ForwardingEntry) -> Bool
    ) -> [Step] {
        let held = present.reduce(into: SortedMap<ForwardingEntry.Key, ForwardingEntry>()) {
            $0[$1.key] = $1
        }
        let puts = entries.filter { key, entry in
            guard let held = held[key] else { return true }
            return held != entry && mayPut(entry, held)
        }.map { Step.put($0.value) }
        let deletes = held.filter { entries[$0.key] == nil && mayDelete($0.value) }
        return puts + deletes.map { Step.delete($0.key) }
    }
}

extension ForwardingEntry {
    var isRemote: Bool {
        if case .remote = place { true } else { false }
    }
}
