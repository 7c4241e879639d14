internal import Addressing
internal import CLinux
internal import Wire

/// Appends the parts of a netlink message: host byte order, every attribute padded to four bytes.
///
/// - Source: netlink(7), rtnetlink(7).
struct MessageWriter {
    private var writer = ByteWriter()

    var bytes: [UInt8] { writer.bytes }

    /// Appends an integer in the order of this machine, as the kernel reads it.
    mutating func write(_ integer: some FixedWidthInteger) {
        // ByteWriter puts the highest byte first, so the integer is turned round beforehand.
        writer.write(integer.bigEndian)
    }

    /// `struct ifinfomsg`: family, padding, type, index, flags, mask of the flags to change.
    mutating func writeLinkHeader(index: UInt32 = 0, flags: UInt32 = 0, change: UInt32 = 0) {
        write(UInt16(0))
        write(UInt16(0))
        write(index)
        write(flags)
        write(change)
    }

    /// Appends `struct rtattr` and the content as it is.
    mutating func attribute(_ type: some BinaryInteger, raw content: some Collection<UInt8>) {
        let length = attributeHeaderLength + content.count
        precondition(length <= UInt16.max, "an attribute holds less than 64 KiB")
        write(UInt16(length))
        write(UInt16(type))
        writer.write(raw: content)
        writer.write(raw: repeatElement(0, count: aligned(length) - length))
    }

    mutating func attribute(_ type: some BinaryInteger, number: UInt32) {
        var content = MessageWriter()
        content.write(number)
        attribute(type, raw: content.bytes)
    }

    /// Text ends with a zero byte, as the kernel's own tools send it.
    mutating func attribute(_ type: some BinaryInteger, text: String) {
        attribute(type, raw: Array(text.utf8) + [0])
    }

    mutating func attribute(_ type: some BinaryInteger, mac: MACAddress) {
        attribute(type, raw: mac.bytes)
    }

    mutating func attribute(_ type: some BinaryInteger, address: IPAddress) {
        attribute(type, raw: address.familyBytes)
    }

    /// Appends an attribute whose content is itself made of attributes.
    mutating func attribute(
        _ type: some BinaryInteger,
        nested body: (inout MessageWriter) -> Void
    ) {
        var content = MessageWriter()
        body(&content)
        attribute(type, raw: content.bytes)
    }
}

/// The length of `struct rtattr`.
let attributeHeaderLength = 4

/// The length of `struct nlmsghdr`.
let messageHeaderLength = 16

/// Messages and attributes start at multiples of four bytes.
func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

extension IPAddress {
    /// Four bytes for IPv4, sixteen for IPv6, in network order.
    var familyBytes: [UInt8] { isV4 ? Array(bytes.suffix(4)) : bytes }

    /// Reads what ``familyBytes`` wrote.
    init?(familyBytes: some Collection<UInt8>) {
        switch familyBytes.count {
        case 4: self.init(v4: familyBytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16: self.init(bytes: familyBytes)
        default: return nil
        }
    }
}
