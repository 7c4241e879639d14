import Addressing
package import CNIProtocol
import Determinism

/// Everything that decides which networks a pod gets.
package struct SelectionRequest: Sendable {
    /// The node's rules.
    package var settings: SelectionSettings
    /// What is known of the pod.
    package var pod: PodFacts
    /// What the node has.
    package var node: NodeFacts
    /// The interface that the runtime asks for.
    package var interface: String
    /// Interfaces that plugins before this one made; none unless it is a later one of a chain.
    package var taken: [String]
    /// Interfaces that other calls made for the same container.
    package var occupied: [String]
    /// What the runtime asks for; it is for the cluster-wide network alone (NPWG 1.3, 4.1.2).
    package var wishes: AttachmentWishes

    /// Makes a request.
    package init(
        settings: SelectionSettings,
        pod: PodFacts,
        node: NodeFacts,
        interface: String,
        taken: [String] = [],
        occupied: [String] = [],
        wishes: AttachmentWishes = AttachmentWishes()
    ) {
        self.settings = settings
        self.pod = pod
        self.node = node
        self.interface = interface
        self.taken = taken
        self.occupied = occupied
        self.wishes = wishes
    }
}

/// The annotations that are read, of a pod or of its namespace.
package enum NetworkAnnotationKey {
    /// NPWG: networks beside the cluster-wide one.
    package static let networks = "k8s.v1.cni.cncf.io/networks"
    /// Multus: another cluster-wide network for this pod.
    package static let defaultNetwork = "v1.multus-cni.io/default-network"
    /// CNI-Genie: plugins by name.
    package static let plugins = "cni"
    /// CNI-Genie: logical networks by name.
    package static let logicalNetworks = "networks"
}

extension Selection {
    /// A network before it has its interface.
    struct Candidate {
        var name: String
        var interface: String?
        var list: NetworkList
        var wishes = AttachmentWishes()
        var gateways: [IPAddress] = []
        var field: SelectionError.Field
        /// `net1` and so on for NPWG's; nil for the next free `eth`.
        var ordinal: Int?
    }

    /// Decides what a pod gets.
    ///
    /// What is said first counts, and the rest is not looked at: the pod's annotations, in the
    /// order NPWG's, `cni`, `networks`; the namespace's in the same order; `default_plugin`; the
    /// first file. NPWG's come beside the pod's cluster-wide network and all others instead of it.
    /// - Throws: what is wrong, and where it stands; nothing is attached then.
    package static func make(_ request: SelectionRequest) throws(SelectionError) -> Selection {
        var maker = SelectionMaker(request)
        var candidates = try maker.candidates()
        guard candidates.count <= NetworkName.countMax else {
            throw .tooMany(candidates[0].field, max: NetworkName.countMax)
        }
        try maker.nameInterfaces(&candidates)
        for candidate in candidates {
            if let missing = candidate.list.unserved(candidate.wishes).first {
                throw .unserved(candidate.field, name: candidate.name, capability: missing)
            }
        }
        let isChained = !request.taken.isEmpty
        let first =
            candidates.firstIndex { $0.interface == request.interface }
            ?? candidates.startIndex
        var networks = candidates.enumerated().map { index, candidate in
            SelectedNetwork(
                name: candidate.name,
                interface: candidate.interface ?? request.interface,
                list: candidate.list,
                wishes: candidate.wishes,
                gateways: candidate.gateways,
                isDefault: index == first && !isChained,
                reason: "\(candidate.field)"
            )
        }
        if let place = networks.firstIndex(where: \.isDefault) {
            maker.give(request.wishes, to: &networks[place])
        }
        return Selection(networks: networks, warnings: maker.warnings)
    }
}

extension Selection {
    /// One group of ours, as a configuration names it; behind another plugin it gets an interface
    /// beside that one's.
    package static func one(
        vpc: String,
        group: String,
        _ request: SelectionRequest
    ) throws(SelectionError) -> Selection {
        let field = SelectionError.Field(owner: "the plugin's configuration", path: "vpc and group")
        let list = try NetworkResolver.own(vpc: vpc, group: group, field)
        var candidates = [Candidate(name: "\(vpc)/\(group)", list: list, field: field)]
        try SelectionMaker(request).nameInterfaces(&candidates)
        let network = SelectedNetwork(
            name: candidates[0].name,
            interface: candidates[0].interface ?? request.interface,
            list: list,
            wishes: request.wishes,
            gateways: [],
            isDefault: request.taken.isEmpty,
            reason: "\(field)"
        )
        return Selection(networks: [network], warnings: [])
    }
}

/// The steps of one decision.
struct SelectionMaker {
    private let request: SelectionRequest
    private let resolver: NetworkResolver
    private(set) var warnings: [String]

    init(_ request: SelectionRequest) {
        self.request = request
        resolver = NetworkResolver(
            settings: request.settings,
            pod: request.pod,
            node: request.node
        )
        warnings = request.settings.warnings
    }

    private var podName: String {
        request.pod.name.isEmpty ? "the pod" : "pod \(request.pod.namespace)/\(request.pod.name)"
    }

    mutating func candidates() throws(SelectionError) -> [Selection.Candidate] {
        if let own = try asked(by: request.pod.annotations, of: podName) { return own }
        return try clusterWide()
    }

    /// What annotations ask for; nil where they ask for nothing.
    private mutating func asked(
        by annotations: SortedMap<String, String>,
        of owner: String
    ) throws(SelectionError) -> [Selection.Candidate]? {
        if let text = annotations[NetworkAnnotationKey.networks] {
            let field = field(NetworkAnnotationKey.networks, of: owner)
            let additional = try definitions(text, field)
            // Behind another plugin the cluster-wide network is there already.
            if !request.taken.isEmpty { return additional }
            return try clusterWide(for: annotations, of: owner) + additional
        }
        if annotations[NetworkAnnotationKey.defaultNetwork] != nil, request.taken.isEmpty {
            return try clusterWide(for: annotations, of: owner)
        }
        let plugins = annotations[NetworkAnnotationKey.plugins]
        if let plugins, !plugins.allSatisfy(\.isWhitespace) {
            return try named(plugins, field(NetworkAnnotationKey.plugins, of: owner))
        }
        let logical = annotations[NetworkAnnotationKey.logicalNetworks]
        if let logical, !logical.allSatisfy(\.isWhitespace) {
            return try logicalNetworks(
                logical,
                field(NetworkAnnotationKey.logicalNetworks, of: owner)
            )
        }
        guard plugins != nil else { return nil }
        return try leastLoaded(field(NetworkAnnotationKey.plugins, of: owner))
    }

    private func field(_ key: String, of owner: String) -> SelectionError.Field {
        SelectionError.Field(owner: owner, path: "annotation \(key)")
    }

    /// The cluster-wide network of a pod that asks for others beside it.
    private mutating func clusterWide(
        for annotations: SortedMap<String, String>,
        of owner: String
    ) throws(SelectionError) -> [Selection.Candidate] {
        guard let text = annotations[NetworkAnnotationKey.defaultNetwork] else {
            return try clusterWide()
        }
        let field = field(NetworkAnnotationKey.defaultNetwork, of: owner)
        var own = try definitions(text, field)
        guard own.count == 1 else {
            throw .malformed(field, reason: "must name one network")
        }
        own[0].ordinal = nil
        return own
    }

    /// What a pod gets that asks for nothing: the namespace's, the configured, the first file.
    private mutating func clusterWide() throws(SelectionError) -> [Selection.Candidate] {
        var annotations = request.pod.namespaceAnnotations
        // Networks beside a cluster-wide one say nothing of which that is.
        let owner = "namespace \(request.pod.namespace)"
        if let text = annotations.remove(NetworkAnnotationKey.networks) {
            let field = field(NetworkAnnotationKey.networks, of: owner)
            let additional =
                request.pod.annotations[NetworkAnnotationKey.networks] == nil
                ? try definitions(text, field) : []
            return try namespaceWide(annotations, owner) + additional
        }
        return try namespaceWide(annotations, owner)
    }

    private mutating func namespaceWide(
        _ annotations: SortedMap<String, String>,
        _ owner: String
    ) throws(SelectionError) -> [Selection.Candidate] {
        let key = NetworkAnnotationKey.defaultNetwork
        if let text = annotations[key], request.taken.isEmpty {
            var own = try definitions(text, field(key, of: owner))
            guard own.count == 1 else {
                throw .malformed(field(key, of: owner), reason: "must name one network")
            }
            own[0].ordinal = nil
            return own
        }
        if let own = try asked(by: annotations, of: owner) { return own }
        return try configured()
    }

    private mutating func configured() throws(SelectionError) -> [Selection.Candidate] {
        let owner = "the plugin's configuration"
        var all: [Selection.Candidate] = []
        for (index, entry) in request.settings.defaults.enumerated() {
            let field = SelectionError.Field(owner: owner, path: "default_plugin[\(index)]")
            all.append(try candidate(entry, resolver.network(entry.name, field), field))
        }
        guard all.isEmpty, request.taken.isEmpty else { return all }
        let (file, list) = try resolver.fallback()
        // One that comes before it may have been meant.
        let missed = resolver.unusable.filter { $0.name < file.name }
        warnings += missed.map { "\(request.settings.directory)/\($0.name) \($0.flaw)" }
        let field = SelectionError.Field(
            owner: request.settings.directory,
            path: "the first configuration"
        )
        return [Selection.Candidate(name: list.name, list: list, field: field)]
    }

    private func named(
        _ text: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [Selection.Candidate] {
        var all: [Selection.Candidate] = []
        for (index, entry) in try NetworkName.list(text, field: field).enumerated() {
            let field = field.appending("[\(index)]")
            all.append(try candidate(entry, resolver.network(entry.name, field), field))
        }
        return all
    }

    private func logicalNetworks(
        _ text: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [Selection.Candidate] {
        var all: [Selection.Candidate] = []
        for (index, entry) in try NetworkName.list(text, field: field).enumerated() {
            let field = field.appending("[\(index)]")
            all.append(try candidate(entry, resolver.logical(entry.name, field), field))
        }
        return all
    }

    private func candidate(
        _ entry: NetworkName,
        _ list: NetworkList,
        _ field: SelectionError.Field
    ) -> Selection.Candidate {
        Selection.Candidate(name: entry.name, interface: entry.interface, list: list, field: field)
    }

    private mutating func definitions(
        _ text: String,
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [Selection.Candidate] {
        var all: [Selection.Candidate] = []
        for (index, one) in try NetworkAnnotation.list(text, field: field).enumerated() {
            let field = field.appending("[\(index)]")
            let own = request.pod.namespace.isEmpty ? "default" : request.pod.namespace
            let namespace = one.namespace ?? own
            let list = try resolver.definition(one.name, namespace: namespace, field)
            warnings += one.unknownKeys.map { "\(field.appending(".\($0)")) means nothing to us" }
            all.append(
                Selection.Candidate(
                    name: "\(namespace)/\(one.name)",
                    interface: one.interface,
                    list: list,
                    wishes: one.wishes,
                    gateways: one.gateways,
                    field: field,
                    ordinal: index + 1
                )
            )
        }
        return all
    }

    /// Of the networks that could be the cluster-wide one, that which carries least.
    private mutating func leastLoaded(
        _ field: SelectionError.Field
    ) throws(SelectionError) -> [Selection.Candidate] {
        if let warning = request.node.loadWarning { warnings.append(warning) }
        let unit =
            request.settings.loadServer == nil || request.node.loadWarning != nil
            ? "bytes a second" : "bytes between cAdvisor's samples"
        let choices: [Selection.Candidate]
        if request.settings.defaults.count > 1 {
            choices = try configured()
        } else {
            choices = resolver.usable.map { file, list in
                Selection.Candidate(name: String(file.networkName), list: list, field: field)
            }
        }
        // One whose plugins are not installed carries nothing, and never will.
        let measured = choices.enumerated().filter { request.node.hasPlugins(of: $1.list) }
            .compactMap { index, choice in
                InterfaceLoad.load(of: choice.list, request.node.loads).map {
                    (load: $0, index: index)
                }
            }
        let silent = choices.filter { choice in
            request.node.hasPlugins(of: choice.list)
                && InterfaceLoad.load(of: choice.list, request.node.loads) == nil
        }
        if !measured.isEmpty, !silent.isEmpty {
            warnings.append(
                "\(field) leaves out \(silent.map(\.name).joined(separator: ", ")): nobody can tell "
                    + "which interfaces of the node carry it"
            )
        }
        guard let best = measured.min(by: { ($0.load, $0.index) < ($1.load, $1.index) }) else {
            warnings.append(
                "\(field) asks for the least loaded network, and no load could be "
                    + "measured: the pod gets what is configured"
            )
            return try configured()
        }
        var chosen = choices[best.index]
        chosen.interface = nil
        chosen.field = field.appending(
            " (least loaded of \(measured.count): \(best.load) \(unit))"
        )
        return [chosen]
    }

    /// Gives every network an interface of its own: the names asked for first, then the runtime's,
    /// then the free ones from below.
    func nameInterfaces(_ candidates: inout [Selection.Candidate]) throws(SelectionError) {
        var used = SortedSet(request.taken + request.occupied)
        // The cluster-wide network is on the runtime's interface, whatever those beside it ask for.
        if let first = candidates.first, first.ordinal == nil, first.interface == nil,
            candidates.contains(where: { $0.ordinal != nil })
        {
            candidates[0].interface = request.interface
        }
        for candidate in candidates {
            guard let name = candidate.interface else { continue }
            guard !used.contains(name) else {
                throw .interfaceTwice(candidate.field, interface: name)
            }
            used.insert(name)
        }
        for index in candidates.indices where candidates[index].interface == nil {
            var name = request.interface
            if let ordinal = candidates[index].ordinal {
                name = Self.free("net", from: ordinal, used)
            } else if used.contains(name) {
                name = Self.free("eth", from: 0, used)
            }
            used.insert(name)
            candidates[index].interface = name
        }
    }

    private static func free(_ stem: String, from start: Int, _ used: SortedSet<String>) -> String {
        var number = start
        while used.contains("\(stem)\(number)") { number += 1 }
        return "\(stem)\(number)"
    }

    /// The runtime's wishes; a pod's own for the same capability go before them.
    mutating func give(_ wishes: AttachmentWishes, to network: inout SelectedNetwork) {
        for unserved in network.list.unserved(wishes) {
            warnings.append(
                "the runtime asks for \(unserved), which no plugin of network "
                    + "\(network.name) declares"
            )
        }
        for wish in wishes.runtimeConfig
        where !network.wishes.runtimeConfig.contains(where: { $0.key == wish.key }) {
            network.wishes.runtimeConfig.append(wish)
        }
    }
}
