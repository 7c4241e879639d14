import CGenieABI
import CLibBPF
import Foundation
import LabNet
import LocalAPI
import Testing

@Suite(
    "A full map is an error of the ADD that needed it",
    .serialized,
    .enabled(if: getuid() == 0, "namespaces and BPF need root")
)
struct FullMapLabTests {
    @Test("the error names the map, nothing is left of the pod, and others go on")
    func fullMap() async throws {
        try await Lab.with(nodes: 1, id: Lab.testID) { lab in
            for vpc in ["red", "blue"] {
                #expect(try lab.ring(1, "vpcs", "create", vpc).status == 0)
                let group = try lab.ring(
                    1,
                    "groups",
                    "create",
                    "\(vpc)/web",
                    "--subnet",
                    "10.20.0.0/24"
                )
                #expect(group.status == 0)
            }
            let red = try lab.attach(1, "a", "red")
            let strangers = try fill("gr_vni_r1", of: lab)
            #expect(strangers.count == Int(GENIE_VNI_MAX) - 1)

            try lab.script("pod", "add", "node1", "b")
            let refused = try lab.cni("ADD", 1, "b", "blue")
            #expect(refused.status != 0)
            #expect(refused.text.contains("map gr_vni_r1 is full: it holds at most 4096 rows"))
            let status = try lab.ring(1, "dataplane", as: DataplaneStatus.self)
            #expect(status.endpoints.map(\.containerID) == ["a"])
            #expect(try lab.ring(1, "endpoints", as: EndpointList.self).endpoints.count == 1)
            // Where no new row is needed, the node goes on.
            let other = try lab.attach(1, "c", "red")
            #expect(try lab.lostPings(red, to: other.address) == 0)

            try clear("gr_vni_r1", of: lab, strangers)
            #expect(try lab.cni("ADD", 1, "b", "blue").status == 0)
        }
    }

    private func open(_ map: String, of lab: Lab) throws -> Int32 {
        let file = "/run/genie-lab/\(lab.id)/node1/genied.pid"
        let pid = try String(contentsOfFile: file, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let descriptor = bpf_obj_get("/proc/\(pid)/root/sys/fs/bpf/genie/\(map)")
        try #require(descriptor >= 0)
        return descriptor
    }

    /// Writes rows of VPCs that nobody has until the map takes no more.
    private func fill(_ map: String, of lab: Lab) throws -> [UInt32] {
        let descriptor = try open(map, of: lab)
        defer { close(descriptor) }
        var written: [UInt32] = []
        for number in UInt32(0x80_0000)... {
            var key = vni_key(vni: number)
            var value = vni_value()
            guard bpf_map_update_elem(descriptor, &key, &value, UInt64(BPF_NOEXIST)) == 0 else {
                break
            }
            written.append(number)
        }
        return written
    }

    private func clear(_ map: String, of lab: Lab, _ numbers: [UInt32]) throws {
        let descriptor = try open(map, of: lab)
        defer { close(descriptor) }
        for number in numbers {
            var key = vni_key(vni: number)
            _ = bpf_map_delete_elem(descriptor, &key)
        }
    }
}
