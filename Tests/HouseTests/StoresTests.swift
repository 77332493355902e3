import Foundation
import TestSupport
import Testing

/// docs/stores.md says what the conformance tests find on the real servers: both go by `TestedStore`.
@Suite struct StoresTests {
    private static let page = "docs/stores.md"

    @Test func theTableIsWhatTheProbesFind() throws {
        let text = try House.text(Self.page)
        let begin = try #require(text.range(of: StoresTable.begin + "\n"))
        let end = try #require(text.range(of: "\n" + StoresTable.end, range: begin.upperBound..<text.endIndex))
        let table = begin.upperBound..<end.lowerBound
        if ProcessInfo.processInfo.environment["WALSHIP_WRITE_STORES"] != nil {
            let written = text.replacingCharacters(in: table, with: StoresTable.text)
            return try Data(written.utf8).write(to: House.root.appending(path: Self.page))
        }
        #expect(text[table] == StoresTable.text, "make stores")
    }

    /// Each store has a test that runs its checks and has its probe find what the table says.
    @Test func everyStoreOfTheTableIsTested() throws {
        let tests = try House.files("Tests", "ConformanceTests.swift").map { try House.text($0) }.joined()
        let declared = try House.text("Tests/TestSupport/TestedStore.swift").matches(of: /static let (\w+) = TestedStore/).map { String($0.output.1) }
        #expect(declared.count == TestedStore.all.count)
        for name in declared { #expect(tests.contains("as: .\(name))"), "\(name)") }
    }
}
