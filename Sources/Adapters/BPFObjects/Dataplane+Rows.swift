package import Addressing
internal import CGenieABI
internal import Glibc

// Written by the agent only. A row that no version of the agent can have written is removed when
// it is met in a listing: it could not be reconciled otherwise.

extension Dataplane {
    /// Writes this node's facts; programs read them from the next packet on.
    package func setNode(_ node: NodeConfiguration) throws(BPFError) {
        try map(.node).put(UInt32(0), node_value(node))
    }

    /// This node's facts; nil until they were set.
    package func node() throws(BPFError) -> NodeConfiguration? {
        try map(.node).get(UInt32(0), empty: node_value())?.first?.value
    }

    /// Writes a port.
    ///
    /// The pod can send from then on, once its veth is attached; what it sends and gets is counted.
    ///
    /// - Throws: `.mapFull`, with the other rows as they were.
    package func putPort(_ row: PortRow) throws(BPFError) {
        try startCounting(row.vni, row.ifindex)
        try map(.port).put(port_key(ifindex: row.ifindex), row.value)
    }

    /// Removes a port; absent is success.
    ///
    /// What the pod still sends is dropped as `no_port`.
    package func deletePort(ifindex: UInt32) throws(BPFError) {
        let key = port_key(ifindex: ifindex)
        let row = try map(.port).get(key, empty: port_value())?.first
        try map(.port).delete(key)
        if let vni = row.flatMap({ VNI($0.vni) }) { try stopCounting(vni, ifindex) }
    }

    /// Every port, by interface index.
    package func ports() throws(BPFError) -> [PortRow] {
        try list(.port, port_key(), port_value(), PortRow.init(key:value:))
            .sorted { $0.ifindex < $1.ifindex }
    }

    /// Writes an endpoint, new or moved.
    ///
    /// - Throws: `.mapFull`, with the other rows as they were.
    package func putEndpoint(_ row: EndpointRow) throws(BPFError) {
        try map(.endpoint).put(endpoint_key(row.vni, row.address), row.value)
    }

    /// Removes an endpoint; absent is success.
    package func deleteEndpoint(vni: VNI, address: IPAddress) throws(BPFError) {
        try map(.endpoint).delete(endpoint_key(vni, address))
    }

    /// The row of one endpoint; nil where there is none.
    package func endpoint(vni: VNI, _ address: IPAddress) throws(BPFError) -> EndpointRow? {
        let key = endpoint_key(vni, address)
        return try map(.endpoint).get(key, empty: endpoint_value())?.first
            .flatMap { EndpointRow(key: key, value: $0) }
    }

    /// What routers said that the path to a node carries, in bytes of a pod's packet; nil where
    /// none did, or too long ago.
    package func pathMTU(to vtep: IPAddress) throws(BPFError) -> UInt32? {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        return try map(.path).rows(emptyKey: UInt32(0), emptyValue: path_value())
            .compactMap(\.values.first)
            .first { $0.until > now && $0.vtep.value == vtep }?.mtu
    }

    /// Every endpoint, by VPC and address.
    package func endpoints() throws(BPFError) -> [EndpointRow] {
        try list(.endpoint, endpoint_key(), endpoint_value(), EndpointRow.init(key:value:))
            .sorted { ($0.vni, $0.address) < ($1.vni, $1.address) }
    }

    /// The most places that packets to a whole group go to from one node.
    package static let placesMax = Int(GENIE_MANY_PLACES_MAX)

    /// Where packets to whole groups go, by group, in the order of the copies.
    package func places() throws(BPFError) -> [GroupKey: [EndpointRow.Place]] {
        var found: [GroupKey: [(index: UInt32, place: EndpointRow.Place)]] = [:]
        let rows = try list(.many, many_key(), many_value()) { key, value in
            VNI(key.vni).flatMap { vni in
                EndpointRow.Place(value).map {
                    (GroupKey(vni: vni, group: key.group), key.index, $0)
                }
            }
        }
        for (group, index, place) in rows { found[group, default: []].append((index, place)) }
        return found.mapValues { $0.sorted { $0.index < $1.index }.map(\.place) }
    }

    /// Makes packets to a whole group go to these places, where `present` are in the map; none
    /// at all keeps them from being carried.
    ///
    /// - Throws: `.mapFull`; some of the rows are written then.
    package func setPlaces(
        _ wanted: [EndpointRow.Place],
        of group: GroupKey,
        over present: [EndpointRow.Place]
    ) throws(BPFError) {
        precondition(wanted.count <= Self.placesMax, "more places than programs look at")
        func key(_ index: Int) -> many_key {
            many_key(vni: group.vni.number, group: group.group, index: UInt32(index))
        }
        for (index, place) in wanted.enumerated()
        where index >= present.count || present[index] != place {
            try map(.many).put(key(index), place.many)
        }
        // From the end: the first one that is missing ends the list.
        for index in (wanted.count..<max(wanted.count, present.count)).reversed() {
            try map(.many).delete(key(index))
        }
    }

    /// Lets tunnel packets from a node in.
    ///
    /// - Throws: `.mapFull`, with the other rows as they were.
    package func putVTEP(_ address: IPAddress) throws(BPFError) {
        try map(.vtep).put(vtep_key(address: ip_address(address)), vtep_value())
    }

    /// Drops tunnel packets from a node from now on; absent is success.
    package func deleteVTEP(_ address: IPAddress) throws(BPFError) {
        try map(.vtep).delete(vtep_key(address: ip_address(address)))
    }

    /// Every node that is believed, by address.
    package func vteps() throws(BPFError) -> [IPAddress] {
        try list(.vtep, vtep_key(), vtep_value()) { key, _ in key.address.value }
            .sorted()
    }

    /// Lets tunnel packets of a VPC in.
    ///
    /// - Throws: `.mapFull`, with the other rows as they were.
    package func putVNI(_ row: VNIRow) throws(BPFError) {
        try map(.vni).put(vni_key(vni: row.vni.number), row.value)
    }

    /// Removes a VPC and what was counted in it; absent is success.
    package func deleteVNI(_ vni: VNI) throws(BPFError) {
        try map(.vni).delete(vni_key(vni: vni.number))
        try forgetCounts(vni)
    }

    /// Every VPC, by number.
    package func vnis() throws(BPFError) -> [VNIRow] {
        try list(.vni, vni_key(), vni_value(), VNIRow.init(key:value:))
            .sorted { $0.vni < $1.vni }
    }

    private func list<Key: BitwiseCopyable, Value: BitwiseCopyable, Row>(
        _ which: Map,
        _ emptyKey: Key,
        _ emptyValue: Value,
        _ decode: (Key, Value) -> Row?
    ) throws(BPFError) -> [Row] {
        var rows: [Row] = []
        for (key, values) in try map(which).rows(emptyKey: emptyKey, emptyValue: emptyValue) {
            if let value = values.first, let row = decode(key, value) {
                rows.append(row)
            } else {
                try map(which).delete(key)
            }
        }
        return rows
    }
}
