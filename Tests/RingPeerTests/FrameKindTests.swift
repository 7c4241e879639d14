import Testing
import Wire

@testable import RingPeer

@Suite("Frames of every kind are taken, those of a later release told apart")
struct FrameKindTests {
    private func isKnown(_ kind: UInt8) -> Bool {
        do throws(WireError) {
            _ = try PeerFrame([kind])
        } catch {
            // What is missing behind the kind does not matter here.
            return error != .malformed(field: "frame kind")
        }
        return true
    }

    @Test("the last kind that is let in is the last that can be read")
    func kindLast() {
        for kind in 1...PeerFrame.kindLast { #expect(isKnown(kind), "kind \(kind)") }
        for kind in (PeerFrame.kindLast + 1)...UInt8.max { #expect(!isKnown(kind), "kind \(kind)") }
    }
}
