import Addressing
import NetForwarding
import Testing

@Suite("Where packets to a whole group go")
struct GroupPlacesTests {
    private static let vni = VNI(literal: 42)

    private func entry(
        _ last: UInt32,
        _ place: ForwardingEntry.Place,
        group: UInt32 = 1,
        vni: VNI = vni
    ) -> ForwardingEntry {
        ForwardingEntry(
            vni: vni,
            address: IPAddress(v4: 0x0a01_0000 | last),
            mac: MACAddress(bits: UInt64(last)),
            place: place,
            fence: 1,
            group: group
        )
    }

    @Test("each pod here and each other node once, of the groups that have a pod here")
    func places() {
        let one = ForwardingEntry.Place.remote(vtep: IPAddress(v4: 0xc000_0202))
        let two = ForwardingEntry.Place.remote(vtep: IPAddress(v4: 0xc000_0203))
        var plan = GroupPlaces()
        plan.add(entry(1, .local(interface: 9)))
        plan.add(entry(2, .local(interface: 7)))
        plan.add(entry(3, two))
        plan.add(entry(4, one))
        // A second pod of that node, and a second address of a pod here.
        plan.add(entry(5, one))
        plan.add(entry(6, .local(interface: 7)))
        // Nobody here is of these.
        plan.add(entry(7, one, group: 2))
        plan.add(entry(8, one, vni: VNI(literal: 43)))
        let found = plan.places(limit: 4)
        #expect(found.map(\.group) == [GroupPlaces.Group(vni: Self.vni, number: 1)])
        #expect(
            found.map(\.places) == [[.local(interface: 7), .local(interface: 9), one, two]]
        )
        #expect(plan.places(limit: 3).map(\.places) == [[]])
    }
}
