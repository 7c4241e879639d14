package import Addressing
internal import CLinux
internal import Glibc
internal import Wire

/// The interfaces of one namespace: the caller's own where no path is given.
///
/// Each call opens a socket of its own, so calls may run side by side.
package enum Links {
    /// What a deletion found.
    package enum Deletion: Hashable, Sendable {
        /// The interface was there and is gone.
        case deleted
        /// There was no such interface.
        case absent
    }

    /// Everything about the interface of that name.
    ///
    /// - Throws: `.linkMissing` where there is none.
    package static func info(
        _ name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> LinkInfo {
        try NetlinkSocket(netnsPath: netnsPath).link(name, netnsPath: netnsPath)
    }

    /// The number of the interface of that name.
    ///
    /// - Throws: `.linkMissing` where there is none.
    package static func index(
        of name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> UInt32 {
        try info(name, netnsPath: netnsPath).index
    }

    /// The driver behind the interface, as ethtool(8) shows it with `-i`.
    ///
    /// - Throws: `.linkMissing` where there is no such interface.
    package static func driver(
        of name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> String {
        try LinkName.check(name)
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        var bytes = [CChar](repeating: 0, count: Int(GENIE_DRIVER_NAME_BYTES))
        let status = genie_driver_name(socket.control, name, &bytes)
        if status == -ENODEV { throw .linkMissing(name: name, netnsPath: netnsPath) }
        guard status == 0 else { throw .systemCall(.readDriver, errno: -status) }
        let text = bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Every interface, in the kernel's order.
    package static func list(netnsPath: String? = nil) throws(NetlinkError) -> [LinkInfo] {
        let answers = try NetlinkSocket(netnsPath: netnsPath).perform([.listLinks()])
        do throws(WireError) {
            var links: [LinkInfo] = []
            for message in answers.joined() {
                if let link = try LinkInfo(message) { links.append(link) }
            }
            return links
        } catch {
            throw .unreadable(error)
        }
    }

    /// The addresses of the interface with that number, both families, ascending.
    package static func addresses(
        _ index: UInt32,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> [InterfaceAddress] {
        try NetlinkSocket(netnsPath: netnsPath).addresses(index)
    }

    /// The addresses of all interfaces.
    package static func addresses() throws(NetlinkError) -> [IPAddress] {
        let answers = try NetlinkSocket(netnsPath: nil).perform([.listAddresses()])
        do throws(WireError) {
            var addresses: [IPAddress] = []
            for message in answers.joined() {
                if let found = try InterfaceAddress.read(message) {
                    addresses.append(found.address.address)
                }
            }
            return addresses
        } catch {
            throw .unreadable(error)
        }
    }

    /// Removes the interface; one that is not there is as good as removed.
    @discardableResult
    package static func delete(
        _ name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) -> Deletion {
        try LinkName.check(name)
        do throws(NetlinkError) {
            try NetlinkSocket(netnsPath: netnsPath).perform([.deleteLink(name: name)])
            return .deleted
        } catch .refused(_, ENODEV, _) {
            return .absent
        }
    }

    /// Removes the interface with that number, whatever its name is by now.
    @discardableResult
    package static func delete(index: UInt32) throws(NetlinkError) -> Deletion {
        do throws(NetlinkError) {
            try NetlinkSocket(netnsPath: nil).perform([.deleteLink(index: index)])
            return .deleted
        } catch .refused(_, ENODEV, _) {
            return .absent
        }
    }

    /// Brings the interface up.
    ///
    /// - Throws: `.linkMissing` where there is none.
    package static func setUp(_ name: String, netnsPath: String? = nil) throws(NetlinkError) {
        try change(name, netnsPath) { .setUp(index: $0) }
    }

    /// Gives the interface an address; `.refused` with EEXIST where it has it already.
    package static func add(
        _ address: InterfaceAddress,
        to name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        try change(name, netnsPath) { .addAddress(address, index: $0) }
    }

    /// Adds a route through the interface; `.refused` with EEXIST where there is one already.
    package static func add(
        _ route: Route,
        through name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        try change(name, netnsPath) { .addRoute(route, index: $0) }
    }

    /// Tells the interface for good which Ethernet address an IP address has.
    package static func addNeighbour(
        _ address: IPAddress,
        mac: MACAddress,
        on name: String,
        netnsPath: String? = nil
    ) throws(NetlinkError) {
        try change(name, netnsPath) { .addNeighbour(address, mac: mac, index: $0) }
    }

    private static func change(
        _ name: String,
        _ netnsPath: String?,
        _ request: (UInt32) -> Request
    ) throws(NetlinkError) {
        let socket = try NetlinkSocket(netnsPath: netnsPath)
        try socket.perform([request(try socket.link(name, netnsPath: netnsPath).index)])
    }
}

extension NetlinkSocket {
    /// The interface of that name; the path is for the error's text.
    func link(_ name: String, netnsPath: String?) throws(NetlinkError) -> LinkInfo {
        try LinkName.check(name)
        let answers: [[Message]]
        do throws(NetlinkError) {
            answers = try perform([.readLink(name: name)])
        } catch .refused(_, ENODEV, _) {
            throw .linkMissing(name: name, netnsPath: netnsPath)
        }
        do throws(WireError) {
            for message in answers.joined() {
                if let link = try LinkInfo(message) { return link }
            }
        } catch {
            throw .unreadable(error)
        }
        throw .unanswered(request: .readLink(name: name))
    }

    func addresses(_ index: UInt32) throws(NetlinkError) -> [InterfaceAddress] {
        let answers = try perform([.listAddresses()])
        do throws(WireError) {
            var addresses: [InterfaceAddress] = []
            for message in answers.joined() {
                guard let found = try InterfaceAddress.read(message) else { continue }
                if found.index == index { addresses.append(found.address) }
            }
            return addresses.sorted()
        } catch {
            throw .unreadable(error)
        }
    }
}
