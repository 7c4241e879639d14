extension AcceptanceListTests {
    /// The CNI specification, C1 to C20.
    static let plugin: [Item] = [
        Item(
            id: "C1",
            what: "VERSION without standard input",
            tests: [
                "C1: VERSION is answered without reading standard input",
                "C1: VERSION is answered while standard input stays open",
            ]
        ),
        Item(
            id: "C2",
            what: "every result version",
            tests: [
                "C2: the result has the form of its version, byte for byte",
                "Every form is read back; only what the version cannot say is lost",
            ]
        ),
        Item(
            id: "C3",
            what: "missing variables",
            tests: [
                "C3: every missing variable is named in one message"
            ]
        ),
        Item(
            id: "C4",
            what: "names and their codes",
            tests: [
                "C4: a container name of the wrong form is code 4",
                "C4: an interface name that the kernel would not take is code 4",
                "C4: a missing or malformed name is code 7",
                "C4: what is not one JSON object is code 6",
            ]
        ),
        Item(
            id: "C5",
            what: "versions that are not spoken",
            tests: [
                "C5: a version that is not spoken is code 1 and named"
            ]
        ),
        Item(
            id: "C6",
            what: "CHECK from 0.4.0 on",
            tests: [
                "C6 and C7: CHECK needs 0.4.0, GC and STATUS need 1.1.0"
            ]
        ),
        Item(
            id: "C7",
            what: "GC and STATUS from 1.1.0 on",
            tests: [
                "C6 and C7: CHECK needs 0.4.0, GC and STATUS need 1.1.0"
            ]
        ),
        Item(
            id: "C8",
            what: "ADD over an interface that is there",
            tests: [
                "ADD, CHECK and DEL keep to the rules: no second ADD, damage found, nothing left"
            ]
        ),
        Item(
            id: "C9",
            what: "DEL again and again, and without the daemon",
            tests: [
                "C9: a DEL succeeds each time, and one whole call waits for the daemon",
                "C9: with the daemon away a DEL is kept and succeeds, three times over",
                "C9: DEL goes without a namespace",
                "Verbs that name no container carry none, malformed or not",
            ]
        ),
        Item(
            id: "C10",
            what: "DEL after an ADD that failed",
            tests: [
                "each plugin fails, before and after its work: ADD undoes all, DEL is tried again",
                "ADD, CHECK and DEL keep to the rules: no second ADD, damage found, nothing left",
            ]
        ),
        Item(
            id: "C11",
            what: "CHECK finds damage",
            tests: [
                "ADD, CHECK and DEL keep to the rules: no second ADD, damage found, nothing left",
                "ADD gives addresses and routes of both families or nothing, CHECK sees both",
                "a node's end that is down, and a hardware address that nothing is taken from",
            ]
        ),
        Item(
            id: "C12",
            what: "CHECK and what is there besides",
            tests: [
                "ADD, CHECK and DEL keep to the rules: no second ADD, damage found, nothing left",
                "a route that has more next hops than ours, and one that the runtime no longer lists",
                "several calls for one container, one after another, and one fewer of them",
            ]
        ),
        Item(
            id: "C13",
            what: "chaining",
            tests: [
                "C13: the result before goes to the next plugin as it came",
                "C13: behind a bridge genie adds to its result; before a portmap it is the result",
                "plugins behind ours may move its routes into tables of their own",
            ]
        ),
        Item(
            id: "C14",
            what: "delegates",
            tests: [
                "each plugin fails, before and after its work: ADD undoes all, DEL is tried again",
                "containerd and podman: three interfaces of three plugins, ping and TCP over each",
                "three interfaces of three plugins: each answers through itself, one default route",
            ]
        ),
        Item(
            id: "C15",
            what: "GC",
            tests: [
                "C15: GC removes what the runtime does not list, ours and others', and nothing else",
                "C15: GC reads the attachments under both spellings, and tells none from not given",
            ]
        ),
        Item(
            id: "C16",
            what: "STATUS",
            tests: [
                "C16: STATUS is 50 without a free address, 51 where a pod's program is gone, else content",
                "C16: a daemon that is away is code 11, and 50 for STATUS",
            ]
        ),
        Item(
            id: "C17",
            what: "64 ADDs at once",
            tests: [
                "C17: 64 ADDs at once on two nodes give 64 addresses, and 64 DELs take them back"
            ]
        ),
        Item(
            id: "C18",
            what: "a daemon killed midway",
            tests: [
                "C18: a daemon that dies in the middle is code 11; a DEL is kept",
                "the daemon is killed before and after each plugin's work: nothing after its restart",
                "no address is given twice, nothing is left, and the journal does not grow",
            ]
        ),
        Item(
            id: "C19",
            what: "unknown keys and arguments",
            tests: [
                "C19: unknown keys are skipped and ours are read",
                "C19: an unknown key is an error unless it is to be ignored, wherever that stands",
                "C19: a single plugin and a list are read, and what we do not know stays as it was",
            ]
        ),
        Item(
            id: "C20",
            what: "a program that is being replaced",
            tests: [
                "C20: a program that is still being written is waited for"
            ]
        ),
    ]

    /// Networks as the Network Plumbing Working Group has them, N1 to N29.
    static let networks: [Item] = [
        Item(
            id: "N1",
            what: "both forms",
            tests: [
                "N1, N2: a list of names and a list of objects say the same"
            ]
        ),
        Item(
            id: "N2",
            what: "the pod's namespace is the default",
            tests: [
                "N1, N2: a list of names and a list of objects say the same"
            ]
        ),
        Item(
            id: "N3",
            what: "where a configuration is looked for",
            tests: [
                "N3: the definition's own configuration, else the list on the disk with that name",
                "N3: where nobody knows definitions, names are looked for on the disk",
            ]
        ),
        Item(
            id: "N4",
            what: "a missing name",
            tests: [
                "N4, N5: a definition's name and version go to each of its plugins"
            ]
        ),
        Item(
            id: "N5",
            what: "name and version of each plugin",
            tests: [
                "N4, N5: a definition's name and version go to each of its plugins"
            ]
        ),
        Item(
            id: "N6",
            what: "ips",
            tests: [
                "N6-N10: a wish reaches the plugin that declares it, and no other",
                "N6, N7: a group of ours takes an address and a hardware address",
                "definitions, logical networks, the namespace's word and the least loaded network",
            ]
        ),
        Item(
            id: "N7",
            what: "mac",
            tests: [
                "N6-N10: a wish reaches the plugin that declares it, and no other",
                "N6, N7: a group of ours takes an address and a hardware address",
                "portMappings, bandwidth and mac reach the chain members that declare them",
            ]
        ),
        Item(
            id: "N8",
            what: "portMappings",
            tests: [
                "N6-N10: a wish reaches the plugin that declares it, and no other",
                "portMappings, bandwidth and mac reach the chain members that declare them",
            ]
        ),
        Item(
            id: "N9",
            what: "bandwidth",
            tests: [
                "N6-N10: a wish reaches the plugin that declares it, and no other",
                "portMappings, bandwidth and mac reach the chain members that declare them",
            ]
        ),
        Item(
            id: "N10",
            what: "infiniband-guid",
            tests: [
                "N6-N10: a wish reaches the plugin that declares it, and no other"
            ]
        ),
        Item(
            id: "N11",
            what: "wishes that are wrong",
            tests: [
                "N11, N15, N29: what is wrong fails the pod, and is named"
            ]
        ),
        Item(
            id: "N12",
            what: "interface names",
            tests: [
                "N12: the interface asked for is given once, whoever else asks for it",
                "N12: nobody takes the cluster-wide network's interface",
            ]
        ),
        Item(
            id: "N13",
            what: "cni-args",
            tests: [
                "N13: cni-args become args, and the pod's go before the network's"
            ]
        ),
        Item(
            id: "N14",
            what: "default-route",
            tests: [
                "N14: one element may lead the pod's default routes, with several next hops in order",
                "definitions, logical networks, the namespace's word and the least loaded network",
                "a network that has the default route instead of the first one",
            ]
        ),
        Item(
            id: "N15",
            what: "ips beside a claim",
            tests: [
                "N11, N15, N29: what is wrong fails the pod, and is named"
            ]
        ),
        Item(
            id: "N16",
            what: "claims of addresses",
            tests: [
                "N11, N15, N29: what is wrong fails the pod, and is named"
            ],
            missing: "claims: a pod that has one is refused by that name"
        ),
        Item(
            id: "N17",
            what: "one network twice",
            tests: [
                "N17: a network twice is two attachments with two interfaces",
                "the same network twice has two interfaces and two addresses, and DEL frees both",
            ]
        ),
        Item(
            id: "N18",
            what: "the cluster's network comes first",
            tests: [
                "A1.1 row 1: NPWG's annotation goes before cni, beside the default network"
            ]
        ),
        Item(
            id: "N19",
            what: "one default entry in the status",
            tests: [
                "N17, N19, N20: one entry an attachment, one default, the pod's own interface"
            ]
        ),
        Item(
            id: "N20",
            what: "what an entry is made of",
            tests: [
                "N17, N19, N20: one entry an attachment, one default, the pod's own interface",
                "N20: addresses without an interface are the pod's where none names one",
            ]
        ),
        Item(
            id: "N21",
            what: "keys that are not the standard's",
            tests: [
                "N21: a key that we do not know is named, and stops nothing"
            ]
        ),
        Item(
            id: "N22",
            what: "the first failure fails the pod",
            tests: [
                "each plugin fails, before and after its work: ADD undoes all, DEL is tried again"
            ],
            missing: "that the rest is not attempted: it is under way side by side, and is undone"
        ),
        Item(
            id: "N23",
            what: "DEL goes on behind a failure",
            tests: [
                "each plugin fails, before and after its work: ADD undoes all, DEL is tried again"
            ]
        ),
        Item(
            id: "N24",
            what: "one pod's calls one by one",
            tests: [
                "what a call left running keeps the next call for the pod waiting, and no other's"
            ],
            missing: "one network after the other: all but the cluster's are attached side by side"
        ),
        Item(
            id: "N25",
            what: "definitions that are not to be used",
            tests: [
                "N25: with namespaceIsolation, definitions of others are out of reach, global ones not"
            ],
            missing: "what Kubernetes' own access rules forbid: nothing asks its API server here"
        ),
        Item(
            id: "N26",
            what: "the runtime's wishes",
            tests: [
                "N26: the runtime's wishes are for the cluster-wide network alone"
            ]
        ),
        Item(
            id: "N27",
            what: "readiness",
            tests: [
                "C16: STATUS is 50 without a free address, 51 where a pod's program is gone, else content"
            ],
            missing: "when the configuration file is written: that is the installer's"
        ),
        Item(
            id: "N28",
            what: "DEL without the definition",
            tests: [
                "definitions, logical networks, the namespace's word and the least loaded network",
                "a DEL of an old sandbox takes nothing from the new one at the same path",
            ]
        ),
        Item(
            id: "N29",
            what: "names",
            tests: [
                "N11, N15, N29: what is wrong fails the pod, and is named"
            ]
        ),
    ]
}
