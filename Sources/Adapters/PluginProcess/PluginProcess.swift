internal import CLinux
internal import Glibc

/// Programs of others, CNI plugins above all: found by name, fed, bounded, waited for.
///
/// - Source: CNI specification 1.1.0, sections 2 and 4.
package enum PluginProcess {
    /// One call.
    package struct Call: Sendable {
        /// The program.
        package var path: String
        /// What follows its name; a plugin gets none.
        package var arguments: [String]
        /// Its whole environment, `KEY=VALUE`.
        package var environment: [String]
        /// What it reads on standard input.
        package var input: [UInt8]
        /// How long it may take; it and its children are killed then.
        package var deadlineMilliseconds: Int

        /// Describes a call.
        package init(
            path: String,
            arguments: [String] = [],
            environment: [String],
            input: [UInt8],
            deadlineMilliseconds: Int
        ) {
            self.path = path
            self.arguments = arguments
            self.environment = environment
            self.input = input
            self.deadlineMilliseconds = deadlineMilliseconds
        }
    }

    /// What it left behind.
    package struct Outcome: Hashable, Sendable {
        /// The exit status; of a program that was killed, 128 and the signal's number.
        package let status: Int32
        /// Its standard output.
        package let output: [UInt8]
        /// The end of its standard error.
        package let errors: String
    }

    /// The most bytes that are read of either output.
    package static let outputBytesMax = 4 << 20

    /// The first program of that name in directories joined by colons; nil where there is none.
    ///
    /// Relative ones are passed over: the caller's working directory is not the runtime's.
    package static func find(_ name: String, in path: String) -> String? {
        guard !name.isEmpty, !name.contains("/") else { return nil }
        for directory in path.split(separator: ":") where directory.first == "/" {
            let candidate = "\(directory)/\(name)"
            var status = stat()
            if stat(candidate, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
                return candidate
            }
        }
        return nil
    }

    /// Runs the program to its end, on this thread.
    ///
    /// - Parameters:
    ///   - call: the program and what it is given.
    ///   - lock: held by the program too, for as long as it or a child of it lives.
    /// - Returns: what it left behind, whatever its status.
    /// - Throws: where the program cannot be started, exceeds the deadline or says too much.
    package static func run(
        _ call: Call,
        holding lock: PluginLock? = nil
    ) throws(PluginProcessError) -> Outcome {
        let input = try Pipe(call.path)
        let output = try Pipe(call.path)
        let errors = try Pipe(call.path)
        let process = try start(
            call,
            [input.reader, output.writer, errors.writer] + [lock?.descriptor].compactMap(\.self)
        )
        input.closeReader()
        output.closeWriter()
        errors.closeWriter()
        var exchange = PluginExchange(call, input: input, output: output, errors: errors)
        let end = genie_process_descriptor(process)
        defer { if end >= 0 { close(end) } }
        do throws(PluginProcessError) {
            try exchange.run(untilReadable: end)
        } catch {
            kill(-process, SIGKILL)
            _ = wait(process)
            throw error
        }
        return Outcome(
            status: wait(process),
            output: exchange.received,
            errors: String(decoding: exchange.complaints.suffix(4_096), as: UTF8.self)
        )
    }

    /// A program that is being replaced gives "text file busy" for a moment, so it is tried again.
    private static func start(
        _ call: Call,
        _ descriptors: [Int32]
    ) throws(PluginProcessError) -> pid_t {
        var arguments = ([call.path] + call.arguments).map { strdup($0) } + [nil]
        var environment = call.environment.map { strdup($0) } + [nil]
        defer { for text in arguments + environment { free(text) } }
        for attempt in 0... {
            let process = genie_spawn(
                call.path,
                &arguments,
                &environment,
                descriptors,
                Int32(descriptors.count)
            )
            if process > 0 { return process }
            guard process == -ETXTBSY, attempt < 50 else {
                throw .notStarted(path: call.path, errno: -process)
            }
            usleep(100_000)
        }
        preconditionFailure("the attempts are bounded")
    }

    private static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
}

/// Why a plugin gave no outcome.
package enum PluginProcessError: Error, Hashable, Sendable {
    /// The program could not be started, see posix_spawn(3).
    case notStarted(path: String, errno: Int32)
    /// The program took too long and was killed.
    case tooSlow(path: String, milliseconds: Int)
    /// The program wrote more than anybody reads, and was killed.
    case tooMuch(path: String)
    /// A program of an earlier call for the same pod still runs, or the lock cannot be used.
    case notLocked(path: String, errno: Int32)
}

extension PluginProcessError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notStarted(let path, let errno):
            "cannot start plugin \(path): \(String(cString: strerror(errno)))"
        case .tooSlow(let path, let milliseconds):
            "plugin \(path) did not end within \(milliseconds) ms and was killed"
        case .tooMuch(let path):
            "plugin \(path) wrote more than \(PluginProcess.outputBytesMax) bytes and was killed"
        case .notLocked(let path, let errno):
            errno == EAGAIN || errno == EACCES
                ? "a plugin that was called for this pod before still runs (it holds \(path)): wait "
                    + "for it, or end it"
                : "cannot lock \(path): \(String(cString: strerror(errno)))"
        }
    }
}
