import Addressing
import BPFObjects
import Determinism
import Logging
import Netlink

/// What is wrong with underlay interfaces, for people; nothing while all is well.
struct UplinkWatch: Sendable {
    /// What `/healthz` says.
    var trouble: String?
    /// How often in a row the own address was not there.
    var absences = 0
    /// Absences after which the address is taken for changed.
    static let absencesMax = 3
    static let interval = Duration.seconds(2)
    /// Hooks of pods are looked at in every so many rounds: there may be thousands of them.
    static let podRounds = 5
    var round = 0
    /// What was wrong when they were looked at last.
    var podTrouble: String?
}

/// The uplink's address is another one now.
struct UplinkAddressChanged: Error, CustomStringConvertible {
    let uplink: String
    let old: IPAddress
    let new: IPAddress

    var description: String {
        "uplink \(uplink) has address \(new) now and \(old) no longer: genied starts anew with it"
    }
}

extension NodeAgent {
    /// Follows what becomes of the uplink and of the hooks on it and on pods: another number,
    /// another MTU, a hook that somebody took away.
    ///
    /// - Throws: ``UplinkAddressChanged``, which only a start of the daemon can serve: the address
    ///   is the ring's name for this node.
    func watchUplink() async throws {
        while !Task.isCancelled {
            try followUplink()
            try? await Task.sleep(for: UplinkWatch.interval)
        }
    }

    private func followUplink() throws(UplinkAddressChanged) {
        guard let dataplane, !uplinks.isEmpty else { return }
        var troubles: [String] = []
        var links: [LinkInfo] = []
        for name in settings.uplinks {
            do throws(NetlinkError) { links.append(try Links.info(name)) } catch {
                troubles.append("uplink \(name) cannot be found (\(error)): bring it back")
            }
        }
        for link in links where !link.isUp || !link.hasCarrier {
            troubles.append(
                link.isUp
                    ? "uplink \(link.name) has no carrier: look at its other end"
                    : "uplink \(link.name) is down: set it up"
            )
        }
        // What is known of the last one that was there serves on: it may come back as it was.
        guard !links.isEmpty else { return tell(troubles) }
        let isAsBefore = links.elementsEqual(uplinks) {
            $0.name == $1.name && $0.index == $1.index && Int($0.mtu) == $1.mtu
        }
        let trouble = isAsBefore ? mendHooks(dataplane, links) : attachAgain(dataplane, links)
        if let trouble { troubles.append(trouble) }
        // Another uplink's address is not a new one of the first.
        let first = links.first { $0.name == settings.uplinks[0] }
        if let absence = try followAddress(first) { troubles.append(absence) }
        if let closed = forwardingTrouble() { troubles.append(closed) }
        tell(troubles)
    }

    /// - Returns: what went wrong.
    private func attachAgain(_ dataplane: Dataplane, _ links: [LinkInfo]) -> String? {
        do {
            try attachUplinks(dataplane, links)
            logger.notice(
                "uplinks changed: pods that are here keep their MTU, and hear of what is too big",
                metadata: [
                    "uplinks":
                        "\(links.map { "\($0.name)=\($0.index), MTU \($0.mtu)" }.joined(separator: "; "))"
                ]
            )
            return nil
        } catch {
            let names = links.map(\.name).joined(separator: ", ")
            return "uplinks changed (\(names)) and cannot be used: \(error)"
        }
    }

    /// Puts hooks back that somebody else took away.
    ///
    /// - Returns: what went wrong.
    private func mendHooks(_ dataplane: Dataplane, _ present: [LinkInfo]) -> String? {
        uplinkWatch.round += 1
        let arePodsDue = uplinkWatch.round % UplinkWatch.podRounds == 0
        do {
            let attached = try dataplane.attachments { role in
                arePodsDue || role == .uplinkIngress || role == .uplinkXDP
            }
            for link in present {
                let roles = Set(attached.filter { $0.ifindex == link.index }.map(\.role))
                let known = uplinks.first { $0.index == link.index }
                let isWhole =
                    roles.contains(.uplinkIngress)
                    && (known?.mode != .nativeXDP || roles.contains(.uplinkXDP))
                guard !isWhole else { continue }
                let state = try attachUplink(dataplane, link)
                uplinks = uplinks.map { $0.index == link.index ? state : $0 }
                mergeAgain(dataplane)
                logger.warning(
                    "the uplink's program was taken off by somebody else: it is back",
                    metadata: ["uplink": "\(link.name)"]
                )
            }
            // Of pods it stays as it was when they were looked at.
            guard arePodsDue else { return uplinkWatch.podTrouble }
            let links = try Links.list()
            for attachment in journal.all where attachment.state == .attached {
                let isThere = attached.contains {
                    $0.role == .pod(key: attachment.hostInterface)
                        && $0.ifindex == attachment.hostIndex
                }
                guard !isThere, !busy.contains(attachment.key),
                    links.contains(where: { $0.index == attachment.hostIndex && Self.isOurs($0) })
                else { continue }
                try program(attachment, dataplane, isQuick: true)
                logger.warning(
                    "a pod's program was taken off by somebody else: it is back",
                    metadata: [
                        "container_id": "\(attachment.containerID)",
                        "interface": "\(attachment.hostInterface)",
                    ]
                )
            }
            uplinkWatch.podTrouble = nil
            return nil
        } catch {
            let trouble = "programs cannot be attached: \(error)"
            if arePodsDue { uplinkWatch.podTrouble = trouble }
            return trouble
        }
    }

    /// - Returns: that the own address is missing, where it is.
    private func followAddress(_ link: LinkInfo?) throws(UplinkAddressChanged) -> String? {
        let all: [IPAddress]
        do throws(NetlinkError) { all = try Links.addresses() } catch {
            return "the addresses of this node cannot be read: \(error)"
        }
        guard !all.contains(settings.vtep) else {
            uplinkWatch.absences = 0
            return nil
        }
        uplinkWatch.absences += 1
        guard uplinkWatch.absences >= UplinkWatch.absencesMax, settings.isAddressOfUplink,
            let link, let own = try? Links.addresses(link.index).map(\.address),
            let new = own.first(where: { $0.isV4 == settings.vtep.isV4 && $0.isNodeAddress })
        else {
            return
                "address \(settings.vtep) of this node is on no interface: pods of other nodes are "
                + "out of reach until it is back"
        }
        throw UplinkAddressChanged(uplink: link.name, old: settings.vtep, new: new)
    }

    /// - Returns: that the routing table is not asked by which of several uplinks packets leave.
    private func forwardingTrouble() -> String? {
        guard uplinks.count > 1 else { return nil }
        let name = "\(settings.vtep.isV4 ? "ipv4" : "ipv6")/conf/\(uplinks[0].name)/forwarding"
        guard (try? Sysctl.read(name)) == "0" else { return nil }
        return "this node does not forward, so all packets leave by uplink \(uplinks[0].name): set "
            + "net/\(name) to 1"
    }

    /// Says what is wrong, once, and that it is over.
    private func tell(_ troubles: [String]) {
        let trouble = troubles.isEmpty ? nil : troubles.joined(separator: "; ")
        guard uplinkWatch.trouble != trouble else { return }
        uplinkWatch.trouble = trouble
        if let trouble {
            logger.error("\(trouble)")
        } else {
            logger.notice("the underlay is well again")
        }
    }
}

extension IPAddress {
    /// Whether a node can be known by it: the link-local ones say nothing without an interface
    /// beside them (RFC 4291 section 2.5.6).
    var isNodeAddress: Bool { isV4 || high >> 54 != 0xfe80 >> 6 }
}
