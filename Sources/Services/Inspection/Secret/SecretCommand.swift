import ArgumentParser
import Glibc
import PeerTransport

/// `genie-ring secret`: the one secret of a cluster.
struct SecretCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secret",
        abstract: "Make the cluster's secret.",
        subcommands: [SecretNewCommand.self]
    )
}

/// `genie-ring secret new`.
struct SecretNewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a new cluster secret to a file that only its owner can read.",
        discussion: """
            Gossip keys and node certificates come from the secret: whoever holds it is fully trusted. \
            Every node gets a copy of the same file. An existing file is never overwritten.

            Example: genie-ring secret new /etc/genie/secret
            """
    )

    @Argument(help: "The file to write.") var file: String

    func run() throws {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let detail: String =
                switch errno {
                case EEXIST: "it exists already; name another file"
                case ENOENT: "its folder does not exist; make it first"
                default: text(errno)
                }
            throw InspectionError.unwritable(path: file, detail: detail)
        }
        defer { close(descriptor) }
        var bytes = Array(ClusterSecret.generate().fileText.utf8)
        guard write(descriptor, &bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw InspectionError.unwritable(path: file, detail: text(errno))
        }
    }

    private func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
