/// The plugins of one network in their order, ready to be called.
///
/// A file with one plugin, a file with a list and the text of a NetworkAttachmentDefinition all
/// read to this. What we do not know in them stays as it was.
/// - Source: CNI specification 1.1.0, section 1; NPWG 1.3, section 3 for the definitions.
package struct NetworkList: Hashable, Sendable {
    /// The network's name.
    package var name: String
    /// The version that all plugins of the list are spoken to in.
    package let cniVersion: CNIVersion
    /// Whether CHECK stops before the plugins.
    package let isCheckDisabled: Bool
    /// Whether GC stops before the plugins.
    package let isCollectDisabled: Bool
    /// The plugins; at least one.
    package var plugins: [Plugin]

    /// The most plugins of one list.
    package static let pluginsMax = 32

    /// One plugin of a list.
    package struct Plugin: Hashable, Sendable {
        /// The name of its program.
        package let type: String
        /// Its object as it was written.
        package var object: JSONValue

        /// The capabilities that it declares, in their order.
        package var capabilities: [String] {
            (object["capabilities"]?.members ?? []).filter { $0.value == .bool(true) }.map(\.key)
        }
    }

    /// Reads a configuration of either form.
    ///
    /// - Parameters:
    ///   - text: the JSON.
    ///   - fallbackName: the name of a configuration that has none, as of a definition.
    /// - Throws: code 6 where it is no JSON, 7 where a field is missing or wrong, 1 where we speak
    ///   none of its versions; each names the field.
    package init(parsing text: String, fallbackName: String? = nil) throws(CNIError) {
        let whole: JSONValue
        do { whole = try JSONValue(parsing: text) } catch {
            throw CNIError(.decodingFailure, "it is not JSON from byte \(error.offset) on")
        }
        guard whole.members != nil else {
            throw CNIError(.decodingFailure, "it is not a JSON object")
        }
        cniVersion = try Self.version(whole)
        isCheckDisabled = try Self.flag("disableCheck", whole)
        isCollectDisabled = try Self.flag("disableGC", whole)
        name = try Self.name(whole, fallbackName)
        var plugins: [Plugin] = []
        switch whole["plugins"] {
        case nil: plugins = [try Self.plugin(whole, place: "")]
        case .array(let objects):
            guard (1...Self.pluginsMax).contains(objects.count) else {
                throw Self.invalid("plugins", "needs 1 to \(Self.pluginsMax) elements")
            }
            for (index, object) in objects.enumerated() {
                plugins.append(try Self.plugin(object, place: "plugins[\(index)]."))
            }
        default: throw Self.invalid("plugins", "must be a list")
        }
        self.plugins = plugins
    }

    /// The configuration again, in the form of a list.
    package var text: String {
        var whole = JSONValue.members(
            ("cniVersion", .string(cniVersion.rawValue)),
            ("name", .string(name))
        )
        if isCheckDisabled { whole["disableCheck"] = .bool(true) }
        if isCollectDisabled { whole["disableGC"] = .bool(true) }
        whole["plugins"] = .array(plugins.map(\.object))
        return whole.text
    }

    private static func plugin(
        _ object: JSONValue,
        place: String
    ) throws(CNIError) -> Plugin {
        guard object.members != nil else {
            throw invalid("\(place.dropLast())", "must be an object")
        }
        guard let type = object["type"]?.string, !type.isEmpty else {
            throw invalid("\(place)type", "must name a plugin")
        }
        // The name becomes a path, in which it may not lead anywhere else.
        let isFile = !type.contains("/") && !type.contains("\\") && type != "." && type != ".."
        guard isFile, !type.utf8.contains(0) else {
            throw invalid("\(place)type", "must be a program's name and not a path")
        }
        if let capabilities = object["capabilities"], !capabilities.isNull,
            capabilities.members?.allSatisfy({ $0.value.bool != nil }) != true
        {
            throw invalid("\(place)capabilities", "must be an object of true and false")
        }
        if type == NetworkConfiguration.ownType { try checkOwn(object, place: place) }
        return Plugin(type: type, object: object)
    }

    /// A place in the ring has a VPC and a group; a choice has neither.
    private static func checkOwn(_ object: JSONValue, place: String) throws(CNIError) {
        let given = ["vpc", "group"].filter { object[$0]?.isNull == false }
        for key in given where object[key]?.string == nil {
            throw invalid("\(place)\(key)", "must be a text")
        }
        guard given.count != 1 else {
            let missing = given == ["vpc"] ? "group" : "vpc"
            throw invalid("\(place)\(missing)", "is missing beside \(given[0])")
        }
    }

    private static func name(
        _ whole: JSONValue,
        _ fallback: String?
    ) throws(CNIError) -> String {
        switch whole["name"] {
        case nil, .null?, .string("")?:
            guard let fallback else { throw invalid("name", "is missing") }
            return fallback
        case .string(let name)?:
            guard CNIRules.isName(name) else {
                throw invalid("name", "may have letters, digits, '_', '.' and '-'")
            }
            return name
        default: throw invalid("name", "must be a text")
        }
    }

    /// The highest version that the configuration and we have in common.
    private static func version(_ whole: JSONValue) throws(CNIError) -> CNIVersion {
        var offered: [String] = []
        if let one = whole["cniVersion"], !one.isNull {
            guard let text = one.string else { throw invalid("cniVersion", "must be a text") }
            offered.append(text)
        }
        if let several = whole["cniVersions"], !several.isNull {
            let texts = (several.array ?? []).compactMap(\.string)
            guard let all = several.array, texts.count == all.count else {
                throw invalid("cniVersions", "must be a list of texts")
            }
            offered += texts
        }
        if offered.isEmpty { return .assumed }
        guard let best = offered.compactMap(CNIVersion.init(rawValue:)).max() else {
            throw CNIError(
                .incompatibleVersion,
                "cniVersion \(offered.joined(separator: " ")) is none of"
                    + " \(CNIVersion.supported.joined(separator: " "))"
            )
        }
        return best
    }

    /// A text that says true or false is taken, since released lists write it so.
    private static func flag(_ key: String, _ whole: JSONValue) throws(CNIError) -> Bool {
        switch whole[key] {
        case nil, .null?: return false
        case .bool(let isTrue)?: return isTrue
        case .string(let text)? where ["true", "false"].contains(text.lowercased()):
            return text.lowercased() == "true"
        default: throw invalid(key, "must be true or false")
        }
    }

    private static func invalid(_ field: String, _ what: String) -> CNIError {
        CNIError(.invalidConfiguration, "\(field) \(what)")
    }
}

extension NetworkList {
    /// The configuration that plugin `index` reads for a call.
    ///
    /// - Parameters:
    ///   - index: the plugin's place in the list.
    ///   - wishes: what is asked for beyond the configuration; what a plugin declares no
    ///     capability for is not given to it.
    ///   - previous: the result of the plugin before, or of the whole ADD.
    /// - Returns: its standard input.
    /// - Source: CNI specification 1.1.0, section 3 "Deriving execution configuration".
    package func input(
        of index: Int,
        wishes: AttachmentWishes = AttachmentWishes(),
        previous: JSONValue? = nil
    ) -> JSONValue {
        let plugin = plugins[index]
        var object = plugin.object
        object["cniVersion"] = .string(cniVersion.rawValue)
        object["name"] = .string(name)
        let declared = plugin.capabilities
        object["capabilities"] = nil
        object["cniVersions"] = nil
        let given = wishes.runtimeConfig.filter { declared.contains($0.key) }
        object["runtimeConfig"] = given.isEmpty ? nil : .object(given)
        if !wishes.arguments.isEmpty {
            // The pod's word goes before the network's (NPWG 1.3, "cni-args").
            var arguments = object["args"]?.members.map(JSONValue.object) ?? .object([])
            var own = arguments["cni"]?.members.map(JSONValue.object) ?? .object([])
            for argument in wishes.arguments { own[argument.key] = argument.value }
            arguments["cni"] = own
            object["args"] = arguments
        }
        object["prevResult"] = previous
        return object
    }

    /// What is asked for and no plugin of the list can do.
    ///
    /// - Source: NPWG 1.3: an attachment whose request nobody serves must fail.
    package func unserved(_ wishes: AttachmentWishes) -> [String] {
        var served = Self.capabilities(of: plugins)
        if plugins.contains(where: \.isOwn) { served += ["ips", "mac"] }
        return wishes.runtimeConfig.map(\.key).filter { !served.contains($0) }
    }
}

extension NetworkList {
    /// What plugins can be asked for.
    package static func capabilities(of plugins: some Sequence<Plugin>) -> [String] {
        plugins.flatMap(\.capabilities)
    }
}

extension NetworkList.Plugin {
    /// Whether the plugin is a place in the ring, which is attached without a program.
    package var isOwn: Bool {
        type == NetworkConfiguration.ownType && object["vpc"]?.string != nil
            && object["group"]?.string != nil
    }

    /// Whether the plugin is the selection itself, which nobody may select.
    package var isSelection: Bool { type == NetworkConfiguration.ownType && !isOwn }
}

/// What a pod asks of one attachment beyond the network's configuration.
package struct AttachmentWishes: Hashable, Sendable {
    /// By capability, as `runtimeConfig` has it.
    package var runtimeConfig: [JSONValue.Member]
    /// For `args.cni`.
    package var arguments: [JSONValue.Member]

    /// Makes wishes; none by default.
    package init(runtimeConfig: [JSONValue.Member] = [], arguments: [JSONValue.Member] = []) {
        self.runtimeConfig = runtimeConfig
        self.arguments = arguments
    }

    /// The addresses asked for, as they were written.
    package var ips: [String] {
        (runtimeConfig.first { $0.key == "ips" }?.value.array ?? []).compactMap(\.string)
    }

    /// The hardware address asked for, as it was written.
    package var mac: String? { runtimeConfig.first { $0.key == "mac" }?.value.string }

    /// The wishes as JSON, for a journal.
    package var json: JSONValue {
        .members(("runtimeConfig", .object(runtimeConfig)), ("arguments", .object(arguments)))
    }

    /// Reads what ``json`` writes.
    package init(json: JSONValue) {
        runtimeConfig = json["runtimeConfig"]?.members ?? []
        arguments = json["arguments"]?.members ?? []
    }
}
