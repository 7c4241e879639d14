import Addressing
internal import CLinux
internal import Glibc

extension Request {
    /// Adds a rule; one that exists already is refused with EEXIST.
    package static func addRule(_ rule: SourceRule) -> Request {
        Request(
            .addRule(rule),
            type: RTM_NEWRULE,
            flags: NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
            body: body(of: rule)
        )
    }

    /// Removes a rule; one that does not exist is refused with ENOENT.
    package static func deleteRule(_ rule: SourceRule) -> Request {
        Request(.deleteRule(rule), type: RTM_DELRULE, flags: NLM_F_ACK, body: body(of: rule))
    }

    /// `struct fib_rule_hdr`: family, two lengths, tos, table, two reserved, action, flags.
    private static func body(of rule: SourceRule) -> MessageWriter {
        var body = MessageWriter()
        body.write(rule.source.isV4 ? UInt8(AF_INET) : UInt8(AF_INET6))
        body.write(UInt8(0))
        body.write(rule.source.isV4 ? UInt8(32) : UInt8(128))
        body.write(UInt8(0))
        body.write(UInt8(RT_TABLE_UNSPEC.rawValue))
        body.write(UInt16(0))
        body.write(UInt8(FR_ACT_TO_TBL))
        body.write(UInt32(0))
        body.attribute(FRA_SRC, address: rule.source)
        body.attribute(FRA_PRIORITY, number: SourceRule.priority)
        body.attribute(FRA_TABLE, number: rule.table)
        return body
    }

    /// Reads every route of the namespace, both families, all tables.
    package static func listRoutes() -> Request {
        var body = MessageWriter()
        // struct rtmsg: family AF_UNSPEC, everything else zero.
        for _ in 0..<3 { body.write(UInt32(0)) }
        return Request(.listRoutes, type: RTM_GETROUTE, flags: NLM_F_DUMP, body: body)
    }

    /// Removes one default route of the main table, whatever it leads through.
    package static func deleteDefaultRoute(isV4: Bool) -> Request {
        var body = MessageWriter()
        // struct rtmsg; scope "nowhere" and type 0 match every route.
        body.write(isV4 ? UInt8(AF_INET) : UInt8(AF_INET6))
        body.write(UInt8(0))
        body.write(UInt16(0))
        body.write(UInt8(RT_TABLE_MAIN.rawValue))
        body.write(UInt8(0))
        body.write(UInt8(RT_SCOPE_NOWHERE.rawValue))
        body.write(UInt8(0))
        body.write(UInt32(0))
        return Request(
            .deleteDefaultRoute(isV4: isV4),
            type: RTM_DELROUTE,
            flags: NLM_F_ACK,
            body: body
        )
    }
}
