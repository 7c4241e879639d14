import Addressing
import Determinism

/// Frames that wait for a connection, by node; bounded, because the core repeats what matters.
struct FrameOutbox {
    private struct Box {
        var address: SocketAddress
        var frames: [[UInt8]] = []
        var byteCount = 0
    }

    private var boxes = SortedMap<NodeID, Box>()

    /// The most bytes that wait for one node.
    static let bytesMax = 8 << 20

    /// Keeps a frame; false when too much waits for the node already.
    mutating func keep(_ frame: [UInt8], for node: NodeID, at address: SocketAddress) -> Bool {
        var box = boxes[node] ?? Box(address: address)
        box.address = address
        guard box.byteCount + frame.count <= Self.bytesMax else { return false }
        box.frames.append(frame)
        box.byteCount += frame.count
        boxes[node] = box
        return true
    }

    /// Takes what waits for a node that is now connected.
    mutating func take(for node: NodeID) -> [[UInt8]] {
        boxes.remove(node)?.frames ?? []
    }

    /// Drops what waits for nodes at an address: it cannot be reached, or somebody else lives
    /// there.
    mutating func drop(at address: SocketAddress) {
        boxes.removeAll { $1.address == address }
    }
}
