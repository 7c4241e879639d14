internal import Glibc
package import Wire

/// Why an interface, an address or a namespace could not be read or changed.
package enum NetlinkError: Error, Hashable, Sendable {
    /// The kernel answered `request` with `errno` and did not carry it out.
    ///
    /// `explanation` is the kernel's own text, empty where it gave none.
    case refused(request: RequestName, errno: Int32, explanation: String)
    /// No answer to `request` came in time; it may have taken effect.
    case unanswered(request: RequestName)
    /// The table that `request` lists kept changing while it was read.
    case interrupted(request: RequestName)
    /// The kernel's answer could not be read; the request may have taken effect.
    case unreadable(WireError)
    /// The name is empty, longer than 15 bytes or holds a character the kernel forbids.
    case invalidName(String)
    /// An interface of that name exists already; a nil path means the caller's namespace.
    case nameTaken(name: String, netnsPath: String?)
    /// There is no interface of that name; a nil path means the caller's namespace.
    case linkMissing(name: String, netnsPath: String?)
    /// Nothing exists at the path that should name a network namespace.
    case namespaceMissing(path: String)
    /// What the path names is not a network namespace.
    case namespaceInvalid(path: String)
    /// The path names the namespace that the host's end would be in as well.
    case namespaceNotForeign(path: String)
    /// A system call failed before the kernel was asked for anything.
    case systemCall(SystemCall, errno: Int32)
    /// A kernel setting below `/proc/sys/net` could not be read or written.
    case settingRefused(path: String, errno: Int32)
    /// An offload of the interface could not be read or changed.
    case offloadRefused(Offload, name: String, errno: Int32)

    /// The calls that carry requests; man pages socket(2), send(2), recv(2), open(2), fstat(2).
    package enum SystemCall: String, Hashable, Sendable {
        /// Opening a namespace file.
        case openNamespace = "open the namespace"
        /// Reading the identity of a namespace file.
        case identifyNamespace = "identify the namespace"
        /// Entering the namespace and making sockets there.
        case openSocket = "open a netlink socket"
        /// Handing requests to the kernel.
        case send = "send to the kernel"
        /// Fetching the kernel's answers.
        case receive = "receive from the kernel"
        /// Reading an interface's driver.
        case readDriver = "read the interface's driver"
        /// Entering the namespace and making a packet socket there.
        case openPacketSocket = "open a packet socket"
        /// Sending a frame.
        case sendPacket = "send a frame"
        /// Reading a frame.
        case receivePacket = "read a frame"
    }

    /// Whether it is certain that what was asked for did not happen.
    package var isDefinite: Bool {
        switch self {
        case .unanswered, .unreadable: false
        case .systemCall(let call, _): call != .receive
        case .refused, .interrupted, .invalidName, .nameTaken, .linkMissing, .namespaceMissing,
            .namespaceInvalid, .namespaceNotForeign, .settingRefused, .offloadRefused:
            true
        }
    }
}

extension NetlinkError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let request, let errno, let explanation):
            "cannot \(request): \(Self.text(errno))"
                + (explanation.isEmpty ? "" : "; the kernel says: \(explanation)")
        case .unanswered(let request):
            "no answer from the kernel to: \(request); read the state back before trying again"
        case .interrupted(let request):
            "cannot \(request): the table kept changing; try again"
        case .unreadable(let error): "cannot read the kernel's answer: \(error)"
        case .invalidName(let name):
            "\"\(name)\" cannot name an interface; use 1 to 15 bytes without space, / and :"
        case .nameTaken(let name, let path):
            "an interface \(name) exists already\(Self.place(path)); "
                + "choose another name or delete it"
        case .linkMissing(let name, let path): "there is no interface \(name)\(Self.place(path))"
        case .namespaceMissing(let path):
            "there is no network namespace at \(path); is the pod gone?"
        case .namespaceInvalid(let path):
            "\(path) is not a network namespace; give a path such as /var/run/netns/NAME"
        case .namespaceNotForeign(let path):
            "\(path) is the node's own network namespace; give the pod's"
        case .systemCall(let call, let errno): "cannot \(call.rawValue): \(Self.text(errno))"
        case .settingRefused(let path, let errno):
            "cannot use the kernel setting \(path): \(Self.text(errno))"
        case .offloadRefused(let offload, let name, let errno):
            "cannot use \(offload) of interface \(name): \(Self.text(errno))"
        }
    }

    private static func place(_ path: String?) -> String {
        path.map { " in \($0)" } ?? ""
    }

    private static func text(_ errno: Int32) -> String {
        "\(String(cString: strerror(errno)).lowercased()) (errno \(errno))"
    }
}
