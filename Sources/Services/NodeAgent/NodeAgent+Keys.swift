import LocalAPI
import PeerService
import RingPlacement

extension NodeAgent {
    /// The gossip keys, without their bytes: as this node has them, or as the stewards do.
    func keyList(isAgreed: Bool) async throws(AgentError) -> KeyList {
        if isAgreed {
            do throws(KeyChangeFailure) { try await peer.refreshKeys() } catch {
                throw .keys(error)
            }
        }
        let (epoch, keys) = await peer.keys()
        guard !keys.isEmpty else { throw .notJoined }
        return KeyList(
            epoch: epoch,
            keys: keys.map { status in
                KeyList.Item(
                    id: status.key.id.description,
                    isSealing: status.isSealing,
                    origin: status.key.origin == .clusterSecret ? "secret" : "generated",
                    epoch: status.key.epoch,
                    members: status.holders,
                    lacking: status.lacking
                )
            }
        )
    }

    /// Has everybody open datagrams of one more key.
    func installKey(_ wanted: InstallKey) async throws(AgentError) -> KeyChanged {
        var given: RingKey.Bytes?
        if let text = wanted.key {
            guard let bytes = RingKey.Bytes(hexadecimal: text) else { throw .badKey }
            given = bytes
        }
        let expected = try wanted.expectedKeys?.map { name throws(AgentError) in
            try Self.keyID(name)
        }
        do throws(KeyChangeFailure) {
            return try await peer.installKey(given, expected: expected).payload
        } catch {
            throw .keys(error)
        }
    }

    /// Has everybody seal with a key.
    func useKey(_ wanted: UseKey) async throws(AgentError) -> KeyChanged {
        let id = try Self.keyID(wanted.id)
        do throws(KeyChangeFailure) {
            return try await peer.useKey(
                id,
                isForced: wanted.isForced,
                isForward: wanted.isForward ?? false
            ).payload
        } catch {
            throw .keys(error)
        }
    }

    /// Has nobody open datagrams of a key any more.
    func removeKey(_ name: String, isForced: Bool) async throws(AgentError) -> KeyChanged {
        let id = try Self.keyID(name)
        do throws(KeyChangeFailure) {
            return try await peer.removeKey(id, isForced: isForced).payload
        } catch {
            throw .keys(error)
        }
    }

    private static func keyID(_ name: String) throws(AgentError) -> RingKey.ID {
        guard let id = RingKey.ID(name) else { throw .badKeyID(String(name.prefix(80))) }
        return id
    }
}

extension KeyChange {
    fileprivate var payload: KeyChanged {
        KeyChanged(id: id.description, isChanged: isChanged, epoch: epoch)
    }
}

extension RingKey.Bytes {
    /// Reads 64 hexadecimal digits; nil for anything else.
    fileprivate init?(hexadecimal text: String) {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == 2 * RingKey.byteCount, text.utf8.count == digits.count else {
            return nil
        }
        let pairs = stride(from: 0, to: digits.count, by: 2)
        self.init(pairs.map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
    }
}
