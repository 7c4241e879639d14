import Glibc
import Synchronization

/// Named network namespaces for one test, removed together with everything in them at its end.
final class TestNamespaces: Sendable {
    /// The names, as ip-netns(8) knows them.
    let names: [String]

    private static let counter = Atomic<Int>(0)

    init(_ count: Int) throws {
        let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        names = (0..<count).map { "nltest-\(getpid())-\(number)-\($0)" }
        for name in names { try shell("ip netns add \(name)") }
    }

    deinit {
        for name in names { _ = try? shell("ip netns delete \(name)") }
    }

    func path(_ index: Int) -> String { "/var/run/netns/\(names[index])" }

    /// Runs a command inside one of the namespaces and gives back what it prints.
    @discardableResult
    func run(_ index: Int, _ command: String) throws -> String {
        try shell("ip netns exec \(names[index]) \(command)")
    }
}

struct ShellError: Error {
    let command: String
    let status: Int32
    let output: String
}

@discardableResult
func shell(_ command: String) throws -> String {
    guard let pipe = popen("exec 2>&1; \(command)", "r") else {
        throw ShellError(command: command, status: errno, output: "")
    }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while case let count = fread(&buffer, 1, buffer.count, pipe), count > 0 {
        output += buffer[..<count]
    }
    let status = pclose(pipe)
    let text = String(decoding: output, as: UTF8.self)
    guard status == 0 else { throw ShellError(command: command, status: status, output: text) }
    return text
}

/// The inode of the calling thread's namespace, without the module under test.
func currentNamespace() -> UInt64 {
    var status = stat()
    return stat("/proc/thread-self/ns/net", &status) == 0 ? UInt64(status.st_ino) : 0
}

/// The inode of the namespace of the process's first thread.
func processNamespace() -> UInt64 {
    var status = stat()
    return stat("/proc/self/ns/net", &status) == 0 ? UInt64(status.st_ino) : 0
}
