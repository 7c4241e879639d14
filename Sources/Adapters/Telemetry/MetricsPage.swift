/// A page of metrics in the text format of Prometheus.
///
/// - Source: "Exposition formats", version 0.0.4, of the Prometheus documentation.
package struct MetricsPage: Sendable {
    /// What `Content-Type` says of it.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// A name and a value that tell one sample from the others of its family.
    package typealias Label = (name: String, value: String)

    /// One value of a family.
    package struct Sample: Sendable {
        let labels: [Label]
        let value: Value

        /// Makes a sample; label names are ours and must be valid.
        package init(_ value: Value, _ labels: [Label] = []) {
            precondition(labels.allSatisfy { MetricsPage.isLabelName($0.name) })
            self.value = value
            self.labels = labels
        }
    }

    /// A number.
    package enum Value: Sendable {
        /// A whole one.
        case whole(Int64)
        /// Any other; infinite and undefined ones have names.
        case real(Double)
        /// A count.
        package static func count(_ count: UInt64) -> Value {
            .whole(Int64(clamping: count))
        }
        /// A count.
        package static func count(_ count: Int) -> Value { .whole(Int64(count)) }

        var text: String {
            switch self {
            case .whole(let value): "\(value)"
            case .real(let value) where value.isNaN: "NaN"
            case .real(let value) where value.isInfinite: value < 0 ? "-Inf" : "+Inf"
            case .real(let value): "\(value)"
            }
        }
    }

    /// A histogram's observations: how many fell into each bucket, the last being unbounded.
    package struct Distribution: Sendable {
        let labels: [Label]
        let bounds: [Double]
        let counts: [UInt64]
        let sum: Double

        /// Makes a distribution of one more count than there are bounds, which ascend.
        package init(bounds: [Double], counts: [UInt64], sum: Double, _ labels: [Label] = []) {
            precondition(counts.count == bounds.count + 1)
            precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
            precondition(labels.allSatisfy { MetricsPage.isLabelName($0.name) && $0.name != "le" })
            self.bounds = bounds
            self.counts = counts
            self.sum = sum
            self.labels = labels
        }
    }

    /// The page so far.
    package private(set) var text = ""
    private var names: Set<String> = []

    /// Makes an empty page.
    package init() {}

    /// Adds something that only grows; its name ends in `_total`.
    package mutating func counter(_ name: String, _ help: String, _ samples: [Sample]) {
        precondition(name.hasSuffix("_total"), "\(name) is a counter")
        begin(name, "counter", help)
        for sample in samples { add(name, sample.labels, sample.value) }
    }

    /// Adds a counter of one sample.
    package mutating func counter(_ name: String, _ help: String, _ count: UInt64) {
        counter(name, help, [Sample(.count(count))])
    }

    /// Adds something that comes and goes.
    package mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
        precondition(!name.hasSuffix("_total"), "\(name) is no counter")
        begin(name, "gauge", help)
        for sample in samples { add(name, sample.labels, sample.value) }
    }

    /// Adds a gauge of one sample.
    package mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        gauge(name, help, [Sample(.count(value))])
    }

    /// Adds a histogram.
    package mutating func histogram(_ name: String, _ help: String, _ all: [Distribution]) {
        begin(name, "histogram", help)
        for one in all {
            var total: UInt64 = 0
            for (index, count) in one.counts.enumerated() {
                total += count
                let bound = index < one.bounds.count ? one.bounds[index] : .infinity
                let label: Label = ("le", Value.real(bound).text)
                add(name + "_bucket", one.labels + [label], .count(total))
            }
            add(name + "_sum", one.labels, .real(one.sum))
            add(name + "_count", one.labels, .count(total))
        }
    }

    private mutating func begin(_ name: String, _ kind: String, _ help: String) {
        precondition(Self.isName(name), "\(name) cannot be the name of a metric")
        precondition(names.insert(name).inserted, "\(name) is on the page already")
        let escaped = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        text += "# HELP \(name) \(escaped)\n# TYPE \(name) \(kind)\n"
    }

    private mutating func add(_ name: String, _ labels: [Label], _ value: Value) {
        text += name
        if !labels.isEmpty {
            let inner = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            text += "{\(inner.joined(separator: ","))}"
        }
        text += " \(value.text)\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }

    private static func isName(_ text: String) -> Bool {
        isLabelName(text.replacing(":", with: "_"))
    }

    private static func isLabelName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
                || $0 == UInt8(ascii: "_")
        }
    }
}
