import CNIProtocol
import Foundation
import Testing

private func scan(_ text: String) throws(CNIError) -> ConfigurationScan {
    try ConfigurationScan(Array(text.utf8))
}

@Suite("ConfigurationScan: the keys that are needed without a decoder")
struct ConfigurationScanTests {
    @Test("Keys of the top level are found, and no others")
    func topLevelKeys_areFound() throws {
        let found = try scan(
            """
            { "plugins": [{"name": "inner", "cniVersion": "9"}], "cniVersion" : "1.0.0",
              "x": {"type": "no", "socket": "no"}, "name":"blue", "n": -1.5e+3, "t": true,
              "type": "genie", "socket": "/run/x.sock", "z": null, "e": [], "o": {} }
            """
        )
        #expect(found.cniVersion == "1.0.0" && found.name == "blue")
        #expect(found.type == "genie" && found.socket == "/run/x.sock")
    }

    @Test("Escapes are undone in keys and values, and the last of two equal keys counts")
    func escapes_areUndone() throws {
        let found = try scan(
            #"{"name":"a","na\u006de":"\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00\ud800x"}"#
        )
        #expect(found.name == "\"\\/\u{8}\u{c}\n\r\t\u{e4}\u{1f600}\u{fffd}x")
    }

    @Test("A null is as good as no key, and a socket that is no text is nobody's")
    func null_isNoKey() throws {
        let found = try scan(#"{"name":null,"cniVersion":null,"socket":{"a":1}}"#)
        #expect(found.name == nil && found.cniVersion == nil && found.socket == nil)
    }

    private static let malformed = [
        "", " ", "[]", "\"a\"", "1", "{", "}", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{,}", "{\"a\":1 \"b\":2}", "{\"a\":1}x", "{\"a\":1}{}", "{\"a\":01}", "{\"a\":-}",
        "{\"a\":1.}", "{\"a\":1e}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":tru}", "{\"a\":nul",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\n\"}", "{\"a\":\"", "{a:1}",
        "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":{\"b\":1,}}", "{\"a\":[1}",
        "{\"name\":1}", "{\"cniVersion\":[]}", "{\"type\":true}", "{'a':1}", "{\"a\":NaN}",
    ]

    @Test("C4: what is not one JSON object is code 6", arguments: malformed)
    func malformed_isCode6(text: String) {
        #expect(throws: CNIError.self) { try scan(text) }
        do throws(CNIError) {
            _ = try scan(text)
        } catch {
            #expect(error.code == .decodingFailure)
        }
    }

    @Test("Nesting beyond the bound is refused and does not exhaust the stack")
    func nesting_isBounded() throws {
        _ = try scan(
            "{\"a\":" + String(repeating: "[", count: 128)
                + String(repeating: "]", count: 128) + "}"
        )
        #expect(throws: CNIError.self) {
            try scan("{\"a\":" + String(repeating: "[{\"b\":", count: 1_000_000))
        }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func invalidUTF8_isRefused() {
        #expect(throws: CNIError.self) {
            try ConfigurationScan(Array("{\"name\":\"".utf8) + [0xff] + Array("\"}".utf8))
        }
    }

    @Test("It agrees with a full decoder on every cut and every changed byte of a configuration")
    func scan_agreesWithDecoder() throws {
        let text = #"{"cniVersion":"1.1.0","name":"b\u00e4","a":[1,-2.5e3,{"k":[]},true,null]}"#
        let whole = Array(text.utf8)
        var inputs = (0...whole.count).map { Array(whole[..<$0]) }
        for index in whole.indices {
            for byte in Array("\"{}[]:,\\x0 -".utf8) {
                var changed = whole
                changed[index] = byte
                inputs.append(changed)
            }
        }
        var accepted = 0
        for input in inputs {
            let isObject =
                (try? JSONSerialization.jsonObject(with: Data(input))) is [String: Any]
            let isTyped =
                (try? JSONDecoder().decode(NetworkConfiguration.self, from: Data(input))) != nil
            let isTaken = (try? ConfigurationScan(input)) != nil
            if isTaken { accepted += 1 }
            #expect(isTaken == (isObject && isTyped), "\(String(decoding: input, as: UTF8.self))")
        }
        #expect(accepted > 10)
    }

    @Test("The writer's text is read back as it was, by us and by a decoder")
    func writer_roundTrips() throws {
        let awkward = "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}/\u{e4}\u{2028}\u{1f600}"
        let call = CNICall(
            verb: .delete,
            containerID: "c",
            netns: awkward,
            ifname: "eth0",
            args: "K=V;L=W",
            path: "/a:/b",
            config: "{\"name\":\"\(awkward)\"}"
        )
        #expect(try JSONDecoder().decode(CNICall.self, from: Data(call.jsonText)) == call)
        let error = CNIError(.tryAgainLater, awkward, details: awkward, cniVersion: "0.4.0")
        #expect(try JSONDecoder().decode(CNIError.self, from: Data(error.jsonText)) == error)
        let encoded = try JSONEncoder().encode(call)
        #expect(try JSONDecoder().decode(CNICall.self, from: encoded) == call)
        var object = JSONObjectWriter()
        object.add("name", awkward)
        object.add("n", -7)
        object.add("list", [awkward, ""])
        #expect(try ConfigurationScan(object.finish()).name == awkward)
    }
}
