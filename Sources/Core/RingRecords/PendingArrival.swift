package import Determinism
package import Wire

/// A slot that a peer became an owner of and does not hold all of yet: durable, so that a process
/// that is started anew goes on looking at those who owned the slot before.
package struct PendingArrival: Hashable, Sendable {
    /// The slot's number.
    package let slot: Int
    /// Those who may hold what the peer lacks.
    package let sources: [NodeID]

    /// Makes one.
    package init(slot: Int, sources: [NodeID]) {
        self.slot = slot
        self.sources = sources
    }

    /// The bytes of many: a list of slot 4 and the sources, 16 each.
    package static func encoded(_ all: [PendingArrival]) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(list: all) { writer, arrival in
            writer.write(UInt32(arrival.slot))
            writer.write(list: arrival.sources) { $0.write($1) }
        }
        return writer.bytes
    }

    /// Reads the bytes of many.
    package static func all(encoded bytes: [UInt8]) throws(WireError) -> [PendingArrival] {
        var reader = ByteReader(bytes)
        let all = try reader.readList("slots", max: RecordMessage.slotsMax) {
            reader throws(WireError) in
            let slot = Int(try reader.readInteger("slot", as: UInt32.self))
            let sources = try reader.readList("sources", max: RecordMessage.originsMax) {
                reader throws(WireError) in
                try reader.readNodeID("source")
            }
            return PendingArrival(slot: slot, sources: sources)
        }
        try reader.finish()
        return all
    }
}

extension Records {
    /// What this peer does not hold all of yet, to be made durable with the configuration.
    package var pendingArrivals: [PendingArrival] {
        arriving.compactMap { slot, arrival in
            arrival.isRestart ? nil : PendingArrival(slot: slot, sources: arrival.sources)
        }
    }

    /// After a start: what an earlier process had not come to the end of is gone through again, and
    /// all of the sources are looked at, as who was is not known.
    mutating func resume(_ pending: [PendingArrival], now: Instant) {
        for arrival in pending where view.owners(ofSlot: arrival.slot).contains(own) {
            let others = arriving[arrival.slot]?.sources ?? []
            let sources = SortedSet(others + arrival.sources).elements.filter {
                $0 != own && view.isMember($0)
            }
            guard !sources.isEmpty else { continue }
            arriving[arrival.slot] =
                Arrival(sources: sources, needed: sources.count, since: now)
        }
        hasPendingArrivals = !pending.isEmpty
    }

    /// The last of them has come to its end.
    mutating func endArrivals() {
        guard hasPendingArrivals, arriving.isEmpty else { return }
        hasPendingArrivals = false
        effects.append(.arrivalsEnded)
    }
}
