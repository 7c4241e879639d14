import BPFObjects
import CGenieABI
import Testing

@Suite("abi.h: layouts and names as Swift sees them")
struct LayoutTests {
    @Test("rows have the sizes and offsets that are pinned")
    func layouts() {
        #expect(MemoryLayout<node_value>.size == 40)
        #expect(MemoryLayout<node_value>.offset(of: \.pod_mtu) == 20)
        #expect(MemoryLayout<port_key>.size == 4)
        #expect(MemoryLayout<port_value>.size == 84)
        #expect(MemoryLayout<port_value>.offset(of: \.address4) == 8)
        #expect(MemoryLayout<port_value>.offset(of: \.gateway4) == 24)
        #expect(MemoryLayout<port_value>.offset(of: \.address6) == 40)
        #expect(MemoryLayout<port_value>.offset(of: \.gateway6) == 56)
        #expect(MemoryLayout<port_value>.offset(of: \.mac) == 72)
        #expect(MemoryLayout<port_value>.offset(of: \.gateway_mac) == 78)
        #expect(MemoryLayout<endpoint_key>.size == 20)
        #expect(MemoryLayout<endpoint_key>.offset(of: \.vni) == 0)
        #expect(MemoryLayout<endpoint_key>.offset(of: \.address) == 4)
        #expect(MemoryLayout<endpoint_value>.size == 40)
        #expect(MemoryLayout<endpoint_value>.offset(of: \.fence) == 0)
        #expect(MemoryLayout<endpoint_value>.offset(of: \.vtep) == 8)
        #expect(MemoryLayout<endpoint_value>.offset(of: \.ifindex) == 24)
        #expect(MemoryLayout<endpoint_value>.offset(of: \.mac) == 28)
        #expect(MemoryLayout<vtep_key>.size == 16)
        #expect(MemoryLayout<vni_value>.size == 12)
        #expect(MemoryLayout<drop_key>.size == 12)
        #expect(MemoryLayout<drop_key>.offset(of: \.reason) == 8)
        #expect(MemoryLayout<traffic_key>.size == 8)
        #expect(MemoryLayout<traffic_value>.size == 32)
        #expect(MemoryLayout<traffic_value>.offset(of: \.received_packets) == 16)
        #expect(MemoryLayout<uplink_metadata>.size == 12)
    }

    @Test("every drop reason up to the enum's end has its own name")
    func reasons() {
        let reasons = DropReason.all
        #expect(reasons.map(\.number) == Array(1..<DROP_REASON_COUNT.rawValue))
        #expect(Set(reasons.map(\.name)).count == reasons.count)
        #expect(DropReason(number: 0) == nil)
        #expect(DropReason(number: DROP_REASON_COUNT.rawValue) == nil)
    }

    @Test("numbers that are in pinned maps never change")
    func stableNumbers() {
        #expect(DROP_NO_PORT.rawValue == 1)
        #expect(DROP_SPOOFED_ADDRESS.rawValue == 15)
        #expect(DROP_BAD_VTEP.rawValue == 23)
        #expect(DROP_DECAP_FAILED.rawValue == 39)
        #expect(DROP_INNER_IPV6.rawValue == 48)
        #expect(COUNT_POD_LOCAL.rawValue == 0)
        #expect(COUNT_DROP_UNCOUNTED.rawValue == 9)
    }
}
