/// A page in the text format of Prometheus, read as strictly as its specification can be meant.
///
/// What Prometheus itself would let pass and what misleads is refused here: families that are torn
/// apart, samples twice, counters that are not called so, buckets that do not add up.
/// - Source: "Exposition formats" and "Metric and label naming" of the Prometheus documentation.
package struct MetricsText: Sendable {
    /// One sample.
    package struct Sample: Hashable, Sendable {
        /// Its name with any suffix.
        package let name: String
        /// Its labels.
        package let labels: [String: String]
        /// Its value.
        package let value: Double
    }

    /// A family.
    package struct Family: Sendable {
        /// Its name.
        package let name: String
        /// counter, gauge or histogram.
        package let kind: String
        /// What it says of itself.
        package let help: String
        /// Its samples, in their order.
        package fileprivate(set) var samples: [Sample] = []
    }

    /// Why a text is no such page.
    package struct Malformed: Error, CustomStringConvertible {
        package let description: String
    }

    /// The families, in their order.
    package private(set) var families: [Family] = []

    /// Reads a page.
    package init(_ text: String) throws(Malformed) {
        guard text.last == "\n" else { throw Malformed(description: "the last line has no end") }
        var help: (name: String, text: String)?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .dropLast().enumerated()
        {
            do throws(Malformed) {
                try read(line, &help)
            } catch {
                throw Malformed(description: "line \(index + 1): \(error): \(line)")
            }
        }
        guard help == nil else { throw Malformed(description: "HELP without TYPE at the end") }
        for family in families { try Self.check(family) }
    }

    /// The family of a name.
    package func family(_ name: String) -> Family? { families.first { $0.name == name } }

    /// The value of the only sample with these labels; nil where there is none.
    package func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        families.flatMap(\.samples).first { $0.name == name && $0.labels == labels }?.value
    }

    private mutating func read(
        _ line: Substring,
        _ help: inout (name: String, text: String)?
    ) throws(Malformed) {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        if line.hasPrefix("# HELP ") {
            guard help == nil, words.count == 4, !words[3].isEmpty else {
                throw Malformed(description: "bad HELP")
            }
            help = (String(words[2]), String(words[3]))
        } else if line.hasPrefix("# TYPE ") {
            guard words.count == 4, let told = help, told.name == words[2] else {
                throw Malformed(description: "TYPE without its HELP")
            }
            guard ["counter", "gauge", "histogram"].contains(words[3]) else {
                throw Malformed(description: "unknown type")
            }
            guard family(told.name) == nil else { throw Malformed(description: "family twice") }
            families.append(Family(name: told.name, kind: String(words[3]), help: told.text))
            help = nil
        } else {
            guard help == nil else { throw Malformed(description: "HELP without TYPE") }
            try add(Self.sample(line))
        }
    }

    private mutating func add(_ sample: Sample) throws(Malformed) {
        guard let family = families.last else { throw Malformed(description: "no family yet") }
        let suffixes = family.kind == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
        guard suffixes.contains(where: { family.name + $0 == sample.name }) else {
            throw Malformed(description: "a sample of another family")
        }
        let isKnown = family.samples.contains {
            $0.name == sample.name && $0.labels == sample.labels
        }
        guard !isKnown else { throw Malformed(description: "the sample is there already") }
        families[families.count - 1].samples.append(sample)
    }

    private static func sample(_ line: Substring) throws(Malformed) -> Sample {
        let name = line.prefix { $0 != "{" && $0 != " " }
        guard isName(name) else { throw Malformed(description: "bad name") }
        var rest = line[name.endIndex...]
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while true {
                try label(&rest, &labels)
                guard let next = rest.popFirst() else { throw Malformed(description: "cut off") }
                if next == "}" { break }
                guard next == "," else { throw Malformed(description: "bad labels") }
            }
        }
        guard rest.popFirst() == " ", let value = number(rest) else {
            throw Malformed(description: "bad value")
        }
        return Sample(name: String(name), labels: labels, value: value)
    }

    private static func label(
        _ rest: inout Substring,
        _ labels: inout [String: String]
    ) throws(Malformed) {
        let name = rest.prefix { $0 != "=" }
        rest = rest[name.endIndex...]
        guard isName(name), !name.contains(":"), !name.hasPrefix("__"), rest.popFirst() == "=",
            rest.popFirst() == "\""
        else { throw Malformed(description: "bad label") }
        var value = ""
        while let character = rest.popFirst(), character != "\"" {
            guard character == "\\" else {
                value.append(character)
                continue
            }
            switch rest.popFirst() {
            case "n": value.append("\n")
            case "\\": value.append("\\")
            case "\"": value.append("\"")
            default: throw Malformed(description: "bad escape")
            }
        }
        guard labels.updateValue(value, forKey: String(name)) == nil else {
            throw Malformed(description: "label twice")
        }
    }

    private static func number(_ text: Substring) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default:
            text.allSatisfy { "0123456789+-.eE".contains($0) } ? Double(text) : nil
        }
    }

    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.first, !first.isNumber else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_:".contains($0)) }
    }

    private static func check(_ family: Family) throws(Malformed) {
        func fail(_ what: String) -> Malformed {
            Malformed(description: "\(family.name): \(what)")
        }
        guard isName(family.name[...]) else { throw fail("bad name") }
        guard (family.kind == "counter") == family.name.hasSuffix("_total") else {
            throw fail("a counter ends in _total, and nothing else does")
        }
        // Base units, in the plural, last before _total.
        let banned = ["_milliseconds", "_microseconds", "_ms", "_kilobytes", "_percent"]
        guard !banned.contains(where: { family.name.contains($0) }) else { throw fail("bad unit") }
        switch family.kind {
        case "counter":
            guard family.samples.allSatisfy({ $0.value >= 0 && $0.value.isFinite }) else {
                throw fail("a counter is a number from 0 on")
            }
        case "histogram": try checkHistogram(family, fail)
        default: break
        }
    }

    private static func checkHistogram(
        _ family: Family,
        _ fail: (String) -> Malformed
    ) throws(Malformed) {
        var rest = family.samples[...]
        while let first = rest.first {
            var labels = first.labels
            labels["le"] = nil
            var (bound, count) = (-Double.infinity, 0.0)
            while let bucket = rest.first, bucket.name == family.name + "_bucket" {
                rest = rest.dropFirst()
                var others = bucket.labels
                guard let next = others.removeValue(forKey: "le").flatMap({ number($0[...]) }),
                    others == labels
                else { throw fail("a bucket without its bound, or torn apart") }
                guard next > bound, bucket.value >= count else {
                    throw fail("bounds and counts of buckets ascend")
                }
                (bound, count) = (next, bucket.value)
            }
            guard bound == .infinity else { throw fail("the last bucket is unbounded") }
            guard let sum = rest.popFirst(), sum.name == family.name + "_sum",
                sum.labels == labels, let total = rest.popFirst(),
                total.name == family.name + "_count", total.labels == labels
            else { throw fail("sum and count follow the buckets") }
            guard total.value == count else { throw fail("the count is that of the last bucket") }
        }
    }
}
