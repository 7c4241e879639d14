import Addressing
import BPFObjects
import CNIProtocol
import Determinism
import Foundation
import LocalSocket
import Logging
import NetModel
import Netlink
import PeerService
import RingIPAM

extension NodeAgent {
    /// Takes one interface away, from what was recorded alone; nothing recorded is success.
    func detach(_ key: AttachmentKey) async throws(AgentError) {
        try begin(key)
        defer { busy.remove(key) }
        guard var attachment = journal.attachments[key] else { return }
        try mark(&attachment)
        guard let group = attachment.reference else { return try await undo(attachment) }
        // Told at once: the kernel takes its time over the link, and others need not wait for it.
        async let told: Void = publish(group)
        try await undo(attachment)
        await told
        // The rows are gone; where packets to the whole group go follows.
        Task { await reconcile() }
    }

    /// From here on the attachment is nobody's, and is taken off after a crash.
    private func mark(_ attachment: inout Attachment) throws(AgentError) {
        guard attachment.state != .removing else { return }
        attachment.state = .removing
        try journal.record(attachment)
    }

    /// Undoes every step that may have been taken for an attachment, the last one included.
    func undo(_ attachment: Attachment) async throws(AgentError) {
        var attachment = attachment
        try mark(&attachment)
        let name = attachment.hostInterface
        await forgetSource(attachment)
        interfacesChanged = .now
        quickPods.removeAll { $0.key == attachment.key }
        async let isDeleted = deleteLink(name, index: attachment.hostIndex)
        let rows = Result { () throws(BPFError) in try unprogram(attachment) }
        do {
            if try await isDeleted == .absent { try await deleteRenamed(attachment) }
        } catch {
            throw Self.translate(error)
        }
        do throws(BPFError) {
            try rows.get()
            try dataplane?.forgetPod(key: name)
        } catch {
            throw .dataplane(error)
        }
        let holder = AddressHolder(
            containerID: attachment.containerID,
            interfaceName: attachment.interface
        )
        // The row goes last: until the address is free on the disk, the removal can be repeated.
        guard await peer.release(pool: attachment.pool, holder) else { throw .notJoined }
        try journal.erase(attachment.key)
        do throws(AgentError) {
            try forgetVPC(attachment)
        } catch {
            // Taken off at the next start; no packet of the VPC finds an endpoint here meanwhile.
            logger.warning("cannot forget a VPC", metadata: ["reason": "\(error)"])
        }
    }

    /// Deletes the node's end of a pod; back as soon as it is gone for everybody, which is some
    /// 15 ms before the kernel lets go of who asked.
    private nonisolated func deleteLink(
        _ name: String,
        index: UInt32
    ) async throws -> Links.Deletion {
        let deletion = { @Sendable in try await self.blocking { try Links.delete(name) } }
        guard let departures, index != 0 else { return try await deletion() }
        return try await departures.first(ofIndex: index, deletion)
    }

    /// Removes the node's end of a pod that somebody gave another name: without its program, what
    /// the pod sends would reach the node.
    ///
    /// The number alone may be another interface's by now. Ours has our Ethernet address, too, and
    /// its program.
    private func deleteRenamed(_ attachment: Attachment) async throws {
        guard attachment.hostIndex != 0, attachment.key != .node, let dataplane,
            try dataplane.attachments().contains(where: {
                $0.role == .pod(key: attachment.hostInterface)
                    && $0.ifindex == attachment.hostIndex
            })
        else { return }
        let index = attachment.hostIndex
        let renamed = try await blocking {
            let link = try Links.list().first { $0.index == index }
            guard let link, Self.isOurs(link) else { return nil as String? }
            try Links.delete(index: index)
            return link.name
        }
        guard let renamed else { return }
        logger.warning(
            "removed a pod's interface that had been given another name",
            metadata: ["interface": "\(attachment.hostInterface)", "name": "\(renamed)"]
        )
    }

    /// Whether an interface is the node's end of a pod, whatever its name is by now.
    static func isOurs(_ link: LinkInfo) -> Bool {
        link.kind == "veth" && link.mac == hostMAC
    }

    /// Takes the rows away: what the pod sends is dropped from here on.
    private func unprogram(_ attachment: Attachment) throws(BPFError) {
        guard let dataplane, let vni = VNI(attachment.vni) else { return }
        if attachment.key == .node { try openNode(dataplane) }
        if attachment.hostIndex != 0 { try dataplane.deletePort(ifindex: attachment.hostIndex) }
        for held in attachment.held {
            try dataplane.deleteEndpoint(vni: vni, address: held.address)
        }
    }

    /// The last pod of a VPC takes the VPC's number off this node: its packets are strangers now.
    private func forgetVPC(_ attachment: Attachment) throws(AgentError) {
        let isInUse = journal.attachments.values.contains { $0.vni == attachment.vni }
        guard !isInUse, let vni = VNI(attachment.vni), let dataplane else { return }
        do throws(BPFError) { try dataplane.deleteVNI(vni) } catch { throw .dataplane(error) }
        activeVPCs[attachment.vpc] = nil
        activeVersions[attachment.vpc] = nil
    }

    /// Undoes additions and finishes removals that a dead daemon or a failure left half done.
    func finishInterrupted() async {
        for key in journal.all.filter({ $0.state != .attached }).map(\.key) {
            do throws(AgentError) {
                // A call for the same interface may be quicker: then there is nothing left to do.
                guard !busy.contains(key), !isPlanBusy(of: key) else { continue }
                try begin(key)
                defer { busy.remove(key) }
                guard let attachment = journal.attachments[key], attachment.state != .attached
                else { continue }
                try await undo(attachment)
                if let group = attachment.reference { await publish(group) }
                logger.notice(
                    "undid an interrupted attachment",
                    metadata: ["container_id": "\(key.containerID)"]
                )
            } catch {
                logger.error(
                    "cannot undo an interrupted attachment",
                    metadata: ["container_id": "\(key.containerID)", "reason": "\(error)"]
                )
            }
        }
    }

    /// Addresses that are given out and that no attachment has: a crash came between the two rows.
    func releaseOrphans() async {
        for assignment in await peer.assignments() {
            let key = AttachmentKey(
                containerID: assignment.holder.containerID,
                interface: assignment.holder.interfaceName
            )
            guard journal.attachments[key] == nil, (try? begin(key)) != nil else { continue }
            defer { busy.remove(key) }
            _ = await peer.release(pool: assignment.pool, assignment.holder)
            logger.notice(
                "freed an orphaned address",
                metadata: ["address": "\(assignment.address)"]
            )
        }
    }

    /// Whether a DEL for the interface was waiting; it is done with by who asks.
    func consumeSpooledDelete(_ key: AttachmentKey) -> Bool {
        let spool = SpoolDirectory(path: settings.spoolDirectory)
        let call = CNICall(verb: .delete, containerID: key.containerID, ifname: key.interface)
        guard (try? spool.read(name: call.spoolName)) ?? nil != nil else { return false }
        return (try? spool.remove(name: call.spoolName)) != nil
    }

    /// Compares an attachment with what was set up, as CHECK demands.
    ///
    /// - Parameters:
    ///   - key: the interface.
    ///   - netns: the pod's namespace.
    ///   - routes: those that its ADD made and that the runtime's result has still.
    /// - Throws: `.notAttached`, `.checkFailed` with what is not as it was set up.
    /// - Source: CNI specification 1.1.0, section 2 "CHECK".
    func check(
        _ key: AttachmentKey,
        netns: String,
        routes: [Route]
    ) async throws(AgentError) {
        guard let attachment = journal.attachments[key], attachment.state == .attached else {
            throw .notAttached(containerID: key.containerID, interface: key.interface)
        }
        let assigned = await peer.assignments()
        for held in attachment.held
        where !assigned.contains(where: {
            $0.address == held.address && $0.holder.containerID == key.containerID
                && $0.holder.interfaceName == key.interface
        }) {
            throw .checkFailed(
                "address \(held.address) of interface \(key.interface) is no longer reserved for it"
            )
        }
        let state = try await inspect(key.interface, netns)
        guard state.link.isUp else {
            throw .checkFailed("interface \(key.interface) in the pod is down: set it up again")
        }
        guard state.link.mac?.description == attachment.mac else {
            throw .checkFailed(
                "interface \(key.interface) in the pod has another hardware address than "
                    + "\(attachment.mac), from which alone packets are taken: set that one again"
            )
        }
        for held in attachment.held {
            guard state.addresses.contains(where: { $0.address == held.address }) else {
                throw .checkFailed(
                    "interface \(key.interface) has lost its address \(held.address)"
                )
            }
        }
        if let lost = lostRoute(of: attachment, routes, present: state.routes) {
            throw Self.lost(lost, key.interface)
        }
        try await checkHostEnd(attachment)
        guard let dataplane else { throw .noDataplane }
        do {
            guard try dataplane.ports().contains(where: { $0.ifindex == attachment.hostIndex })
            else {
                throw AgentError.checkFailed("the dataplane has no port for \(key.interface)")
            }
            let isAttached = try dataplane.attachments().contains {
                $0.role == .pod(key: attachment.hostInterface) && $0.ifindex == attachment.hostIndex
            }
            guard isAttached else {
                throw AgentError.checkFailed(
                    "no program is attached to \(attachment.hostInterface)"
                )
            }
        } catch {
            throw Self.checkError(error)
        }
    }

    /// What an interface in a pod is like now.
    func inspect(_ interface: String, _ netns: String) async throws(AgentError) -> PodLink.State {
        do {
            return try await blocking { try PodLink.inspect(interface, netnsPath: netns) }
        } catch {
            throw Self.translate(error)
        }
    }

    static func lost(_ route: Route, _ interface: String) -> AgentError {
        .checkFailed(
            "interface \(interface) in the pod has not its route \(route): put it back, or delete the "
                + "pod"
        )
    }

    private func checkHostEnd(_ attachment: Attachment) async throws(AgentError) {
        let index = attachment.hostIndex
        let links: [LinkInfo]
        do { links = try await blocking { try Links.list() } } catch { throw Self.translate(error) }
        guard let link = links.first(where: { $0.index == index }), link.isUp else {
            throw .checkFailed(
                "the node's end of interface \(attachment.interface), \(attachment.hostInterface), is "
                    + "down or gone: set it up, or delete the pod"
            )
        }
    }

    private static func checkError(_ error: any Error) -> AgentError {
        if let error = error as? AgentError { return error }
        if let error = error as? BPFError { return .dataplane(error) }
        return .checkFailed("\(error)")
    }
}
