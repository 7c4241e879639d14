import CNIProtocol
import Foundation
import LocalAPI
import LocalSocket

/// Questions to one daemon over its socket, and what became of them.
struct NodeSession: Sendable {
    /// How a question ended.
    enum End: Sendable {
        /// It was answered with success.
        case ok([UInt8])
        /// It certainly had no effect.
        case refused(String)
        /// Nobody knows.
        case unknown(String)
    }

    let socket: LocalSocketClient

    init(path: String) {
        socket = LocalSocketClient(path: path)
    }

    func ask(
        _ method: LocalSocketClient.Method,
        _ path: String,
        _ body: [UInt8] = [],
        within milliseconds: Int = 5_000
    ) -> End {
        let response: LocalSocketClient.Response
        do throws(LocalSocketError) {
            response = try socket.request(
                method: method,
                path: path,
                body: body,
                deadlineMilliseconds: milliseconds
            )
        } catch {
            return error.isDefinite ? .refused("\(error)") : .unknown("\(error)")
        }
        if (200..<300).contains(response.status) { return .ok(response.body) }
        let answer = try? JSONDecoder().decode(ErrorAnswer.self, from: Data(response.body))
        let code = answer?.code ?? String(decoding: response.body.prefix(300), as: UTF8.self)
        return code == "ring.indeterminate" ? .unknown(code) : .refused(code)
    }

    /// An answer as a value; nil for everything else.
    func get<Value: Decodable>(_ path: String, as type: Value.Type) -> Value? {
        guard case .ok(let body) = ask(.get, path) else { return nil }
        return try? JSONDecoder().decode(type, from: Data(body))
    }

    func post(_ path: String, _ value: some Encodable) -> End {
        ask(.post, path, (try? JSONEncoder().encode(value)).map(Array.init) ?? [])
    }

    func cni(_ verb: CNIVerb, _ container: String, netns: String) -> End {
        let call = CNICall(
            verb: verb,
            containerID: container,
            netns: netns,
            ifname: "eth0",
            config:
                #"{"cniVersion":"1.1.0","name":"drill","type":"genie","vpc":"drill","group":"pods"}"#
        )
        return ask(.post, "/v1/cni", call.jsonText, within: 15_000)
    }
}
