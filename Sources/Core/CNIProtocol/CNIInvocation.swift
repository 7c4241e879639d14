/// What the environment of a plugin process asks for.
package enum CNIInvocation: Hashable, Sendable {
    /// No verb: a person started the program, who gets told what it is.
    case about
    /// The list of versions, which needs neither a configuration nor the daemon.
    case version
    /// A call that lacks only its configuration.
    case call(CNICall)
    /// The environment is not one that a runtime may give.
    case refused(CNIError)

    /// Reads the protocol's variables through `value`; unset and empty are the same.
    ///
    /// Every missing variable is named at once. A verb of one attachment also needs a container
    /// and an interface name of the right form.
    /// - Source: CNI specification 1.1.0, section 2 "Parameters".
    package static func read(_ value: (String) -> String?) -> CNIInvocation {
        func text(_ variable: CNIVariable) -> String { value(variable.rawValue) ?? "" }

        let command = text(.command)
        if command.isEmpty { return .about }
        guard let verb = CNIVerb(rawValue: command) else {
            return .refused(CNIError(.invalidEnvironment, "unknown CNI_COMMAND: \(command)"))
        }
        let missing = verb.requiredVariables.filter { text($0).isEmpty }
        guard missing.isEmpty else {
            let names = missing.map(\.rawValue).joined(separator: ",")
            let message = "required env variables [\(names)] missing"
            return .refused(CNIError(.invalidEnvironment, message))
        }
        if verb == .version { return .version }
        let call = CNICall(
            verb: verb,
            containerID: verb.namesAttachment ? text(.containerID) : "",
            netns: verb.namesAttachment ? text(.netns) : "",
            ifname: verb.namesAttachment ? text(.ifname) : "",
            args: text(.args),
            path: text(.path)
        )
        if let refusal = call.attachmentRefusal { return .refused(refusal) }
        return .call(call)
    }

    /// The answer to VERSION.
    package static let versionText: [UInt8] = {
        var object = JSONObjectWriter()
        object.add("cniVersion", CNIVersion.latest.rawValue)
        object.add("supportedVersions", CNIVersion.supported)
        return object.finish()
    }()

    /// What a person reads who starts the plugin by hand.
    package static let aboutText =
        "genie attaches containers to Genie Ring networks; container runtimes start it\n"
        + "CNI protocol versions supported: \(CNIVersion.supported.joined(separator: ", "))\n"
}

extension CNICall {
    /// Why the container or interface cannot be named so; nil when nothing is wrong.
    package var attachmentRefusal: CNIError? {
        guard verb.namesAttachment else { return nil }
        guard CNIRules.isName(containerID) else {
            return CNIError(
                .invalidEnvironment,
                "invalid CNI_CONTAINERID; use letters, digits, '_', '.' and '-'",
                details: containerID
            )
        }
        if let fault = CNIRules.interfaceNameFault(ifname) {
            return CNIError(
                .invalidEnvironment,
                "invalid CNI_IFNAME: \(fault)",
                details: ifname
            )
        }
        return nil
    }
}
