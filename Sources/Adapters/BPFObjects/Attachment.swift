/// The kernel hooks that programs are attached to.
package enum AttachHook: Hashable, Sendable, CustomStringConvertible {
    /// A tcx ingress link (Linux 6.6).
    case tcx
    /// A filter on the ingress side of a clsact queueing discipline: without tcx, and for new pods.
    case clsact
    /// XDP in the driver.
    case nativeXDP

    package var description: String {
        switch self {
        case .tcx: "tcx ingress"
        case .clsact: "clsact ingress"
        case .nativeXDP: "native XDP"
        }
    }
}

/// Which of the two tc hooks to use.
package enum TrafficControlChoice: Hashable, Sendable {
    /// tcx where the kernel has it, else clsact.
    case automatic
    /// tcx, or an error where the kernel has none.
    case tcxOnly
    /// clsact even where tcx exists.
    case clsactOnly
}

/// What one program is attached to, as the kernel reports it.
package struct Attachment: Hashable, Sendable {
    /// What the attachment serves.
    package enum Role: Hashable, Sendable {
        /// What a pod sends; the key is the one given to ``Dataplane/attachPod(ifindex:key:)``.
        case pod(key: String)
        /// What an uplink receives, before an skb exists.
        case uplinkXDP
        /// What an uplink receives, at tc.
        case uplinkIngress
        /// What the device that merges packets would hand to the node: all of it is dropped.
        case mergeGuard
    }

    /// What it serves.
    package let role: Role
    /// Where it is attached.
    package let hook: AttachHook
    /// The interface; zero when it is gone.
    package let ifindex: UInt32
    /// The kernel's id of the program.
    package let programID: UInt32
}

/// How an uplink receives tunnel packets.
package enum UplinkMode: Hashable, Sendable {
    /// Native XDP strips, tc delivers: for uplinks that receive wire-size packets.
    case nativeXDP
    /// tc strips and delivers: for uplinks without native XDP, and for those that receive
    /// super-packets.
    case trafficControlOnly
}

/// What ``Dataplane/attachUplink(ifindex:mode:)`` came to.
package struct UplinkAttachment: Hashable, Sendable {
    /// The mode that is in force.
    package let mode: UplinkMode
    /// The tc hook that is in force; pods' interfaces get the same, new ones after a while.
    package let hook: AttachHook
    /// Why it is not the wanted one; nil when it is.
    package let fallbackReason: BPFError?
}

/// The name under which a pod's attachment is pinned.
struct AttachmentKey {
    static let lengthMax = 64

    let text: String

    /// Dots are reserved in a BPF file system, and slashes separate.
    init(_ text: String) throws(BPFError) {
        let isValid = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default:
                false
            }
        }
        guard isValid, (1...Self.lengthMax).contains(text.utf8.count) else {
            throw .invalidKey(text)
        }
        self.text = text
    }
}
