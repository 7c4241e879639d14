internal import CLinux

/// The kernel settings below `/proc/sys/net`, which each network namespace has for itself.
///
/// - Source: Documentation/networking/ip-sysctl.rst in the kernel.
package enum Sysctl {
    /// Writes a setting such as `ipv4/ip_forward`.
    ///
    /// - Throws: `.settingRefused`; ENOENT where this kernel has no such setting.
    package static func write(
        _ value: String,
        to setting: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        let path = root + setting
        let bytes = Array(value.utf8)
        let status = try inside(netnsPath) { genie_netns_file_write($0, path, bytes, bytes.count) }
        guard status == 0 else { throw .settingRefused(path: path, errno: -status) }
    }

    /// Reads a setting, without its line end.
    ///
    /// - Throws: `.settingRefused`.
    package static func read(
        _ setting: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> String {
        let path = root + setting
        var bytes = [UInt8](repeating: 0, count: lengthMax)
        let count = try inside(netnsPath) { genie_netns_file_read($0, path, &bytes, lengthMax) }
        guard count >= 0 else { throw .settingRefused(path: path, errno: -count) }
        let text = String(decoding: bytes[..<Int(count)], as: UTF8.self)
        return text.last == "\n" ? String(text.dropLast()) : text
    }

    /// Writes a setting of one interface, such as `rp_filter` of `eth0`.
    ///
    /// - Throws: `.invalidName`, `.settingRefused`.
    package static func write(
        _ value: String,
        to setting: String,
        of family: Family,
        on name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        try LinkName.check(name)
        try write(value, to: "\(family.rawValue)/conf/\(name)/\(setting)", netnsPath: netnsPath)
    }

    /// The address family whose settings are meant.
    package enum Family: String, Hashable, Sendable {
        /// `net/ipv4`.
        case ipv4
        /// `net/ipv6`.
        case ipv6
    }

    private static let root = "/proc/sys/net/"

    /// The longest setting that is read, in bytes.
    private static let lengthMax = 4_096

    private static func inside(
        _ netnsPath: String?,
        _ body: (Int32) -> Int32
    ) throws(NetlinkError) -> Int32 {
        guard let netnsPath else { return body(-1) }
        let file = try NetnsFile(netnsPath)
        return body(file.descriptor)
    }
}
