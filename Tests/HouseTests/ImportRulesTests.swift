import Foundation
import Testing

/// What a target must not know, it does not import; and a few things that nobody writes here.
@Suite struct ImportRulesTests {
    /// All that a target may import. A new arrow needs a decision record, and a word here.
    static let allowed: [String: Set<String>] = [
        "WAL": ["CCRC32C", "CLinux", "FoundationEssentials", "Glibc", "Synchronization"],
        "Archive": [
            "WAL", "CCurl", "CZstd", "CXXHash", "Crypto", "Dispatch", "FoundationEssentials", "Glibc", "Synchronization",
        ],
        "Shipper": ["WAL", "Archive", "Logging", "Dispatch", "FoundationEssentials", "Synchronization"],
        "Follower": ["WAL", "Archive", "Logging", "Dispatch", "FoundationEssentials", "Synchronization"],
        "walshipd": [
            "WAL", "Archive", "Shipper", "Follower", "ArgumentParser", "Configuration", "Crypto", "Dispatch", "Foundation", "HTTPTypes",
            "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOPosix", "ServiceLifecycle", "Subprocess",
            "Synchronization", "SystemPackage", "UnixSignals", "Yams",
        ],
    ]

    /// Manifests cannot share text, so the one for the sanitizers repeats what the project's says.
    @Test func theSanitizersBuildTheLogWithTheProjectsSettings() throws {
        func settings(_ manifest: String) throws -> [Substring] {
            let text = try House.text(manifest)
            let start = try #require(text.range(of: "let common: [SwiftSetting] = [")?.lowerBound)
            return text[start...].split(separator: "\n").prefix { !$0.hasPrefix("let package") }.filter { !$0.hasPrefix("///") }
        }
        let project = try settings("Package.swift")
        #expect(project.count > 8)
        #expect(try settings("Tests/Sanitize/Package.swift") == project)
    }

    struct Line {
        var file: String
        var number: Int
        var text: Substring
        var place: String { "\(file):\(number)" }
    }

    static func lines(of target: String) throws -> [Line] {
        try House.files("Sources/\(target)", ".swift").flatMap { file in
            try House.text(file).split(separator: "\n", omittingEmptySubsequences: false).enumerated()
                .map { Line(file: file, number: $0.offset + 1, text: $0.element) }
        }
    }

    /// The module of an import declaration; nil for other lines.
    static func imported(_ line: Substring) -> String? {
        let words = line.split(separator: " ")
        guard let keyword = words.firstIndex(of: "import"), keyword + 1 < words.count else { return nil }
        let modifiers: Set<Substring> = ["public", "package", "internal", "private", "fileprivate", "@preconcurrency", "@testable"]
        guard words[..<keyword].allSatisfy(modifiers.contains) else { return nil }
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "typealias"]
        let name = kinds.contains(words[keyword + 1]) ? words[keyword + 2] : words[keyword + 1]
        return String(name.prefix { $0 != "." })
    }

    @Test func importsAreRecognised() {
        #expect(Self.imported("import WAL") == "WAL")
        #expect(Self.imported("    public import FoundationEssentials") == "FoundationEssentials")
        #expect(Self.imported("internal import struct Foundation.Data") == "Foundation")
        #expect(Self.imported("// An import of bread") == nil)
    }

    @Test(arguments: allowed.keys.sorted()) func aTargetImportsOnlyWhatItMayKnow(target: String) throws {
        for line in try Self.lines(of: target) {
            guard let module = Self.imported(line.text) else { continue }
            #expect(Self.allowed[target]!.contains(module), "\(line.place): \(target) must not import \(module)")
        }
    }

    @Test func systemCallsOfTheLogAreInOneFolder() throws {
        for line in try Self.lines(of: "WAL") where Self.imported(line.text) == "CLinux" {
            let isSystem = line.file.hasPrefix("Sources/WAL/System/")
            // The append path asks CLinux for a thread's number and the pause instruction, which are no system calls.
            #expect(isSystem || line.file.hasPrefix("Sources/WAL/Append/"), "\(line.place): system calls go into System/")
        }
    }

    @Test func theProgramHasNoUnsafeCode() throws {
        for line in try Self.lines(of: "walshipd") {
            #expect(!line.text.contains("unsafe "), "\(line.place)")
            #expect(!line.text.contains("Unsafe"), "\(line.place)")
        }
    }

    @Test(arguments: allowed.keys.sorted()) func nobodyWritesWhatHidesFailures(target: String) throws {
        for line in try Self.lines(of: target) {
            for word in ["try!", "Task.detached", "fatalError(", "TODO", "FIXME"] {
                #expect(!line.text.contains(word), "\(line.place): \(word)")
            }
        }
    }

    /// In the comment above the type, or as the first line inside.
    @Test(arguments: allowed.keys.sorted()) func uncheckedSendabilityHasItsReason(target: String) throws {
        for file in try House.files("Sources/\(target)", ".swift") {
            let lines = try House.text(file).split(separator: "\n", omittingEmptySubsequences: false)
            for (index, line) in lines.enumerated() where line.contains("@unchecked Sendable") && !line.contains("//") {
                let above = lines[..<index].reversed().prefix { $0.contains("//") }
                let isAbove = above.contains { $0.lowercased().contains("unchecked") }
                let isInside = index + 1 < lines.count && lines[index + 1].drop { $0 == " " }.hasPrefix("// ")
                #expect(isAbove || isInside, "\(file):\(index + 1)")
            }
        }
    }
}
