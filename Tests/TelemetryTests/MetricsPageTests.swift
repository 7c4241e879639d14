import MetricsText
import Telemetry
import Testing

@Suite("MetricsPage: what it writes, a strict reader reads")
struct MetricsPageTests {
    @Test("counters, gauges and histograms come back with their labels and values")
    func page_isReadBack() throws {
        var page = MetricsPage()
        page.counter("a_total", "Things.", 3)
        page.counter(
            "b_total",
            "Back\\slash and\nline.",
            [
                MetricsPage.Sample(.count(1), [("reason", "quote\" back\\ line\n")]),
                MetricsPage.Sample(.count(UInt64.max), [("reason", "huge"), ("vni", "7")]),
            ]
        )
        page.gauge("c", "Nothing yet.", [])
        page.gauge("d_seconds", "Real.", [MetricsPage.Sample(.real(0.000_25))])
        page.gauge(
            "e",
            "Odd.",
            [(Double.infinity, "i"), (-.infinity, "n"), (.nan, "x"), (1e-12, "s")].map {
                MetricsPage.Sample(.real($0), [("of", $1)])
            }
        )
        page.histogram(
            "f_seconds",
            "Spans.",
            ["x", "y"].map {
                MetricsPage.Distribution(
                    bounds: [0.001, 0.5],
                    counts: [2, 0, 1],
                    sum: 1.5,
                    [("operation", $0)]
                )
            }
        )
        let text = try MetricsText(page.text)
        #expect(
            text.families.map(\.name) == ["a_total", "b_total", "c", "d_seconds", "e", "f_seconds"]
        )
        #expect(text.value("a_total") == 3)
        #expect(text.value("b_total", ["reason": "quote\" back\\ line\n"]) == 1)
        #expect(text.value("b_total", ["reason": "huge", "vni": "7"]) == Double(Int64.max))
        #expect(text.family("b_total")?.help == "Back\\\\slash and\\nline.")
        #expect(text.family("c")?.samples.isEmpty == true)
        #expect(text.value("d_seconds") == 0.000_25)
        #expect(text.value("e", ["of": "i"]) == .infinity)
        #expect(text.value("e", ["of": "n"]) == -.infinity)
        #expect(text.value("e", ["of": "x"])?.isNaN == true)
        #expect(text.value("e", ["of": "s"]) == 1e-12)
        #expect(text.value("f_seconds_bucket", ["operation": "x", "le": "0.001"]) == 2)
        #expect(text.value("f_seconds_bucket", ["operation": "x", "le": "0.5"]) == 2)
        #expect(text.value("f_seconds_bucket", ["operation": "y", "le": "+Inf"]) == 3)
        #expect(text.value("f_seconds_sum", ["operation": "y"]) == 1.5)
        #expect(text.value("f_seconds_count", ["operation": "y"]) == 3)
    }

    private static let good = "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n"

    @Test(
        "the reader refuses what is no such page",
        arguments: [
            ("no end of line", "# HELP a A.\n# TYPE a gauge\na 1"),
            ("no family", "a 1\n"), ("no help", "# TYPE a gauge\na 1\n"),
            ("help of another", "# HELP b B.\n# TYPE a gauge\na 1\n"),
            ("help alone", good + "# HELP b B.\n"),
            ("another family's sample", good + "b_total 1\n"),
            ("family twice", good + good), ("sample twice", good + "a_total 2\n"),
            ("counter without its suffix", "# HELP a A.\n# TYPE a counter\na 1\n"),
            ("gauge with it", "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n"),
            ("counter below zero", "# HELP a_total A.\n# TYPE a_total counter\na_total -1\n"),
            ("a value that is none", "# HELP a A.\n# TYPE a gauge\na one\n"),
            ("two blanks", "# HELP a A.\n# TYPE a gauge\na  1\n"),
            ("an empty line", good + "\n"),
            ("a name that is none", "# HELP a A.\n# TYPE a gauge\n1a 1\n"),
            ("labels without an end", "# HELP a A.\n# TYPE a gauge\na{b=\"c\" 1\n"),
            ("a label without quotes", "# HELP a A.\n# TYPE a gauge\na{b=c} 1\n"),
            ("a label twice", "# HELP a A.\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n"),
            ("an escape that is none", "# HELP a A.\n# TYPE a gauge\na{b=\"\\x\"} 1\n"),
            ("no unit of the base", "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n"),
            (
                "no unbounded bucket",
                "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n"
            ),
            (
                "buckets that shrink",
                "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\n"
                    + "a_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n"
            ),
            (
                "another count",
                "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n"
            ),
            ("no sum", "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\n"),
        ] as [(String, String)]
    )
    func reader_refuses(what: String, text: String) {
        #expect(throws: MetricsText.Malformed.self, "\(what)") { try MetricsText(text) }
    }

    @Test("a real number is written so that nothing of it is lost")
    func real_isExact() throws {
        for value in [0.1, 1.0 / 3, 1e21, 5e-300, 123_456_789.123_456_7] {
            var page = MetricsPage()
            page.gauge("a", "A.", [MetricsPage.Sample(.real(value))])
            #expect(try MetricsText(page.text).value("a") == value)
        }
    }
}
