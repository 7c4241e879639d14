extension AcceptanceListTests {
    /// What giving out addresses has to stand, I1 to I15.
    static let addresses: [Item] = [
        Item(
            id: "I1",
            what: "unique under many at once",
            tests: [
                "no two nodes ever give out one address, and exhaustion is told",
                "C17: 64 ADDs at once on two nodes give 64 addresses, and 64 DELs take them back",
            ]
        ),
        Item(
            id: "I2",
            what: "both sides of a partition give out, and none twice",
            tests: ["pods under faults: no address is held twice"]
        ),
        Item(
            id: "I3",
            what: "an answer that was lost: the same holder gets the same address",
            tests: [
                "the same container and interface get the same address again",
                "a block that a crash left claimed and unknown is found again",
            ]
        ),
        Item(
            id: "I4",
            what: "a lost node's addresses, after their time and never before",
            tests: [
                "a removed node's block drains under a higher fence, a silent node's stays (rule A4)"
            ]
        ),
        Item(
            id: "I5",
            what: "a node that comes back after its addresses were given anew",
            tests: [
                "a disk from before the last start gives out nothing of its old blocks (rule A0)",
                "an emptied subnet is free again after its drain, and the next owner has a higher fence",
            ]
        ),
        Item(
            id: "I6",
            what: "a late DEL of an old container",
            tests: [
                "a late release by an old container does not free the new one's address",
                "a DEL of an old sandbox takes nothing from the new one at the same path",
            ]
        ),
        Item(
            id: "I7",
            what: "a StatefulSet's name on another node",
            tests: [],
            missing: "addresses belong to container and interface, and names of pods decide nothing"
        ),
        Item(
            id: "I8",
            what: "a wanted address that is had",
            tests: [
                "a wanted address is given when it is free, and refused while it is held or rests",
                "a wanted address is had by one node only, and never from another's block",
            ]
        ),
        Item(
            id: "I9",
            what: "no address left: an error, STATUS 50, and on again after a release",
            tests: [
                "C16: STATUS is 50 without a free address, 51 where a pod's program is gone, else content"
            ]
        ),
        Item(
            id: "I10",
            what: "both families or none",
            tests: ["ADD gives addresses and routes of both families or nothing, CHECK sees both"]
        ),
        Item(
            id: "I11",
            what: "ranges that are taken out while addresses of them are had",
            tests: [
                "excluded addresses are not given out, and a block of nothing else is not claimed"
            ],
            missing: "a group's subnets and exclusions are for its life: there is nothing to shrink"
        ),
        Item(
            id: "I12",
            what: "a rest before an address is given anew",
            tests: [
                "a freed address rests for a minute, and the longest-rested comes back first",
                "a freed address rests across a restart",
            ]
        ),
        Item(
            id: "I13",
            what: "IPAMClaims",
            tests: ["N11, N15, N29: what is wrong fails the pod, and is named"],
            missing:
                "claims are refused by name: nothing keeps an address for a pod that is not there"
        ),
        Item(
            id: "I14",
            what: "subnets of every size",
            tests: [
                "every address of a block is given out once; network, gateway and last never",
                "an IPv6 pool gives out every address of a block once, like one of IPv4",
                "the last 128 addresses of a wide IPv6 subnet are anycast (RFC 2526)",
            ]
        ),
        Item(
            id: "I15",
            what: "a check that finds what is wrong",
            tests: [
                "each mistake is found, once and as what it is",
                "groups with exclusions, wanted addresses, ipam and its check",
            ]
        ),
    ]
}
