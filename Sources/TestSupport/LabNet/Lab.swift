package import Foundation

/// A running lab: real `genied` processes in network namespaces, driven through `scripts/lab`.
///
/// Make one with ``with(nodes:_:)``, which takes it down again whatever happens.
package struct Lab: Sendable {
    /// What a command left behind.
    package struct Output: Sendable {
        /// The exit status.
        package let status: Int32
        /// Standard output.
        package let text: String
        /// Standard error.
        package let errors: String
    }

    /// A command that had to succeed and did not.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        /// Makes one that says what happened.
        package init(description: String) { self.description = description }
    }

    /// The lab's number; the underlay is 172.30.ID.0/24.
    package let id: Int

    /// The first of the three ids that tests use; `GENIE_LAB_TEST_ID` moves them out of the way of
    /// another run on the same machine.
    package static let testID =
        ProcessInfo.processInfo.environment["GENIE_LAB_TEST_ID"].flatMap { Int($0) } ?? 71

    /// The root of the checkout.
    package static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// Where the built programs are: beside the test bundle, unless `GENIE_BIN` says otherwise.
    package static var binaries: String {
        ProcessInfo.processInfo.environment["GENIE_BIN"]
            ?? root.appending(path: ".build/debug").path
    }

    /// Brings up a lab of `nodes`, runs `body`, and takes everything down.
    package static func with(
        nodes: Int,
        id: Int,
        environment: [String: String] = [:],
        _ body: (Lab) async throws -> Void
    ) async throws {
        let lab = Lab(id: id)
        _ = try? lab.script("down")
        do {
            try lab.script("up", "\(nodes)", environment: environment)
            try await body(lab)
        } catch {
            _ = try? lab.script("down")
            throw error
        }
        try lab.script("down")
    }

    /// Runs a verb of `scripts/lab`.
    @discardableResult
    package func script(
        _ arguments: String...,
        input: String = "",
        environment: [String: String] = [:]
    ) throws -> String {
        let output = try Self.run(
            Self.root.appending(path: "scripts/lab").path,
            ["--id", "\(id)"] + arguments,
            input: input,
            environment: environment
        )
        guard output.status == 0 else {
            throw Failure(
                description: "lab \(arguments.joined(separator: " ")) ended with "
                    + "\(output.status): \(output.errors)\(output.text)"
            )
        }
        return output.text
    }

    /// Runs a command in a node and gives back what it said, whatever its status.
    package func run(
        on node: Int,
        _ arguments: [String],
        input: String = "",
        environment: [String: String] = [:]
    ) throws -> Output {
        try Self.run(
            Self.root.appending(path: "scripts/lab").path,
            ["--id", "\(id)", "exec", "node\(node)"] + arguments,
            input: input,
            environment: environment
        )
    }

    /// Runs `genie-ring` on a node and reads its JSON.
    package func ring<Value: Decodable>(
        _ node: Int,
        _ arguments: String...,
        as type: Value.Type
    ) throws -> Value {
        let output = try run(on: node, ["genie-ring"] + arguments + ["-o", "json"])
        guard output.status == 0 else { throw Failure(description: output.errors) }
        return try JSONDecoder().decode(Value.self, from: Data(output.text.utf8))
    }

    /// Runs `genie-ring` on a node.
    package func ring(_ node: Int, _ arguments: String...) throws -> Output {
        try run(on: node, ["genie-ring"] + arguments)
    }

    /// Runs a command in a pod's namespace.
    package func inPod(_ pod: Pod, _ arguments: String...) throws -> Output {
        try Self.run("/usr/sbin/ip", ["netns", "exec", pod.namespace] + arguments)
    }

    /// Waits until `condition` holds, for `seconds` at the most.
    package func eventually(
        seconds: Double,
        _ condition: () throws -> Bool
    ) async throws -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while Date() < deadline {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return try condition()
    }

    /// Runs a program to its end.
    package static func run(
        _ path: String,
        _ arguments: [String],
        input: String = "",
        environment: [String: String] = [:]
    ) throws -> Output {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        var variables = ProcessInfo.processInfo.environment
        variables["GENIE_BIN"] = binaries
        process.environment = variables.merging(environment) { $1 }
        // Files and not pipes: a daemon that a script leaves running holds pipes open.
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = ["in", "out", "err"].map { folder.appending(path: $0) }
        try Data(input.utf8).write(to: files[0])
        for file in files[1...] { try Data().write(to: file) }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        return Output(
            status: process.terminationStatus,
            text: String(decoding: try Data(contentsOf: files[1]), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: files[2]), as: UTF8.self)
        )
    }
}

/// A pod of the lab: a network namespace that a CNI call was made for.
package struct Pod: Sendable {
    /// The node it is on.
    package let node: Int
    /// Its name, and its container id.
    package let name: String
    /// Its namespace in `ip netns`.
    package let namespace: String
    /// Its VPC.
    package let vpc: String
    /// Its addresses, those of the group's first subnet first.
    package let addresses: [String]

    /// Its first address.
    package var address: String { addresses[0] }
}

extension Lab {
    /// Makes a pod's namespace and attaches it through the CNI binary.
    package func attach(
        _ node: Int,
        _ name: String,
        _ vpc: String,
        group: String = "web"
    ) throws -> Pod {
        try script("pod", "add", "node\(node)", name)
        let output = try cni("ADD", node, name, vpc, group: group)
        guard output.status == 0 else { throw Failure(description: output.text + output.errors) }
        struct Result: Decodable {
            struct Address: Decodable {
                let address: String
            }
            let ips: [Address]
        }
        let result = try JSONDecoder().decode(Result.self, from: Data(output.text.utf8))
        let addresses = result.ips.compactMap { $0.address.split(separator: "/").first }
        guard !addresses.isEmpty else {
            throw Failure(description: "no address in \(output.text)")
        }
        return Pod(
            node: node,
            name: name,
            namespace: "grlab\(id)-node\(node)-\(name)",
            vpc: vpc,
            addresses: addresses.map(String.init)
        )
    }

    /// Calls the CNI binary for a pod, as a container runtime does.
    package func cni(
        _ verb: String,
        _ node: Int,
        _ name: String,
        _ vpc: String,
        group: String = "web",
        interface: String = "eth0",
        containerID: String? = nil,
        arguments: String = "",
        prevResult: String? = nil
    ) throws -> Output {
        let previous = prevResult.map { ",\"prevResult\":\($0)" } ?? ""
        return try run(
            on: node,
            ["genie"],
            input: """
                {"cniVersion":"1.1.0","name":"\(vpc)","type":"genie","vpc":"\(vpc)",\
                "group":"\(group)"\(previous)}
                """,
            environment: [
                "CNI_COMMAND": verb, "CNI_CONTAINERID": containerID ?? name,
                "CNI_IFNAME": interface,
                "CNI_ARGS": arguments,
                "CNI_NETNS": "/var/run/netns/grlab\(id)-node\(node)-\(name)",
                "CNI_PATH": "/opt/cni/bin",
            ]
        )
    }

    /// Sends echo requests, 10 ms apart, and counts the lost ones.
    package func lostPings(_ from: Pod, to address: String, count: Int = 10) throws -> Int {
        let output = try inPod(
            from,
            "ping",
            "-c",
            "\(count)",
            "-i",
            "0.01",
            "-W",
            "1",
            "-q",
            address
        )
        let words = output.text.split(whereSeparator: \.isWhitespace)
        guard let index = words.firstIndex(of: "received,"), index > 0,
            let received = Int(words[index - 1])
        else { throw Failure(description: "ping said: \(output.text)\(output.errors)") }
        return count - received
    }
}
