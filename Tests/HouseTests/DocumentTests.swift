import Foundation
import TestSupport
import Testing

/// What the documents say about the project is so.
@Suite struct DocumentTests {
    @Test func theReadmesExampleIsTheOneThatIsCompiled() throws {
        #expect(try House.block("swift", in: House.text("README.md")) == House.text("Examples/FirstLog/main.swift"))
    }

    @Test func theReadmesExampleDoesWhatItSays() async throws {
        try await withTemporaryDirectory { directory in
            let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "FirstLog").path
            // The three records of a run take 30, 26 and 31 bytes.
            for lsns in [[0, 30, 56], [87, 117, 143]] {
                let process = try ChildProcess(program, [], in: directory, workingDirectory: directory)
                #expect(try await process.waitForExit() == .exited(0))
                let orders = ["4711: two loaves", "4712: a cake", "4712: six candles"]
                #expect(process.standardOutput == zip(lsns, orders).map { "\($0) order \($1)\n" }.joined())
            }
        }
    }

    @Test func everyLinkLeadsToAFile() throws {
        for page in try House.pages() {
            let folder = page.contains("/") ? String(page[..<page.lastIndex(of: "/")!]) + "/" : ""
            for part in try House.text(page).components(separatedBy: "](").dropFirst() {
                let target = part.prefix { $0 != ")" && $0 != "#" }
                if target.isEmpty || target.contains("://") { continue }
                #expect(House.exists(folder + target), "\(page) links to \(target)")
            }
        }
    }

    /// Documents say which test shows a promise: `Suite.test`.
    @Test(arguments: ["docs/durability.md", "docs/lessons.md"]) func everyTestThatADocumentNamesExists(_ page: String) throws {
        let tests = try House.files("Tests", ".swift").map { try House.text($0) }.joined()
        let names = Self.testsNamed(in: try House.text(page)[...])
        #expect(names.count >= 10)
        for name in names {
            let parts = name.split(separator: ".")
            #expect(tests.contains("struct \(parts[0])"), "\(name)")
            #expect(tests.contains("func \(parts[1])("), "\(name)")
        }
    }

    @Test func everyLessonHasATest() throws {
        let parts = try House.text("docs/lessons.md").components(separatedBy: "\n## ")
        try #require(parts.count == 3)
        for (part, numbers) in [(parts[1], Array(1...21)), (parts[2], Array(1...24))] {
            let rows = part.split(separator: "\n").filter { $0.wholeMatch(of: /\| \d+ \|.*/) != nil }
            #expect(rows.compactMap { Int($0.split(separator: " ")[1]) } == numbers)
            for row in rows { #expect(!Self.testsNamed(in: row).isEmpty, "\(row)") }
        }
    }

    private static func testsNamed(in text: Substring) -> [Substring] {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
            .filter { $0.wholeMatch(of: /[A-Z][A-Za-z0-9]*(Tests|Conformance)\.[a-z][A-Za-z0-9]*/) != nil }
    }

    @Test func everyDecisionIsInTheIndex() throws {
        let index = try House.text("docs/decisions/README.md")
        for record in try House.files("docs/decisions", ".md") where !record.hasSuffix("README.md") {
            #expect(index.contains("(\(record.split(separator: "/").last!))"), "\(record)")
        }
    }
}
