package import Addressing
package import CNIProtocol

/// One element of `k8s.v1.cni.cncf.io/networks`.
///
/// - Source: NPWG multi-network 1.3, section 4.1; `@interface` and `hostIP` are of its Go client.
package struct NetworkAnnotation: Hashable, Sendable {
    /// The namespace of the definition; nil for the pod's.
    package var namespace: String?
    /// The definition's name.
    package var name: String
    /// The interface asked for; nil for the next free one.
    package var interface: String?
    /// What is asked of the network.
    package var wishes = AttachmentWishes()
    /// The next hops of the pod's default routes; empty unless they are to lead through here.
    package var gateways: [IPAddress] = []
    /// Keys that mean nothing to us.
    package var unknownKeys: [String] = []

    /// Reads the annotation in either form; an empty one asks for nothing.
    ///
    /// - Throws: the field that is wrong; the specification would have such an annotation ignored,
    ///   and the pod run without its networks.
    package static func list(
        _ text: String,
        field: SelectionError.Field
    ) throws(SelectionError) -> [NetworkAnnotation] {
        if text.allSatisfy(\.isWhitespace) { return [] }
        // The rule of the reference client: JSON if one of these is in it.
        let isJSON = text.contains { $0 == "[" || $0 == "{" || $0 == "\"" }
        let all = isJSON ? try objects(text, field) : try names(text, field)
        guard all.count <= NetworkName.countMax else {
            throw .tooMany(field, max: NetworkName.countMax)
        }
        guard all.count(where: { !$0.gateways.isEmpty }) <= 1 else {
            throw .malformed(field, reason: "has default-route in more than one element")
        }
        return all
    }

    private static func names(
        _ text: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [NetworkAnnotation] {
        var all: [NetworkAnnotation] = []
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let field = field.appending("[\(index)]")
            let halves = part.trimmed.split(
                separator: "@",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            let pieces = halves[0].split(separator: "/", omittingEmptySubsequences: false)
            guard pieces.count <= 2, let name = pieces.last else {
                throw .malformed(field, reason: "is no NAME or NAMESPACE/NAME")
            }
            var one = NetworkAnnotation(name: String(name))
            if pieces.count == 2 { one.namespace = String(pieces[0]) }
            if halves.count == 2 { one.interface = String(halves[1]) }
            try one.checkNames(field)
            all.append(one)
        }
        return all
    }

    private static func objects(
        _ text: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [NetworkAnnotation] {
        let value: JSONValue
        do { value = try JSONValue(parsing: text) } catch {
            throw .malformed(field, reason: "is not JSON from byte \(error.offset) on")
        }
        guard let elements = value.array else {
            throw .malformed(field, reason: "must be a JSON list of objects")
        }
        guard elements.count <= NetworkName.countMax else {
            throw .tooMany(field, max: NetworkName.countMax)
        }
        var all: [NetworkAnnotation] = []
        for (index, element) in elements.enumerated() {
            all.append(try NetworkAnnotation(element, field.appending("[\(index)]")))
        }
        return all
    }

    private init(name: String) {
        self.name = name
    }

    private init(_ element: JSONValue, _ field: SelectionError.Field) throws(SelectionError) {
        guard let members = element.members else {
            throw .malformed(field, reason: "must be an object")
        }
        name = ""
        for (index, member) in members.enumerated() {
            guard !members[..<index].contains(where: { $0.key == member.key }) else {
                throw .malformed(field.appending(".\(member.key)"), reason: "stands there twice")
            }
            if member.value.isNull { continue }
            try take(member, field.appending(".\(member.key)"))
        }
        try checkNames(field)
    }

    private mutating func take(
        _ member: JSONValue.Member,
        _ field: SelectionError.Field
    ) throws(SelectionError) {
        let wish: (key: String, value: JSONValue)
        switch member.key {
        case "name":
            name = try WishRules.text(member.value, field)
            return
        case "namespace":
            namespace = try WishRules.text(member.value, field)
            return
        case "interface":
            interface = try WishRules.text(member.value, field)
            return
        case "default-route":
            gateways = try WishRules.gateways(member.value, field)
            return
        case "cni-args":
            guard let arguments = member.value.members else {
                throw .malformed(field, reason: "must be an object")
            }
            wishes.arguments = arguments
            return
        case "ipam-claim-reference":
            // Serving it without keeping the address would break what it is for.
            throw .malformed(
                field,
                reason: "asks for an address that outlives the pod, which is "
                    + "not served: ask for it with \"ips\""
            )
        case "ips": wish = ("ips", try WishRules.addresses(member.value, field))
        case "mac": wish = ("mac", try WishRules.hardwareAddress(member.value, field))
        case "portMappings": wish = ("portMappings", try WishRules.ports(member.value, field))
        case "bandwidth": wish = ("bandwidth", try WishRules.bandwidth(member.value, field))
        case "infiniband-guid":
            wish = ("infinibandGUID", try WishRules.guid(member.value, field))
        case "deviceID":
            wish = ("deviceID", .string(try WishRules.text(member.value, field)))
        default:
            unknownKeys.append(member.key)
            return
        }
        wishes.runtimeConfig.append(JSONValue.Member(wish.key, wish.value))
    }

    private func checkNames(_ field: SelectionError.Field) throws(SelectionError) {
        for (key, text) in [("name", name), ("namespace", namespace ?? name)]
        where !WishRules.isLabel(text) {
            throw .malformed(
                field.appending(".\(key)"),
                reason: "is \"\(text.prefix(80))\", which is no name of an object: use small "
                    + "letters, digits and '-'"
            )
        }
        if let interface {
            try NetworkName.checkInterface(interface, field.appending(".interface"))
        }
    }
}
