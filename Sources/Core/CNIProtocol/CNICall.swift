/// One call of the plugin as it is handed to the daemon, and kept when no daemon runs.
///
/// The configuration travels as the runtime wrote it: delegates must get it unaltered.
package struct CNICall: Codable, Hashable, Sendable {
    /// What is asked.
    package let verb: CNIVerb
    /// The container; empty for verbs that name none.
    package let containerID: String
    /// The path of the container's network namespace; may be empty for DEL.
    package let netns: String
    /// The interface in the container; empty for verbs that name none.
    package let ifname: String
    /// `CNI_ARGS`, not taken apart.
    package let args: String
    /// `CNI_PATH`: where delegates are looked for.
    package let path: String
    /// The network configuration as it came on standard input.
    package var config: String

    /// Makes a call.
    package init(
        verb: CNIVerb,
        containerID: String = "",
        netns: String = "",
        ifname: String = "",
        args: String = "",
        path: String = "",
        config: String = ""
    ) {
        self.verb = verb
        self.containerID = containerID
        self.netns = netns
        self.ifname = ifname
        self.args = args
        self.path = path
        self.config = config
    }

    /// The JSON of the call, the same that an encoder writes up to the order of keys.
    package var jsonText: [UInt8] {
        var object = JSONObjectWriter()
        object.add("verb", verb.rawValue)
        object.add("containerID", containerID)
        object.add("netns", netns)
        object.add("ifname", ifname)
        object.add("args", args)
        object.add("path", path)
        object.add("config", config)
        return object.finish()
    }

    /// The file name under which a DEL waits for the daemon: one for each interface of a container.
    ///
    /// Neither part can hold a slash, and a container's name holds no `@`, so no two attachments
    /// share a name.
    package var spoolName: String { "\(containerID)@\(ifname).json" }
}
