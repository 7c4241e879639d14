import Foundation
import LocalAPI
import PeerService
import RingRegisters

extension NodeAgent {
    /// The longest that a question for the next version is held, in milliseconds.
    private static let registerWaitMillisecondsMax = 60_000

    /// What a register holds, linearizable.
    ///
    /// With a version, waits until the register has a later one, for `waitMilliseconds` at the
    /// most; what it holds then is the answer either way.
    nonisolated func register(
        _ key: String,
        after version: UInt64?,
        waitMilliseconds: Int
    ) async throws(AgentError) -> RegisterStatus {
        let wait = min(max(0, waitMilliseconds), Self.registerWaitMillisecondsMax)
        let value = try await readRegister(key)
        guard let version, value.version <= version, wait > 0 else {
            return RegisterStatus(key, value)
        }
        // The stewards tell when it changes; what it holds then is read, so that an answer is never
        // older than what was acknowledged before.
        let isFollowed = await peer.waitForRegister(
            key,
            after: version,
            limit: .milliseconds(wait)
        )
        guard isFollowed else {
            throw .watch(.tooManyRegisters(max: PeerService.registersAskedMax))
        }
        return RegisterStatus(key, try await readRegister(key))
    }

    /// The names of all registers that begin so and hold content.
    nonisolated func registers(prefix: String) async throws(AgentError) -> RegisterList {
        do throws(RegisterFailure) {
            return RegisterList(prefix: prefix, keys: try await peer.list(prefix))
        } catch {
            throw await reason(for: error)
        }
    }

    /// Sets a register whose version is still the expected one.
    nonisolated func setRegister(_ wanted: SetRegister) async throws(AgentError) -> RegisterChange {
        if let problem = SetRegister.problem(ofKey: wanted.key) { throw .badRequest(problem) }
        guard wanted.isForced == true || !SetRegister.isReserved(wanted.key) else {
            throw .reservedRegister(wanted.key)
        }
        let content = try wanted.content
        do throws(RegisterFailure) {
            let end = try await peer.compareAndSet(
                wanted.key,
                expectedVersion: wanted.expectedVersion,
                content: content
            )
            switch end {
            case .committed(let value):
                return RegisterChange(
                    outcome: .committed,
                    register: RegisterStatus(wanted.key, value)
                )
            case .conflict(let value):
                return RegisterChange(
                    outcome: .conflict,
                    register: RegisterStatus(wanted.key, value)
                )
            }
        } catch {
            throw await reason(for: error)
        }
    }

    private nonisolated func readRegister(_ key: String) async throws(AgentError) -> RegisterValue {
        guard !key.isEmpty else { throw .badRequest("a register has a name") }
        do throws(RegisterFailure) { return try await peer.read(key) } catch {
            throw await reason(for: error)
        }
    }

    /// Before it belongs to a ring a peer has no stewards to ask, which is another thing than
    /// stewards that do not answer.
    ///
    /// Looked at behind a failure alone: before each request it would cost another change of
    /// threads, there and back.
    private nonisolated func reason(for failure: RegisterFailure) async -> AgentError {
        if failure == .unavailable, await !peer.isJoined { return .notJoined }
        return .registers(failure)
    }
}

extension RegisterStatus {
    fileprivate init(_ key: String, _ value: RegisterValue) {
        let text = value.payload.flatMap { String(validating: $0, as: UTF8.self) }
        self.init(
            key: key,
            version: value.version,
            isPresent: value.payload != nil,
            text: text,
            base64: text == nil ? value.payload.map { Data($0).base64EncodedString() } : nil
        )
    }
}

extension SetRegister {
    /// The new content; nil deletes.
    fileprivate var content: [UInt8]? {
        get throws(AgentError) {
            switch (text, base64, isDeletion ?? false) {
            case (let text?, nil, false): return Array(text.utf8)
            case (nil, nil, true): return nil
            case (nil, let base64?, false):
                guard let data = Data(base64Encoded: base64) else {
                    throw .badRequest("base64 is not base64")
                }
                return Array(data)
            default:
                throw .badRequest("exactly one of text, base64 and isDeletion is wanted")
            }
        }
    }
}
