/// The rule for names of interfaces.
///
/// - Source: `dev_valid_name` in the kernel's `net/core/dev.c`; `IFNAMSIZ` in netdevice(7).
package enum LinkName {
    /// The most bytes a name may have; the kernel keeps a sixteenth for the end mark.
    package static let lengthMax = 15

    /// Whether the kernel accepts `name`, and a path below `/proc/sys/net` can hold it.
    package static func isValid(_ name: String) -> Bool {
        (1...lengthMax).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                byte > 0x20 && byte != 0x7f && byte != UInt8(ascii: "/")
                    && byte != UInt8(ascii: ":") && byte != UInt8(ascii: "%")
            }
    }

    /// Refuses a name that the kernel would not accept.
    ///
    /// - Throws: `.invalidName`.
    package static func check(_ name: String) throws(NetlinkError) {
        guard isValid(name) else { throw .invalidName(name) }
    }
}
