import Foundation
import Testing

/// docs/benchmarks.md and the benchmarks tell of the same rows.
@Suite struct BenchmarkTests {
    /// The first cells of the table below `## The rows`.
    static func documented() throws -> [String] {
        let page = try House.text("docs/benchmarks.md")
        let start = try #require(page.range(of: "\n## The rows\n"))
        let section = page[start.upperBound...].components(separatedBy: "\n## ")[0]
        return section.split(separator: "\n").filter { $0.hasPrefix("| `") }.flatMap { line in
            line.dropFirst(2).prefix { $0 != "|" }.split(separator: "`").map(String.init).filter { $0.first?.isLetter == true }
        }
    }

    /// Names in the sources: rows whole (`name: "…"`), or a benchmark's name that its rows begin with.
    @Test func everyDocumentedRowIsMeasured() throws {
        let sources = try House.files("Benchmarks/Sources/Benchmarks/Suites", ".swift").map { try House.text($0) }.joined()
        let rows = try Self.documented()
        #expect(rows.count >= 29)
        #expect(Set(rows).count == rows.count)
        for row in rows {
            let isWhole = sources.contains("\"\(row)\"")
            let isOfBenchmark = row.indices.contains { end in
                sources.contains("\"\(row[..<end])\"") && sources.contains("\"\\(name)\(row[end...])\"")
            }
            #expect(isWhole || isOfBenchmark, "\(row) is in docs/benchmarks.md, but no suite measures it")
        }
    }

    @Test func everyLimitThatRowsNameIsDocumented() throws {
        let page = try House.text("docs/benchmarks.md")
        for row in try Self.documented() where row.contains("/") && !row.hasSuffix("/alone") {
            let limit = row.split(separator: "/")[1]
            #expect(page.contains("\n| \(limit) | "), "\(row)")
        }
    }
}
