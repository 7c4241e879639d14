import LabNet

extension Lab {
    /// The addresses that a node has in the VPC; none while it is not in it.
    func nodeAddresses(_ node: Int) throws -> [String] {
        let shown = try run(
            on: node,
            ["ip", "-o", "address", "show", "dev", "genie-node", "scope", "global"]
        )
        return shown.text.split(separator: "\n").compactMap { line in
            line.split(separator: " ").first { $0.contains("/32") || $0.contains("/128") }
                .map { String($0.prefix { $0 != "/" }) }
        }
    }
}
