internal import CLinux
internal import Glibc

/// Every frame of one interface, as it comes and goes; also sends frames through it.
///
/// The socket is made in the interface's namespace and stays there; nothing is left of it once the
/// value is gone.
/// - Kernel: packet(7); CAP_NET_RAW.
package final class PacketTap: Sendable {
    /// One frame.
    package struct Frame: Hashable, Sendable {
        /// Its bytes, the first ones of a frame that was cut.
        package let bytes: [UInt8]
        /// How many bytes it had.
        package let size: Int
        /// When the kernel saw it, in nanoseconds since 1970.
        package let nanoseconds: Int64
        /// Whether the interface sent it.
        package let isSent: Bool
    }

    private let descriptor: Int32

    private static let bufferBytes: Int32 = 4 << 20
    /// The largest frame that is read whole.
    package static let frameBytesMax = 65_600

    /// Begins to listen.
    ///
    /// - Throws: `.namespaceMissing`, `.namespaceInvalid`, `.linkMissing`, `.systemCall`.
    package init(_ interface: String, netnsPath: String? = nil) throws(NetlinkError) {
        try LinkName.check(interface)
        let result: Int32
        if let netnsPath {
            let file = try NetnsFile(netnsPath)
            result = genie_packet_open(file.descriptor, interface, Self.bufferBytes)
        } else {
            result = genie_packet_open(-1, interface, Self.bufferBytes)
        }
        if result == -ENODEV { throw .linkMissing(name: interface, netnsPath: netnsPath) }
        guard result >= 0 else { throw .systemCall(.openPacketSocket, errno: -result) }
        descriptor = result
    }

    deinit {
        close(descriptor)
    }

    /// Sends a frame as it is.
    package func send(_ frame: [UInt8]) throws(NetlinkError) {
        let status = genie_packet_send(descriptor, frame, frame.count)
        guard status == 0 else { throw .systemCall(.sendPacket, errno: -status) }
    }

    /// Waits for the next frame; nil where none came in time.
    ///
    /// Of one longer than `bytesMax` only so many bytes are read.
    package func receive(
        withinMilliseconds milliseconds: Int32,
        bytesMax: Int = frameBytesMax
    ) throws(NetlinkError) -> Frame? {
        var info = genie_packet_info()
        var count: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: bytesMax) { buffer, filled in
            count = genie_packet_receive(
                descriptor,
                buffer.baseAddress,
                bytesMax,
                &info,
                milliseconds
            )
            filled = Int(max(0, count))
        }
        guard count >= 0 else { throw .systemCall(.receivePacket, errno: -count) }
        guard count > 0 else { return nil }
        return Frame(
            bytes: bytes,
            size: Int(info.size),
            nanoseconds: info.nanoseconds,
            isSent: info.is_sent == 1
        )
    }

    /// Frames that found no room in the socket since the last call.
    package func takeLosses() -> Int { Int(max(0, genie_packet_losses(descriptor))) }
}
