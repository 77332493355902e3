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
            for lsn in ["0", "30"] {
                let process = try ChildProcess(program, [], in: directory, workingDirectory: directory)
                #expect(try await process.waitForExit() == .exited(0))
                #expect(process.standardOutput == "\(lsn) order 4711: two loaves\n")
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

    /// docs/durability.md says which test shows a promise: `Suite.test`.
    @Test func everyTestThatADocumentNamesExists() throws {
        let tests = try House.files("Tests", ".swift").map { try House.text($0) }.joined()
        let words = try House.text("docs/durability.md").split(separator: "`", omittingEmptySubsequences: false)
        let names = words.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
            .filter { $0.wholeMatch(of: /[A-Z][A-Za-z0-9]*Tests\.[a-z][A-Za-z0-9]*/) != nil }
        #expect(names.count >= 10)
        for name in names {
            let parts = name.split(separator: ".")
            #expect(tests.contains("struct \(parts[0])"), "\(name)")
            #expect(tests.contains("func \(parts[1])("), "\(name)")
        }
    }

    @Test func everyDecisionIsInTheIndex() throws {
        let index = try House.text("docs/decisions/README.md")
        for record in try House.files("docs/decisions", ".md") where !record.hasSuffix("README.md") {
            #expect(index.contains("(\(record.split(separator: "/").last!))"), "\(record)")
        }
    }
}
