import CNIProtocol
import Foundation
import Testing

private func decode(_ text: String) throws -> NetworkConfiguration {
    try JSONDecoder().decode(NetworkConfiguration.self, from: Data(text.utf8))
}

@Suite("NetworkConfiguration: what a runtime gives and what is refused")
struct NetworkConfigurationTests {
    @Test("the sample network is one that ADD would serve")
    func sample() throws {
        let path = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "cluster/samples/10-red.conf")
        let decoder = JSONDecoder()
        let sample = try decoder.decode(NetworkConfiguration.self, from: Data(contentsOf: path))
        #expect(sample.refusal(of: .add) == nil)
        #expect(sample.type == "genie" && sample.vpc == "red" && sample.group == "web")
    }

    @Test("C19: unknown keys are skipped and ours are read")
    func unknownKeys_areSkipped() throws {
        let read = try decode(
            """
            {"cniVersion":"1.1.0","name":"blue","type":"genie","vpc":"tenant-a","group":"web",
             "ipam":{"type":"x"},"cni.dev/foo":[1],"args":{"cni":{}},
             "runtimeConfig":{"mac":"02:00:00:00:00:01","ips":["10.0.0.7/24"],
              "bandwidth":{"ingressRate":1000,"egressBurst":5},"portMappings":[]}}
            """
        )
        #expect(read.version == .v110 && read.name == "blue" && read.type == "genie")
        #expect(read.vpc == "tenant-a" && read.group == "web" && read.prevResult == nil)
        #expect(read.runtimeConfig?.mac == "02:00:00:00:00:01")
        #expect(read.runtimeConfig?.ips == ["10.0.0.7/24"])
        #expect(read.runtimeConfig?.bandwidth?.ingressRate == 1000)
        #expect(read.runtimeConfig?.bandwidth?.egressRate == nil)
        #expect(read.refusal(of: .add) == nil)
        let again = try JSONDecoder().decode(
            NetworkConfiguration.self,
            from: JSONEncoder().encode(read)
        )
        #expect(again == read)
    }

    @Test(
        "what has the wrong form is named by its field, in words, and stops no DEL",
        arguments: [
            (#""vpc":5"#, "vpc must be a text"),
            (#""runtimeConfig":[]"#, "runtimeConfig must be an object"),
            (#""runtimeConfig":{"ips":"10.0.0.1"}"#, "runtimeConfig.ips must be a list"),
            (#""runtimeConfig":{"ips":["a",1]}"#, "runtimeConfig.ips[1] must be a text"),
            (
                #""runtimeConfig":{"bandwidth":{"ingressRate":"fast"}}"#,
                "runtimeConfig.bandwidth.ingressRate must be a whole number of at least 0"
            ),
            (
                #""runtimeConfig":{"bandwidth":{"ingressRate":-1}}"#,
                "runtimeConfig has a number in it that is out of its range"
            ),
            (
                #""cni.dev/valid-attachments":[{"containerID":"a"}]"#,
                "cni.dev/valid-attachments[0].ifname is missing"
            ),
            (
                #""cni.dev/valid-attachments":[{"containerID":"a","ifname":null}]"#,
                "cni.dev/valid-attachments[0].ifname must not be null"
            ),
            (
                #""prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0"}]}"#,
                "prevResult.ips[0].address is wrong: not an address with a length"
            ),
        ]
    )
    func flaws(member: String, flaw: String) throws {
        let read = try decode(#"{"cniVersion":"1.1.0","name":"red","type":"genie",\#(member)}"#)
        #expect(read.flaw == flaw)
        for verb in [CNIVerb.add, .check, .collect, .status] {
            let refusal = read.refusal(of: verb)
            #expect(refusal?.code == .decodingFailure && refusal?.cniVersion == "1.1.0")
            #expect(refusal?.msg == "in the configuration of network red \(flaw)")
        }
        #expect(read.refusal(of: .delete) == nil)
    }

    @Test(
        "what the plugin itself cannot read is named",
        arguments: [
            ("", "is empty"), ("{", "is not valid JSON"), ("[]", "is no JSON object"),
            (#"{"name":7}"#, "has something else than a text as its name"),
            (#"{"name":"a","type":{}}"#, "has something else than a text as its type"),
        ]
    )
    func unreadable(text: String, flaw: String) throws {
        let error = #expect(throws: CNIError.self) { try ConfigurationScan(Array(text.utf8)) }
        #expect(error?.msg == "the network configuration on standard input \(flaw)")
    }

    @Test("A configuration without a version is of 0.1.0")
    func missingVersion_is010() throws {
        #expect(try decode(#"{"name":"a","type":"genie"}"#).version == .v010)
        #expect(try decode(#"{"name":"a","type":"genie","cniVersion":null}"#).version == .v010)
    }

    @Test(
        "C4: a missing or malformed name is code 7",
        arguments: [nil, "", "-a", "a b", "a/b", ".a", "a\u{e4}"]
    )
    func name_wrong_isCode7(name: String?) throws {
        let field = name.map { "\"name\":\"\($0)\"," } ?? ""
        let text = "{\(field)\"cniVersion\":\"1.0.0\"}"
        for verb in [CNIVerb.add, .delete, .check, .status] {
            #expect(try decode(text).refusal(of: verb)?.code == .invalidConfiguration)
            let scan = try ConfigurationScan(Array(text.utf8))
            #expect(scan.refusal(of: verb)?.code == .invalidConfiguration)
            #expect(scan.refusal(of: verb)?.cniVersion == "1.0.0")
        }
    }

    @Test(
        "C5: a version that is not spoken is code 1 and named",
        arguments: ["0.5.0", "1.2.0", "2.0.0", "1.1", "1.1.0-rc1", "", "v1.0.0"]
    )
    func version_unknown_isCode1(version: String) throws {
        let read = try decode(#"{"name":"a","cniVersion":"\#(version)"}"#)
        let refusal = read.refusal(of: .delete)
        #expect(refusal?.code == .incompatibleVersion && refusal?.cniVersion == version)
        #expect(refusal?.details.contains("\"\(version)\"") == false)
        #expect(refusal?.details.contains("0.1.0 0.2.0") == true)
    }

    private static let gates: [(CNIVerb, CNIVersion)] = CNIVersion.allCases.flatMap { version in
        CNIVerb.allCases.map { ($0, version) }
    }

    @Test("C6 and C7: CHECK needs 0.4.0, GC and STATUS need 1.1.0", arguments: gates)
    func verbs_areGatedByVersion(verb: CNIVerb, version: CNIVersion) throws {
        let scan = try ConfigurationScan(
            Array(#"{"name":"a","cniVersion":"\#(version.rawValue)"}"#.utf8)
        )
        let isAllowed =
            switch verb {
            case .add, .delete, .version: true
            case .check: ["0.4.0", "1.0.0", "1.1.0"].contains(version.rawValue)
            case .collect, .status: version.rawValue == "1.1.0"
            }
        let refusal = scan.refusal(of: verb)
        #expect((refusal == nil) == isAllowed)
        if let refusal {
            #expect(refusal.code == .incompatibleVersion)
            #expect(refusal.msg == "config version does not allow \(verb.rawValue)")
        }
    }

    @Test("a place in the ring needs a VPC and a group; without either it is a choice of networks")
    func ownType_needsPlace() throws {
        let bare = try decode(#"{"name":"a","type":"genie","cniVersion":"1.1.0"}"#)
        #expect(bare.refusal(of: .add) == nil)
        #expect(bare.refusal(of: .check)?.code == .invalidConfiguration)
        #expect(bare.refusal(of: .delete) == nil && bare.refusal(of: .status) == nil)
        #expect(bare.refusal(of: .collect) == nil)
        let half = try decode(#"{"name":"a","type":"genie","vpc":"v","group":""}"#)
        #expect(half.refusal(of: .add)?.msg.contains("add \"group\" to") == true)
        let other = try decode(#"{"name":"a","type":"bridge"}"#)
        #expect(other.refusal(of: .add) == nil)
    }

    @Test("CHECK needs the previous result; a malformed one stops ADD and CHECK but no DEL")
    func prevResult_isNeededByCheck() throws {
        let place = #""name":"a","type":"genie","vpc":"v","group":"g","cniVersion":"1.0.0""#
        #expect(try decode("{\(place)}").refusal(of: .check)?.code == .invalidConfiguration)
        let good = try decode("{\(place),\"prevResult\":{\"cniVersion\":\"1.0.0\"}}")
        #expect(good.refusal(of: .check) == nil)
        for bad in [
            "5", "[]", "{\"ips\":[{}]}", "{\"ips\":[{\"address\":\"10.0.0.1\"}]}",
            "{\"cniVersion\":\"7.0.0\"}",
        ] {
            let read = try decode("{\(place),\"prevResult\":\(bad)}")
            #expect(read.flaw != nil && read.prevResult == nil)
            #expect(read.refusal(of: .check)?.code == .decodingFailure)
            #expect(read.refusal(of: .add)?.code == .decodingFailure)
            #expect(read.refusal(of: .delete) == nil)
        }
    }

    @Test("C15: GC reads the attachments under both spellings, and tells none from not given")
    func validAttachments_areRead() throws {
        let list = #"[{"containerID":"c","ifname":"eth0"}]"#
        let expected = [NetworkConfiguration.Attachment(containerID: "c", ifname: "eth0")]
        let proper = try decode(#"{"name":"a","cni.dev/valid-attachments":\#(list)}"#)
        #expect(proper.validAttachments == expected)
        let alias = try decode(#"{"name":"a","cni.dev/attachments":\#(list)}"#)
        #expect(alias.validAttachments == expected)
        #expect(try decode(#"{"name":"a","cni.dev/valid-attachments":[]}"#).validAttachments == [])
        #expect(try decode(#"{"name":"a"}"#).validAttachments == nil)
    }
}

@Suite("CNIArguments: what CNI_ARGS says")
struct CNIArgumentsTests {
    @Test("What a Kubernetes runtime writes is read")
    func kubernetes_isRead() throws {
        let read = try CNIArguments(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;"
                + "K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1;Other=x=y;IP=10.0.0.7;MAC=02:"
        )
        #expect(read.podNamespace == "default" && read.podName == "web-0")
        #expect(read.podInfraContainerID == "abc" && read.podUID == "u-1")
        #expect(read.ip == "10.0.0.7" && read.mac == "02:")
    }

    @Test("An empty text says nothing", arguments: ["", ";", ";;"])
    func empty_saysNothing(text: String) throws {
        #expect(try CNIArguments(text) == CNIArguments(""))
    }

    @Test(
        "C19: an unknown key is an error unless it is to be ignored, wherever that stands",
        arguments: [
            ("A=1", false), ("IgnoreUnknown=0;A=1", false), ("IgnoreUnknown=false;A=1", false),
            ("A=1;IgnoreUnknown=1", true), ("IgnoreUnknown=true;A=1", true),
            ("IgnoreUnknown=TRUE;A=", true), ("IgnoreUnknown=yes", false),
            ("K8S_POD_NAME=a;B=2", false), ("A", false), ("IgnoreUnknown=1;A", false),
            ("=1", false), ("K8S_POD_NAME=", true),
        ]
    )
    func unknownKey_needsIgnoring(text: String, isTaken: Bool) {
        do throws(CNIError) {
            _ = try CNIArguments(text)
            #expect(isTaken)
        } catch {
            #expect(!isTaken)
            #expect(error.code == .invalidEnvironment)
        }
    }
}
