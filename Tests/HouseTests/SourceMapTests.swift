import Foundation
import Testing

/// ARCHITECTURE.md is the map of the code: complete, and without places that are not there.
@Suite struct SourceMapTests {
    static let targets = ["WAL", "Archive", "Shipper", "Follower", "walshipd"]

    /// What the section `## target` names: every `….swift` between backquotes.
    static func named(in target: String) throws -> [String] {
        let page = try House.text("ARCHITECTURE.md")
        guard let start = page.range(of: "\n## \(target)\n") else { return [] }
        let rest = page[start.upperBound...]
        let section = rest.range(of: "\n## ").map { rest[..<$0.lowerBound] } ?? rest
        return section.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 && $0.element.hasSuffix(".swift") }.map { String($0.element) }
    }

    @Test(arguments: targets) func everySourceFileIsOnTheMapOnce(target: String) throws {
        let named = try Self.named(in: target)
        let files = try House.files("Sources/\(target)", ".swift")
        #expect(!files.isEmpty)
        for file in files {
            let count = named.count { file.hasSuffix("/" + $0) }
            #expect(count == 1, "\(file) is named \(count) times in section \(target) of ARCHITECTURE.md")
        }
        for name in named {
            let count = files.count { $0.hasSuffix("/" + name) }
            #expect(count == 1, "ARCHITECTURE.md, section \(target), names \(name): \(count) files are called so")
        }
    }

    @Test func everyTargetHasASection() throws {
        let page = try House.text("ARCHITECTURE.md")
        let folders = Set(try House.files("Sources", ".swift", ".c", ".h", ".modulemap").map { $0.split(separator: "/")[1] })
        for folder in folders {
            #expect(page.contains("\n## \(folder)\n") || page.contains("**\(folder)**"), "\(folder) is not in ARCHITECTURE.md")
        }
    }
}
