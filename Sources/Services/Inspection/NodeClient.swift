import ArgumentParser
import Foundation
import LocalAPI
import LocalSocket

/// Where to ask and how to print: the options that every command has.
struct NodeOptions: ParsableArguments {
    @Option(name: .long, help: "The socket of genied.")
    var socket = LocalAPI.defaultSocketPath

    @Option(name: .shortAndLong, help: "How to print: table or json.")
    var output = OutputFormat.table

    var client: NodeClient { NodeClient(socket: LocalSocketClient(path: socket)) }
}

/// The forms in which data is printed.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    /// Columns for people.
    case table
    /// One JSON value for programs.
    case json
}

/// Typed questions to the node API.
struct NodeClient {
    let socket: LocalSocketClient

    /// How long an answer may take.
    var deadlineMilliseconds = 15_000

    func get<Answer: Decodable>(_ path: String, as type: Answer.Type) throws -> Answer {
        try decode(ask(.get, path, []), path)
    }

    func post<Answer: Decodable>(
        _ path: String,
        _ body: some Encodable,
        as type: Answer.Type
    ) throws -> Answer {
        try decode(ask(.post, path, Array(JSONEncoder().encode(body))), path)
    }

    /// Sends what is JSON already.
    func post<Answer: Decodable>(
        _ path: String,
        bytes: [UInt8],
        as type: Answer.Type
    ) throws -> Answer {
        try decode(ask(.post, path, bytes), path)
    }

    func put<Answer: Decodable>(
        _ path: String,
        _ body: some Encodable,
        as type: Answer.Type
    ) throws -> Answer {
        try decode(ask(.put, path, Array(JSONEncoder().encode(body))), path)
    }

    func delete(_ path: String) throws {
        _ = try ask(.delete, path, [])
    }

    func delete<Answer: Decodable>(_ path: String, as type: Answer.Type) throws -> Answer {
        try decode(ask(.delete, path, []), path)
    }

    private func ask(
        _ method: LocalSocketClient.Method,
        _ path: String,
        _ body: [UInt8]
    ) throws -> LocalSocketClient.Response {
        let response: LocalSocketClient.Response
        do throws(LocalSocketError) {
            response = try socket.request(
                method: method,
                path: path,
                body: body,
                deadlineMilliseconds: deadlineMilliseconds
            )
        } catch {
            throw InspectionError.unanswered(error)
        }
        guard (200..<300).contains(response.status) else {
            let data = Data(response.body)
            if let answer = try? JSONDecoder().decode(ErrorAnswer.self, from: data) {
                throw InspectionError.refused(answer)
            }
            throw InspectionError.unreadable(
                path: path,
                status: response.status,
                detail: String(decoding: response.body.prefix(200), as: UTF8.self)
            )
        }
        return response
    }

    private func decode<Answer: Decodable>(
        _ response: LocalSocketClient.Response,
        _ path: String
    ) throws -> Answer {
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(response.body))
        } catch {
            throw InspectionError.unreadable(
                path: path,
                status: response.status,
                detail: "\(error)"
            )
        }
    }
}
