import Glibc

/// Why a server could not listen.
package enum LocalServerError: Error, Hashable, Sendable {
    /// Another process answers on the socket.
    case inUse(path: String)
    /// Something that is not a socket lies where the socket should.
    case notASocket(path: String)
    /// The path does not fit in a socket address.
    case pathTooLong(path: String, bytesMax: Int)
    /// The kernel refused a step.
    case failed(path: String, step: Step, errno: Int32)

    /// What was being done.
    package enum Step: String, Hashable, Sendable {
        /// Making the directory that the socket lies in.
        case makeDirectory = "mkdir"
        /// Looking at what lies there.
        case inspect = "lstat"
        /// Trying whether anybody answers.
        case connect
        /// Setting the group.
        case setGroup = "chown"
        /// Setting the mode.
        case setMode = "chmod"
        /// Putting the socket in place.
        case rename
    }
}

extension LocalServerError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .inUse(let path):
            "another genied answers on \(path); stop it, or give this one another --socket"
        case .notASocket(let path):
            "cannot listen on \(path): a file that is no socket lies there; move it away, or use"
                + " another --socket"
        case .pathTooLong(let path, let bytesMax):
            "cannot listen on \(path): the path is longer than \(bytesMax) bytes; use a shorter"
                + " one"
        case .failed(let path, let step, let errno):
            "cannot listen on \(path): \(step.rawValue): \(String(cString: strerror(errno)))"
        }
    }
}
