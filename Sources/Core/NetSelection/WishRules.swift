import Addressing
import CNIProtocol

/// What the values of a request may be.
enum WishRules {
    /// Whether a text is a DNS label (RFC 1123), as names of objects are.
    static func isLabel(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...63).contains(bytes.count), bytes.first != UInt8(ascii: "-"),
            bytes.last != UInt8(ascii: "-")
        else { return false }
        return bytes.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-")
        }
    }

    static func text(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> String {
        guard let text = value.string else { throw .malformed(field, reason: "must be a text") }
        return text
    }

    /// Addresses with or without a length, as they were written.
    static func addresses(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> JSONValue {
        guard let elements = value.array, !elements.isEmpty else {
            throw .malformed(field, reason: "must be a list of addresses")
        }
        for (index, element) in elements.enumerated() {
            let place = field.appending("[\(index)]")
            let text = try text(element, place)
            guard IPAddress(text) != nil || InterfaceAddress(text) != nil else {
                throw .malformed(place, reason: "is \"\(text.prefix(60))\", which is no address")
            }
        }
        return value
    }

    static func gateways(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [IPAddress] {
        guard let elements = value.array, !elements.isEmpty else {
            throw .malformed(field, reason: "must be a list of addresses")
        }
        var gateways: [IPAddress] = []
        for (index, element) in elements.enumerated() {
            let place = field.appending("[\(index)]")
            let text = try text(element, place)
            guard let address = IPAddress(text) else {
                throw .malformed(place, reason: "is \"\(text.prefix(60))\", which is no address")
            }
            gateways.append(address)
        }
        return gateways
    }

    static func hardwareAddress(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> JSONValue {
        let text = try text(value, field)
        guard let address = MACAddress(text), address.bits != 0, address.bytes[0] & 1 == 0 else {
            throw .malformed(
                field,
                reason: "is \"\(text.prefix(40))\", which is no interface's hardware address"
            )
        }
        return value
    }

    /// Eight bytes in hexadecimal with colons between them.
    static func guid(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> JSONValue {
        let text = try text(value, field)
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 8,
            parts.allSatisfy({ $0.utf8.count == 2 && UInt8($0, radix: 16) != nil })
        else {
            throw .malformed(field, reason: "is \"\(text.prefix(40))\", which is no GUID")
        }
        return value
    }

    static func ports(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> JSONValue {
        guard let elements = value.array, !elements.isEmpty else {
            throw .malformed(field, reason: "must be a list of objects")
        }
        var all: [JSONValue] = []
        for (index, element) in elements.enumerated() {
            let place = field.appending("[\(index)]")
            guard element.members != nil else {
                throw .malformed(place, reason: "must be an object")
            }
            var one = element
            for key in ["hostPort", "containerPort"] {
                guard let port = element[key]?.integer, (1...65_535).contains(port) else {
                    throw .malformed(place.appending(".\(key)"), reason: "must be 1 to 65535")
                }
            }
            let wanted = element["protocol"].map { $0.string?.lowercased() ?? "" } ?? "tcp"
            guard ["tcp", "udp", "sctp"].contains(wanted) else {
                throw .malformed(place.appending(".protocol"), reason: "must be tcp, udp or sctp")
            }
            one["protocol"] = .string(wanted)
            if let address = element["hostIP"], !address.isNull {
                guard let text = address.string, text.isEmpty || IPAddress(text) != nil else {
                    throw .malformed(place.appending(".hostIP"), reason: "must be an address")
                }
            }
            all.append(one)
        }
        return .array(all)
    }

    /// Rates in bits a second, bursts in bits.
    static func bandwidth(
        _ value: JSONValue,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> JSONValue {
        guard let members = value.members, !members.isEmpty else {
            throw .malformed(field, reason: "must be an object")
        }
        let keys = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"]
        for member in members {
            let place = field.appending(".\(member.key)")
            guard keys.contains(member.key) else {
                throw .malformed(place, reason: "is none of \(keys.joined(separator: ", "))")
            }
            guard let number = member.value.integer, number >= 0 else {
                throw .malformed(place, reason: "must be a whole number of bits")
            }
        }
        for direction in ["ingress", "egress"] {
            guard value["\(direction)Burst"] == nil || value["\(direction)Rate"] != nil else {
                throw .malformed(
                    field.appending(".\(direction)Burst"),
                    reason: "needs \(direction)Rate beside it"
                )
            }
        }
        return withBursts(value)
    }

    /// The plugin refuses a rate without a burst; this one is what Kubernetes runtimes give.
    private static func withBursts(_ value: JSONValue) -> JSONValue {
        var whole = value
        for direction in ["ingress", "egress"] {
            guard let rate = value["\(direction)Rate"]?.integer, rate > 0,
                value["\(direction)Burst"] == nil
            else { continue }
            whole["\(direction)Burst"] = .integer(Int32.max)
        }
        return whole
    }
}
