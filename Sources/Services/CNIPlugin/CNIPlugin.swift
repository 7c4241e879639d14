import CNIProtocol
import Glibc
import LocalSocket

/// The plugin that container runtimes start: it checks a call and hands it to the daemon.
///
/// It decides nothing about networks. What can be answered without the daemon is answered here;
/// while the daemon is away, a DEL is kept for it and counts as done.
package enum CNIPlugin {
    /// The daemon's socket when neither ``socketVariable`` nor the configuration names one.
    package static let socketPath = "/run/genie/genied.sock"
    /// Where calls wait for the daemon when ``spoolVariable`` names no place.
    package static let spoolPath = "/var/lib/genie/cni-spool"
    /// The variable that names the daemon's socket.
    package static let socketVariable = "GENIE_SOCKET"
    /// The variable that names the spool directory.
    package static let spoolVariable = "GENIE_SPOOL"
    /// Where the daemon takes calls: one ``CNICall`` as JSON by POST.
    package static let target = "/v1/cni"

    /// How long and how much is waited for.
    package struct Limits: Sendable {
        /// For the daemon's whole answer.
        package var answerMilliseconds: Int
        /// For the whole configuration on standard input.
        package var inputMilliseconds: Int
        /// For the configuration of a call that is refused anyway; only its version is wanted.
        package var refusedInputMilliseconds: Int
        /// The largest configuration, in bytes.
        package var inputBytesMax: Int

        /// What runtimes get: the answer comes before their own two minutes are over.
        package init(
            answerMilliseconds: Int = 90_000,
            inputMilliseconds: Int = 10_000,
            refusedInputMilliseconds: Int = 250,
            inputBytesMax: Int = 512 << 10
        ) {
            self.answerMilliseconds = answerMilliseconds
            self.inputMilliseconds = inputMilliseconds
            self.refusedInputMilliseconds = refusedInputMilliseconds
            self.inputBytesMax = inputBytesMax
        }
    }

    /// What the process ends with.
    package struct Outcome: Hashable, Sendable {
        /// 0 for success.
        package let exitStatus: Int32
        /// What the runtime reads.
        package let standardOutput: [UInt8]
        /// What people read in the runtime's log.
        package let standardError: String
    }

    /// Serves one call.
    ///
    /// - Parameters:
    ///   - environment: gives the value of a variable; nil when it is not set.
    ///   - standardInput: the descriptor that the configuration is read from.
    ///   - limits: how long and how much is waited for.
    /// - Returns: what the process must print, and the status to exit with.
    package static func run(
        environment: (String) -> String?,
        standardInput: Int32,
        limits: Limits = Limits()
    ) -> Outcome {
        switch CNIInvocation.read(environment) {
        case .about:
            return Outcome(
                exitStatus: 0,
                standardOutput: [],
                standardError: CNIInvocation.aboutText
            )
        case .version:
            return .succeeded(CNIInvocation.versionText)
        case .refused(let refusal):
            let input = ConfigurationInput.read(
                standardInput,
                bytesMax: limits.inputBytesMax,
                deadlineMilliseconds: limits.refusedInputMilliseconds
            )
            guard case .whole(let bytes) = input,
                let scan = try? ConfigurationScan(bytes)
            else { return .failed(refusal) }
            return .failed(refusal.inVersion(scan.cniVersion))
        case .call(let call):
            do throws(CNIError) {
                return try serve(call, environment, standardInput, limits)
            } catch {
                return .failed(error)
            }
        }
    }

    /// Serves the call that this process was started for and writes the answer.
    ///
    /// - Returns: the status to exit with.
    package static func runProcess() -> Int32 {
        let outcome = run(
            environment: { name in getenv(name).map { String(cString: $0) } },
            standardInput: STDIN_FILENO
        )
        write(Array(outcome.standardError.utf8), to: STDERR_FILENO)
        write(outcome.standardOutput, to: STDOUT_FILENO)
        return outcome.exitStatus
    }

    private static func serve(
        _ call: CNICall,
        _ environment: (String) -> String?,
        _ standardInput: Int32,
        _ limits: Limits
    ) throws(CNIError) -> Outcome {
        let bytes = try configuration(standardInput, limits)
        let scan = try ConfigurationScan(bytes)
        if let refusal = scan.refusal(of: call.verb) { throw refusal }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw CNIError(.decodingFailure, "the network configuration is not UTF-8")
        }
        if call.verb == .add, NamespaceCheck.isOwn(call.netns, environment) {
            let message = "plugin's netns and netns from CNI_NETNS should not be the same"
            throw CNIError(.invalidNamespace, message, details: call.netns)
                .inVersion(scan.cniVersion)
        }
        var call = call
        call.config = text
        let named = [environment(socketVariable), scan.socket].compactMap { $0 }
        let path = named.first { !$0.isEmpty } ?? socketPath
        do throws(LocalSocketError) {
            let response = try LocalSocketClient(path: path).request(
                method: .post,
                path: target,
                body: call.jsonText,
                deadlineMilliseconds: limits.answerMilliseconds
            )
            return answer(response, version: scan.cniVersion, path: path)
        } catch {
            return unanswered(call, error, version: scan.cniVersion, environment)
        }
    }

    private static func configuration(
        _ standardInput: Int32,
        _ limits: Limits
    ) throws(CNIError) -> [UInt8] {
        let input = ConfigurationInput.read(
            standardInput,
            bytesMax: limits.inputBytesMax,
            deadlineMilliseconds: limits.inputMilliseconds
        )
        switch input {
        case .whole(let bytes): return bytes
        case .oversized:
            throw CNIError(
                .decodingFailure,
                "the network configuration is larger than \(limits.inputBytesMax) bytes"
            )
        case .late:
            throw CNIError(
                .inputOutputFailure,
                "standard input did not end within \(limits.inputMilliseconds) ms"
            )
        case .failed(let number):
            throw CNIError(
                .inputOutputFailure,
                "cannot read the network configuration from standard input",
                details: String(cString: strerror(number))
            )
        }
    }

    /// The daemon's answer goes out as it came, unless it is no answer of our protocol.
    private static func answer(
        _ response: LocalSocketClient.Response,
        version: String?,
        path: String
    ) -> Outcome {
        if response.status == 200 { return .succeeded(response.body) }
        let isObject = (try? ConfigurationScan(response.body)) != nil
        if isObject {
            return Outcome(exitStatus: 1, standardOutput: response.body, standardError: "")
        }
        let error = CNIError(
            .inputOutputFailure,
            "what listens on \(path) answered with status \(response.status); is it this"
                + " version's genied?",
            details: String(decoding: response.body.prefix(200), as: UTF8.self)
        )
        return .failed(error.inVersion(version))
    }

    /// What a runtime gets when the daemon gave no answer.
    private static func unanswered(
        _ call: CNICall,
        _ error: LocalSocketError,
        version: String?,
        _ environment: (String) -> String?
    ) -> Outcome {
        switch call.verb {
        case .delete:
            guard isAway(error) else { break }
            let named = environment(spoolVariable) ?? ""
            let spool = SpoolDirectory(path: named.isEmpty ? spoolPath : named)
            do throws(SpoolError) {
                try spool.write(name: call.spoolName, call.jsonText)
                let text = "\(error); the DEL is kept in \(spool.path) until genied is back\n"
                return Outcome(exitStatus: 0, standardOutput: [], standardError: text)
            } catch {
                return .failed(
                    CNIError(
                        .tryAgainLater,
                        "genied is away and the DEL could not be kept",
                        details: "\(error)"
                    ).inVersion(version)
                )
            }
        case .status:
            return .failed(
                CNIError(.notAvailable, "genied cannot serve an ADD", details: "\(error)")
                    .inVersion(version)
            )
        case .add, .check, .collect, .version: break
        }
        return .failed(
            CNIError(.tryAgainLater, "genied gave no answer", details: "\(error)")
                .inVersion(version)
        )
    }

    /// Whether the daemon is gone, before the call or during it, rather than slow or refusing us.
    private static func isAway(_ error: LocalSocketError) -> Bool {
        switch error {
        case .notRunning, .closed: true
        case .denied, .pathTooLong, .timedOut, .malformed, .oversized, .failed: false
        }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count == 0 || errno != EINTR {
                return
            }
        }
    }
}

extension CNIPlugin.Outcome {
    static func succeeded(_ output: [UInt8]) -> Self {
        Self(exitStatus: 0, standardOutput: output, standardError: "")
    }

    static func failed(_ error: CNIError) -> Self {
        Self(exitStatus: 1, standardOutput: error.jsonText, standardError: "")
    }
}
